# shellcheck shell=bash
# Private RabbitMQ of this run folder, with an Erlang port mapper of its own. Sourced, never run.

# The real start script: Debian's wrapper on PATH insists on the system's user and folders.
rabbitmq_bin() {
  local found
  found=$(find /usr/lib/rabbitmq/lib -mindepth 3 -maxdepth 3 -path '*/sbin/rabbitmq-server' 2>/dev/null | sort -V | tail -n 1)
  [[ -n $found ]] || found=$(command -v rabbitmq-server || true)
  [[ -n $found ]] || return 1
  dirname "$found"
}

rabbitmq_schedulers() {
  local cores
  cores=$(nproc)
  echo $((cores < 4 ? cores : 4))
}

# Fills RABBITMQ_ENV: an environment that names nothing of the system's server.
rabbitmq_environment() {
  local home=$RUN/rabbitmq loopback='-kernel inet_dist_use_interface {127,0,0,1}'
  RABBITMQ_ENV=(
    HOME="$home"
    ERL_EPMD_PORT="$EPMD_PORT"
    ERL_EPMD_ADDRESS=127.0.0.1
    RABBITMQ_NODENAME="syncline-$(printf '%s' "$RUN" | sha256sum | cut -c1-8)@localhost"
    RABBITMQ_CONF_ENV_FILE="$home/rabbitmq-env.conf"
    RABBITMQ_CONFIG_FILE="$home/rabbitmq.conf"
    RABBITMQ_ADVANCED_CONFIG_FILE="$home/advanced.config"
    RABBITMQ_ENABLED_PLUGINS_FILE="$home/enabled_plugins"
    RABBITMQ_MNESIA_BASE="$home/mnesia"
    RABBITMQ_SCHEMA_DIR="$home/schema"
    RABBITMQ_GENERATED_CONFIG_DIR="$home/config"
    RABBITMQ_LOG_BASE="$LOGS"
    RABBITMQ_LOGS=-
    RABBITMQ_DIST_PORT="$AMQP_DIST_PORT"
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="$loopback +S $(rabbitmq_schedulers) +SDio 8"
    RABBITMQ_CTL_ERL_ARGS="$loopback"
    # the start script then becomes the server instead of watching over it
    RUNNING_UNDER_SYSTEMD=true
  )
}

rabbitmq_settings() {
  cat <<CONF
# Written at every start by scripts/backends/rabbitmq.sh.
listeners.tcp.1 = 127.0.0.1:$AMQP_PORT
default_user = syncline
default_pass = $(secret amqp)
loopback_users = none
# Room for the work, small beside a developer's other programs.
vm_memory_high_watermark.absolute = 768MB
disk_free_limit.absolute = 50MB
raft.wal_max_size_bytes = 33554432
raft.segment_max_entries = 4096
log.console = true
log.console.level = warning
CONF
}

# Where durability is switched off (as for tests), a slow disk must not hold up the broker either, and
# RabbitMQ has no setting for that.
eatmydata() { find /usr/lib /usr/lib64 -maxdepth 2 -name 'libeatmydata.so*' 2>/dev/null | sort | head -n 1; }

rabbitmq_start() {
  local bin home=$RUN/rabbitmq preload=
  if running rabbitmq; then return 0; fi
  bin=$(rabbitmq_bin) || die "RabbitMQ is not installed (make up installs it)"
  mkdir -p "$home"
  chmod 700 "$home"
  : >"$home/rabbitmq-env.conf"
  echo '[].' >"$home/enabled_plugins"
  (umask 077 && rabbitmq_settings >"$home/rabbitmq.conf")
  # A port mapper of our own, tracked like any other process, so that none is left behind.
  if ! running epmd; then launch epmd - epmd -port "$EPMD_PORT" -address 127.0.0.1; fi
  await_ready epmd 10 accepts "$EPMD_PORT" || return 1
  rabbitmq_environment
  if [[ ${STACK_FSYNC:-on} == off ]]; then preload=$(eatmydata); fi
  (
    ulimit -n 65536 2>/dev/null || true
    cd "$home" && launch rabbitmq - env -u NOTIFY_SOCKET -u RABBITMQ_NODE_PORT -u RABBITMQ_NODE_IP_ADDRESS \
      ${preload:+LD_PRELOAD="$preload"} "${RABBITMQ_ENV[@]}" "$bin/rabbitmq-server"
  )
}

# The server greets an AMQP 0-9-1 header with a method frame (type 1) once its boot is complete.
rabbitmq_answers() {
  local greeting
  greeting=$(
    {
      exec 3<>"/dev/tcp/127.0.0.1/$AMQP_PORT" &&
        printf 'AMQP\x00\x00\x09\x01' >&3 &&
        timeout 2 head -c 1 <&3 | od -An -tx1
    } 2>/dev/null
  ) || return 1
  [[ ${greeting// /} == 01 ]]
}

rabbitmq_await() { await_ready rabbitmq 90 rabbitmq_answers; }

rabbitmq_stop() { ask_to_end rabbitmq; }
rabbitmq_stopped() {
  await_end rabbitmq 35
  ask_to_end epmd
  await_end epmd 5
}

# rabbitmqctl and its kin against this server: rabbitmq_tool rabbitmqctl list_queues
rabbitmq_tool() {
  local tool=$1
  shift
  rabbitmq_environment
  env "${RABBITMQ_ENV[@]}" "$(rabbitmq_bin)/$tool" "$@"
}

rabbitmq_url() { printf 'amqp://syncline:%s@127.0.0.1:%s/%%2f\n' "$(secret amqp)" "$AMQP_PORT"; }
