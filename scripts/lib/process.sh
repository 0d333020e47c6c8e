# shellcheck shell=bash
# Background processes with pid files. Sourced, never run.
# A pid file holds "pid start-time boot-id stamp": a reused pid has another start time, so
# that nothing but our own process is ever signalled. The stamp is free text of the caller.

# Start time of process $1 in clock ticks since boot; fails when it is gone or a zombie.
process_start() {
  local stat fields
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  read -ra fields <<<"${stat##*) }"
  [[ ${fields[0]} != Z ]] || return 1
  printf '%s\n' "${fields[19]}"
}

# Prints the pid of our process $1; fails when it does not run.
running_pid() {
  local pid started boot _
  { read -r pid started boot _ <"$RUN/pids/$1"; } 2>/dev/null || return 1
  [[ $boot == "$(</proc/sys/kernel/random/boot_id)" ]] || return 1
  [[ $(process_start "$pid") == "$started" ]] || return 1
  printf '%s\n' "$pid"
}

running() { running_pid "$1" >/dev/null; }

# Prints the stamp that process $1 was launched with.
running_stamp() {
  local _pid _start _boot stamp
  { read -r _pid _start _boot stamp <"$RUN/pids/$1"; } 2>/dev/null || return 1
  printf '%s\n' "$stamp"
}

# launch NAME STAMP COMMAND...: starts it in a session of its own, output to logs/NAME.log.
launch() {
  local name=$1 stamp=$2 log=$LOGS/$1.log pid
  shift 2
  if [[ -f $log && $(stat -c %s "$log") -gt 20000000 ]]; then mv "$log" "$log.1"; fi
  setsid "$@" >>"$log" 2>&1 </dev/null 9>&- &
  pid=$!
  printf '%s %s %s %s\n' "$pid" "$(process_start "$pid" || echo gone)" \
    "$(</proc/sys/kernel/random/boot_id)" "$stamp" >"$RUN/pids/$name"
}

# ask_to_end NAME [SIGNAL]: signals it when it runs; does not wait.
ask_to_end() {
  local pid
  if pid=$(running_pid "$1"); then kill -s "${2:-TERM}" "$pid" 2>/dev/null || true; fi
}

# await_end NAME SECONDS: waits, then kills; removes the pid file.
await_end() {
  local pid deadline
  deadline=$(($(now_ms) + $2 * 1000))
  while pid=$(running_pid "$1"); do
    if (($(now_ms) > deadline)); then
      say "$1 (pid $pid) did not end within $2 s: killed"
      kill -s KILL "$pid" 2>/dev/null || true
      deadline=$(($(now_ms) + 5000))
    fi
    sleep 0.05
  done
  rm -f "$RUN/pids/$1"
}

# The last lines of the log of $1, indented.
last_lines() { tail -n "${2:-12}" "$LOGS/$1.log" 2>/dev/null | cut -c1-400 | sed 's/^/    /' >&2; }

# Resident memory of our process $1, in MiB.
resident_mib() {
  local pid
  pid=$(running_pid "$1") || return 1
  awk '/^VmRSS/ { printf "%.1f", $2 / 1024 }' "/proc/$pid/status"
}

# await_ready NAME SECONDS COMMAND...: until COMMAND succeeds; ends at once when the process dies.
await_ready() {
  local name=$1 seconds=$2 deadline
  shift 2
  deadline=$(($(now_ms) + seconds * 1000))
  until "$@"; do
    if ! running "$name"; then
      say "error: $name ended while starting; its last lines ($LOGS/$name.log):"
      last_lines "$name"
      return 1
    fi
    if (($(now_ms) > deadline)); then
      say "error: $name is not ready after $seconds s; its last lines ($LOGS/$name.log):"
      last_lines "$name"
      return 1
    fi
    sleep 0.05
  done
}
