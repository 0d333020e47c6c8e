# shellcheck shell=bash
# The ports of this run folder: chosen once as a block, kept in ports.env. Sourced, never run.
# All numbers differ modulo 1000, so that blocks shifted by a multiple of 1000 never overlap.

# variable, default, process that listens, what it is called in configuration
PORT_TABLE='
API_PORT 3000 api API_HTTP_ADDR
WEBHOOK_PORT 3001 webhook-ingress WEBHOOK_INGRESS_HTTP_ADDR
SCHEDULER_GRPC_PORT 50050 scheduler SCHEDULER_GRPC_ADDR
GRAPH_CONNECTOR_GRPC_PORT 50051 graph-connector GRAPH_CONNECTOR_GRPC_ADDR
GCAL_CONNECTOR_GRPC_PORT 50052 gcal-connector GCAL_CONNECTOR_GRPC_ADDR
API_ADMIN_PORT 9100 api API_ADMIN_ADDR
WEBHOOK_ADMIN_PORT 9101 webhook-ingress WEBHOOK_INGRESS_ADMIN_ADDR
SCHEDULER_ADMIN_PORT 9102 scheduler SCHEDULER_ADMIN_ADDR
GRAPH_CONNECTOR_ADMIN_PORT 9103 graph-connector GRAPH_CONNECTOR_ADMIN_ADDR
GCAL_CONNECTOR_ADMIN_PORT 9104 gcal-connector GCAL_CONNECTOR_ADMIN_ADDR
SYNC_WORKER_ADMIN_PORT 9105 sync-worker SYNC_WORKER_ADMIN_ADDR
AUDIT_RETENTION_ADMIN_PORT 9106 audit-retention AUDIT_RETENTION_ADMIN_ADDR
EMULATOR_MICROSOFT_PORT 4010 emulator --microsoft
EMULATOR_GOOGLE_PORT 4020 emulator --google
EMULATOR_CONTROL_PORT 4030 emulator --control
'
BACKEND_PORT_TABLE='
POSTGRES_PORT 15432 postgres DATABASE_URL
AMQP_PORT 15680 rabbitmq AMQP_URL
AMQP_DIST_PORT 15681 rabbitmq Erlang-distribution
EPMD_PORT 15682 epmd Erlang-port-mapper
REDIS_PORT 16379 redis REDIS_URL
'

# The socket inode of whatever listens on port $1; empty when it is free. Read from the
# kernel's table: ss and lsof are not on a bare machine.
port_listener() {
  awk -v want="$(printf ':%04X' "$1")" \
    '$4 == "0A" && substr($2, length($2) - 4) == want { print $10; exit }' \
    /proc/net/tcp /proc/net/tcp6 2>/dev/null || true
}

# "pid 123 (node)" of socket inode $1, or a word that it belongs to somebody else.
listener_name() {
  local link pid
  link=$(find /proc/[0-9]*/fd -maxdepth 1 -lname "socket:\[$1\]" -print -quit 2>/dev/null || true)
  pid=${link#/proc/}
  pid=${pid%%/*}
  if [[ -n $pid && -r /proc/$pid/comm ]]; then
    printf 'pid %s (%s)\n' "$pid" "$(<"/proc/$pid/comm")"
  else
    printf 'a process of another user\n'
  fi
}

block_is_free() {
  local _name port _rest
  while read -r _name port _rest; do
    [[ -n $port ]] || continue
    [[ -z $(port_listener "$((port + $1 * 1000))") ]] || return 1
  done <<<"$PORT_TABLE$BACKEND_PORT_TABLE"
}

# Another run folder of this user holds block $1 while its ports.env says so, running or not.
block_is_held() {
  local holder
  { read -r holder <"$USER_STATE/block-$1"; } 2>/dev/null || return 1
  [[ $holder != "$RUN" ]] && grep -qx "PORT_BLOCK=$1" "$holder/ports.env" 2>/dev/null
}

write_ports() {
  local name port _rest
  {
    echo "PORT_BLOCK=$1"
    while read -r name port _rest; do
      [[ -z $name ]] || echo "$name=$((port + $1 * 1000))"
    done <<<"$PORT_TABLE$BACKEND_PORT_TABLE"
  } >"$RUN/ports.env.new"
  mv "$RUN/ports.env.new" "$RUN/ports.env"
  printf '%s\n' "$RUN" >"$USER_STATE/block-$1"
}

any_process_runs() {
  local file
  for file in "$RUN"/pids/*; do
    if [[ -f $file ]] && running "${file##*/}"; then return 0; fi
  done
  return 1
}

user_state_dir() {
  if [[ -e $USER_STATE && ! -O $USER_STATE || -L $USER_STATE ]]; then die "$USER_STATE belongs to another user"; fi
  mkdir -p "$USER_STATE" && chmod 711 "$USER_STATE"
}

# Loads the ports, choosing them at the first call. PORT_OFFSET=n (0..15) picks block n.
load_ports() {
  local n known=
  [[ -f $RUN/ports.env ]] && known=$(sed -n 's/^PORT_BLOCK=//p' "$RUN/ports.env")
  if [[ -n ${PORT_OFFSET:-} && ${PORT_OFFSET:-} != "$known" ]]; then
    [[ $PORT_OFFSET =~ ^([0-9]|1[0-5])$ ]] || die "PORT_OFFSET: a number from 0 to 15 (times 1000), got '$PORT_OFFSET'"
    if any_process_runs; then die "PORT_OFFSET=$PORT_OFFSET: the stack runs on block $known; make down first"; fi
    user_state_dir
    write_ports "$PORT_OFFSET"
  elif [[ -z $known ]]; then
    user_state_dir
    exec 8>"$USER_STATE/lock"
    flock 8
    for n in {0..15}; do
      if ! block_is_held "$n" && block_is_free "$n"; then break; fi
      n=none
    done
    [[ $n != none ]] || die "no free block of ports: each of the sixteen (3000+1000n, ...) has one in use or belongs to another checkout; stop something or set PORT_OFFSET"
    write_ports "$n"
    exec 8>&-
  fi
  complete_ports
  # shellcheck disable=SC1091
  source "$RUN/ports.env"
}

# A run folder from before a service was added lacks its ports: they are those of its block.
complete_ports() {
  local name _rest
  while read -r name _rest; do
    if [[ -n $name ]] && ! grep -q "^$name=" "$RUN/ports.env"; then
      write_ports "$(sed -n 's/^PORT_BLOCK=//p' "$RUN/ports.env")"
      return
    fi
  done <<<"$PORT_TABLE$BACKEND_PORT_TABLE"
}

# check_ports TABLE PROCESS...: names every port of these processes that somebody else holds.
check_ports() {
  local table=$1 name _default process setting port inode busy=0
  shift
  while read -r name _default process setting; do
    [[ -n $name && " $* " == *" $process "* ]] || continue
    if running "$process"; then continue; fi
    port=${!name}
    inode=$(port_listener "$port")
    if [[ -n $inode ]]; then
      say "error: port $port ($process, $setting) is already in use by $(listener_name "$inode")"
      busy=1
    fi
  done <<<"$table"
  if ((busy)); then
    die "stop what holds these ports, or move the whole stack: make up PORT_OFFSET=n (adds n x 1000, n = 0..15)"
  fi
}

# True when something accepts connections on loopback port $1.
accepts() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
