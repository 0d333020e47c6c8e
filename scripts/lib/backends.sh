# shellcheck shell=bash disable=SC1091
# Which of PostgreSQL, RabbitMQ and Redis are ours to run, and their addresses. Sourced, never run.

source "$ROOT/scripts/backends/postgres.sh"
source "$ROOT/scripts/backends/rabbitmq.sh"
source "$ROOT/scripts/backends/redis.sh"

# A service named by the environment is used instead of a private one. Our own address may be
# in the environment too, after eval "$(make -s env)".
external() {
  local named
  case $1 in
    postgres) named=${DATABASE_URL:-} ;;
    rabbitmq) named=${AMQP_URL:-} ;;
    redis) named=${REDIS_URL:-} ;;
  esac
  [[ -n $named ]] || return 1
  # before ports are chosen there is no address of our own
  [[ -n ${POSTGRES_PORT:-} ]] || return 0
  [[ $named != "$("$1_url")" ]]
}

# Prints the servers that this run folder runs itself.
private_backends() {
  local name
  for name in postgres rabbitmq redis; do
    external "$name" || echo "$name"
  done
}

start_backends() {
  local name names
  mapfile -t names < <(private_backends)
  ((${#names[@]})) || return 0
  check_ports "$BACKEND_PORT_TABLE" "${names[@]}" epmd
  # the slowest first; they start side by side
  for name in rabbitmq redis postgres; do
    if [[ " ${names[*]} " == *" $name "* ]]; then "${name}_start"; fi
  done
  for name in "${names[@]}"; do
    "${name}_await" || die "$name did not start"
  done
}

# Ends what runs, whether or not the environment now names other services.
stop_backends() {
  local name
  for name in postgres rabbitmq redis; do "${name}_stop"; done
  for name in postgres rabbitmq redis; do "${name}_stopped"; done
}
