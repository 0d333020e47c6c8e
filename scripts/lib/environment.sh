# shellcheck shell=bash disable=SC2034
# What the services are told: written to services.env, read back by every script. Sourced, never run.

# Stand-in values: the emulator is started with the same ones.
DEMO_TENANT=11111111-2222-4333-8444-555555555555
DEMO_CLIENT=aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee
DEMO_DRIVE='b!demo'
DEMO_GOOGLE_CLIENT=syncline-demo.apps.googleusercontent.com
DEMO_GOOGLE_ACCOUNT=demo@example.org

# Settings of the caller's shell that the services may read; the rest of CONTRACT is set here.
PASSED_ON='LOG_LEVEL ONEDRIVE_SYNC_SCHEDULE ONEDRIVE_SYNC_ENABLED ONEDRIVE_TAXONOMY_CONFIG
SYNC_INTERVAL_MINUTES ENABLE_REALTIME_SYNC CORS_ALLOWED_ORIGINS OTEL_EXPORTER_OTLP_ENDPOINT
GRAPH_PAGE_SIZE JOB_HISTORY_DAYS SHUTDOWN_GRACE_SECONDS TOKIO_WORKER_THREADS AZURE_CLIENT_SECRET_NEXT
AZURE_CLIENT_SECRET_FILE AZURE_CLIENT_SECRET_NEXT_FILE'

# EMULATOR=no: a real tenant (README, "A real tenant"); then AZURE_* come from the caller.
with_emulator() { [[ ${EMULATOR:-yes} != no ]]; }

demo_folder() { printf '%s\n' "$RUN/demo-drive"; }

setting() { printf '%s=%q\n' "$1" "$2"; }

backend_settings() {
  if external postgres; then
    setting DATABASE_URL "$DATABASE_URL"
    setting MIGRATION_DATABASE_URL "${MIGRATION_DATABASE_URL:-$DATABASE_URL}"
  else
    setting DATABASE_URL "$(postgres_url)"
    setting MIGRATION_DATABASE_URL "$(postgres_owner_url)"
  fi
  if external rabbitmq; then setting AMQP_URL "$AMQP_URL"; else setting AMQP_URL "$(rabbitmq_url)"; fi
  setting CACHE_PROVIDER redis
  if external redis; then setting REDIS_URL "$REDIS_URL"; else setting REDIS_URL "$(redis_url)"; fi
}

provider_settings() {
  if with_emulator; then
    setting AZURE_TENANT_ID "$DEMO_TENANT"
    setting AZURE_CLIENT_ID "$DEMO_CLIENT"
    setting AZURE_CLIENT_SECRET "$(secret emulator-client)"
    setting MICROSOFT_LOGIN_BASE_URL "http://127.0.0.1:$EMULATOR_MICROSOFT_PORT"
    setting GRAPH_BASE_URL "http://127.0.0.1:$EMULATOR_MICROSOFT_PORT/v1.0"
    setting WEBHOOK_BASE_URL "http://127.0.0.1:$WEBHOOK_PORT"
    setting GOOGLE_CLIENT_ID "$DEMO_GOOGLE_CLIENT"
    setting GOOGLE_CLIENT_SECRET "$(secret emulator-google)"
    setting GOOGLE_REDIRECT_URI "http://127.0.0.1:$API_PORT/api/oauth/google/callback"
    setting GOOGLE_AUTH_URL "http://127.0.0.1:$EMULATOR_GOOGLE_PORT/o/oauth2/v2/auth"
    setting GOOGLE_TOKEN_URL "http://127.0.0.1:$EMULATOR_GOOGLE_PORT/token"
    setting GOOGLE_REVOKE_URL "http://127.0.0.1:$EMULATOR_GOOGLE_PORT/revoke"
    setting GOOGLE_CALENDAR_BASE_URL "http://127.0.0.1:$EMULATOR_GOOGLE_PORT/calendar/v3"
  else
    local name
    for name in AZURE_TENANT_ID AZURE_CLIENT_ID; do
      [[ -n ${!name:-} ]] || die "EMULATOR=no: $name is not set"
    done
    [[ -n ${AZURE_CLIENT_SECRET:-}${AZURE_CLIENT_SECRET_FILE:-} ]] ||
      die "EMULATOR=no: neither AZURE_CLIENT_SECRET nor AZURE_CLIENT_SECRET_FILE is set"
    for name in AZURE_TENANT_ID AZURE_CLIENT_ID AZURE_CLIENT_SECRET WEBHOOK_BASE_URL \
      GOOGLE_CLIENT_ID GOOGLE_CLIENT_SECRET GOOGLE_REDIRECT_URI; do
      if [[ -n ${!name:-} ]]; then setting "$name" "${!name}"; fi
    done
  fi
}

address_settings() {
  local name _default _process variable
  while read -r name _default _process variable; do
    if [[ $variable == *_ADDR ]]; then setting "$variable" "127.0.0.1:${!name}"; fi
  done <<<"$PORT_TABLE"
  setting GRAPH_CONNECTOR_URL "http://127.0.0.1:$GRAPH_CONNECTOR_GRPC_PORT"
  setting GCAL_CONNECTOR_URL "http://127.0.0.1:$GCAL_CONNECTOR_GRPC_PORT"
  setting AUDIT_ARCHIVE_URL "file:$RUN/audit-archives"
  setting AUDIT_ARCHIVE_FALLBACK_URL "file:$RUN/audit-archives-fallback"
}

write_service_environment() {
  local name
  (
    umask 077
    {
      setting APP_ENV development
      setting LOG_FORMAT "${LOG_FORMAT:-json}"
      backend_settings
      provider_settings
      address_settings
      setting SPOOL_DIR "$RUN/spool"
      setting JWT_SECRET "$(secret jwt)"
      setting JWT_ISSUER syncline
      setting JWT_AUDIENCE syncline
      for name in $PASSED_ON; do
        if [[ -n ${!name:-} ]]; then setting "$name" "${!name}"; fi
      done
    } >"$RUN/services.env.new"
  )
  mv "$RUN/services.env.new" "$RUN/services.env"
}

# Exports services.env; of the caller's shell, addresses of another checkout's stack must not win.
load_service_environment() {
  unset GRAPH_BASE_URL MICROSOFT_LOGIN_BASE_URL GOOGLE_AUTH_URL GOOGLE_TOKEN_URL GOOGLE_REVOKE_URL GOOGLE_CALENDAR_BASE_URL
  set -a
  # shellcheck disable=SC1091
  source "$RUN/services.env"
  set +a
}

# The organization and user that `syncctl seed-demo` made.
demo_company() { json_field company_id <"$RUN/demo.json"; }
demo_user() { json_field user <"$RUN/demo.json"; }

# An administrator's token of the demo organization.
demo_token() {
  "$BIN/syncctl" token --org "$(demo_company)" --sub "$(demo_user)" --role admin --ttl-seconds "${1:-43200}"
}

# psql as the application role, seeing the demo organization's rows; the password stays off
# the command line, where every local user could read it.
demo_psql() {
  local coded psql=psql
  coded=$(sed -nE 's#^[a-z]+://[^:/@]*:([^@]*)@.*#\1#p' <<<"$DATABASE_URL")
  have psql || psql=$(postgres_bin)/psql
  PGPASSWORD=$(printf '%b' "${coded//%/\\x}") PGOPTIONS="-c app.company_id=$DEMO_COMPANY" PGCONNECT_TIMEOUT=5 \
    "$psql" -X -q -v ON_ERROR_STOP=1 -d "$(sed -E 's#(://[^:/@]*):[^@]*@#\1@#' <<<"$DATABASE_URL")" "$@"
}
