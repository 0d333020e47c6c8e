# shellcheck shell=bash
# Private Redis of this run folder: remembers only, so nothing is written to disk. Sourced, never run.

redis_settings() {
  cat <<CONF
# Written at every start by scripts/backends/redis.sh.
bind 127.0.0.1
port $REDIS_PORT
requirepass $(secret redis)
dir "$RUN/redis"
daemonize no
save ""
appendonly no
maxmemory 128mb
maxmemory-policy volatile-lru
CONF
}

redis_start() {
  if running redis; then return 0; fi
  have redis-server || die "Redis is not installed (make up installs it)"
  mkdir -p "$RUN/redis"
  chmod 700 "$RUN/redis"
  (umask 077 && redis_settings >"$RUN/redis/redis.conf")
  launch redis - redis-server "$RUN/redis/redis.conf"
}

redis_answers() {
  local reply
  reply=$(
    {
      exec 3<>"/dev/tcp/127.0.0.1/$REDIS_PORT" &&
        printf 'AUTH %s\r\nPING\r\n' "$(secret redis)" >&3 &&
        timeout 2 head -n 2 <&3
    } 2>/dev/null
  ) || return 1
  [[ $reply == *PONG* ]]
}

redis_await() { await_ready redis 30 redis_answers; }
redis_stop() { ask_to_end redis; }
redis_stopped() { await_end redis 35; }

redis_url() { printf 'redis://default:%s@127.0.0.1:%s/0\n' "$(secret redis)" "$REDIS_PORT"; }
