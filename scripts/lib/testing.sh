# shellcheck shell=bash
# The servers of tests and benchmarks: a run folder of their own below .run, so that a running
# `make up` is neither used nor disturbed. Sourced, never run.

# Addresses that the shell has from `make env` are not "named by the environment".
forget_own_addresses() {
  [[ -f $RUN/ports.env ]] || return 0
  load_ports
  external postgres || unset DATABASE_URL MIGRATION_DATABASE_URL
  external rabbitmq || unset AMQP_URL
  external redis || unset REDIS_URL
  local name _rest
  while read -r name _rest; do unset "$name"; done <<<"$PORT_TABLE$BACKEND_PORT_TABLE" 2>/dev/null || true
}

# Afterwards everything below works on .run/test. TEST_*_URL win over the
# services' variables; tests create databases and roles, so the database user must be allowed to.
use_test_run_dir() {
  make_run_dir
  forget_own_addresses
  use_run_dir "$RUN/test"
  export DATABASE_URL=${TEST_POSTGRES_URL:-${MIGRATION_DATABASE_URL:-${DATABASE_URL:-}}}
  export AMQP_URL=${TEST_AMQP_URL:-${AMQP_URL:-}}
  export REDIS_URL=${TEST_REDIS_URL:-${REDIS_URL:-}}
  # of the caller's shell, nothing else may steer a test
  unset PORT_OFFSET SYNCLINE_TOKEN SYNCLINE_API_URL API_URL WEBHOOK_URL GRAPH_BASE_URL EMULATOR_CONTROL_URL \
    DEMO_DRIVE_DIR GOOGLE_CALENDAR_BASE_URL
}

# Exports TEST_*_URL and takes the services' own names out of the environment.
export_test_addresses() {
  export TEST_POSTGRES_URL TEST_AMQP_URL TEST_REDIS_URL
  TEST_POSTGRES_URL=${DATABASE_URL:-$(postgres_superuser_url)}
  TEST_AMQP_URL=${AMQP_URL:-$(rabbitmq_url)}
  TEST_REDIS_URL=${REDIS_URL:-$(redis_url)}
  unset DATABASE_URL MIGRATION_DATABASE_URL AMQP_URL REDIS_URL
}

# Fresh servers: databases of a run that was killed are not carried along.
fresh_test_backends() {
  local home
  take_lock
  load_ports
  stop_backends
  if [[ -s $RUN/postgres.home ]]; then
    home=$(postgres_home)
    rm -rf "${home:?}"
  fi
  rm -rf "${RUN:?}/postgres" "$RUN/postgres.home" "$RUN/rabbitmq" "$RUN/redis"
  start_backends
}
