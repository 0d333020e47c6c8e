# shellcheck shell=bash
# Our own processes: build, start, readiness, stop. Sourced, never run.

# name, variable with the port that answers "ready", path
SERVICE_TABLE='
emulator EMULATOR_CONTROL_PORT /faults
graph-connector GRAPH_CONNECTOR_ADMIN_PORT /readyz
gcal-connector GCAL_CONNECTOR_ADMIN_PORT /readyz
scheduler SCHEDULER_ADMIN_PORT /readyz
webhook-ingress WEBHOOK_ADMIN_PORT /readyz
sync-worker SYNC_WORKER_ADMIN_PORT /readyz
audit-retention AUDIT_RETENTION_ADMIN_PORT /readyz
api API_ADMIN_PORT /readyz
'

service_names() {
  local name _rest
  while read -r name _rest; do
    if [[ -n $name ]] && { [[ $name != emulator ]] || with_emulator; }; then echo "$name"; fi
  done <<<"$SERVICE_TABLE"
}

service_ready_url() {
  local name port path
  while read -r name port path; do
    if [[ $name == "$1" ]]; then echo "http://127.0.0.1:${!port}$path"; fi
  done <<<"$SERVICE_TABLE"
}

service_is_ready() { curl -fsS -m 2 -o /dev/null "$(service_ready_url "$1")" 2>/dev/null; }

# Against the query data in git, never against whatever database the shell happens to name.
cargo_offline() { (cd "$ROOT" && env -u DATABASE_URL SQLX_OFFLINE=true cargo "$@"); }

build_programs() {
  step "building (the first time takes some minutes)"
  cargo_offline build --workspace --bins 1>&2
}

# Another binary or other settings than the running process was started with.
service_stamp() {
  printf '%s/%s\n' "$(stat -c %i-%Y-%s "$BIN/$1")" "$(sha256sum <"$RUN/services.env" | cut -c1-12)"
}

start_service() {
  local name=$1 stamp
  stamp=$(service_stamp "$name")
  if running "$name"; then
    if [[ $(running_stamp "$name") == "$stamp" ]]; then return; fi
    step "restarting $name: program or settings changed"
    ask_to_end "$name"
    await_end "$name" 35
  fi
  if [[ $name == emulator ]]; then
    launch emulator "$stamp" "$BIN/emulator" \
      --microsoft "127.0.0.1:$EMULATOR_MICROSOFT_PORT" --google "127.0.0.1:$EMULATOR_GOOGLE_PORT" \
      --control "127.0.0.1:$EMULATOR_CONTROL_PORT" \
      --tenant "$AZURE_TENANT_ID" --client-id "$AZURE_CLIENT_ID" --client-secret "$AZURE_CLIENT_SECRET" \
      --google-client-id "$GOOGLE_CLIENT_ID" --google-client-secret "$GOOGLE_CLIENT_SECRET" \
      --google-redirect-uri "$GOOGLE_REDIRECT_URI" --google-account "$DEMO_GOOGLE_ACCOUNT" --google-auto-approve \
      --folder-drive "$DEMO_DRIVE=$(demo_folder)" --state-dir "$RUN/emulator"
  else
    launch "$name" "$stamp" "$BIN/$name"
  fi
}

# Waits for all of them within one deadline; names the one that is missing and its reason.
await_services() {
  local name deadline=$(($(now_ms) + $1 * 1000))
  for name in $(service_names); do
    until service_is_ready "$name"; do
      if ! running "$name"; then
        say "error: $name ended while starting; its last lines ($LOGS/$name.log):"
        last_lines "$name"
        return 1
      fi
      if (($(now_ms) > deadline)); then
        say "error: $name is not ready after $1 s. $(service_ready_url "$name") says:"
        curl -sS -m 2 "$(service_ready_url "$name")" 2>&1 | cut -c1-600 | sed 's/^/    /' >&2 || true
        say "  its last lines ($LOGS/$name.log):"
        last_lines "$name"
        return 1
      fi
      sleep 0.05
    done
  done
}

stop_services() {
  local name _rest
  while read -r name _rest; do
    [[ -z $name ]] || ask_to_end "$name"
  done <<<"$SERVICE_TABLE"
  while read -r name _rest; do
    [[ -z $name ]] || await_end "$name" 35
  done <<<"$SERVICE_TABLE"
}
