# shellcheck shell=bash
# Private PostgreSQL of this run folder: loopback only, passwords, fsync on. Sourced, never run.

# The folder of the server's programs: Debian keeps them off PATH, per version.
postgres_bin() {
  local found
  found=$(find /usr/lib/postgresql -mindepth 3 -maxdepth 3 -name initdb 2>/dev/null | sort -V | tail -n 1)
  [[ -n $found ]] || found=$(command -v initdb || true)
  [[ -n $found ]] || return 1
  dirname "$found"
}

# PostgreSQL refuses to run as root; then the package's own user runs it.
as_postgres() {
  if ((EUID == 0)); then
    (cd / && exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$@")
  else
    "$@"
  fi
}

# The folder with the data: in the checkout, or beside it where the server's user cannot pass.
postgres_home() {
  local record=$RUN/postgres.home home=$RUN/postgres
  if [[ -s $record ]]; then
    cat "$record"
    return
  fi
  if ((EUID == 0)) && ! as_postgres test -x "$RUN"; then
    user_state_dir
    home=$USER_STATE/postgres-$(printf '%s' "$RUN" | sha256sum | cut -c1-12)
    # Left over from a run folder that was deleted: its passwords are gone with it.
    rm -rf "$home"
  fi
  printf '%s\n' "$home" >"$record"
  printf '%s\n' "$home"
}

postgres_settings() {
  cat <<CONF
# Written at every start by scripts/backends/postgres.sh.
listen_addresses = '127.0.0.1'
port = $POSTGRES_PORT
unix_socket_directories = ''
max_connections = ${STACK_MAX_CONNECTIONS:-200}
shared_buffers = '128MB'
fsync = ${STACK_FSYNC:-on}
timezone = 'UTC'
log_timezone = 'UTC'
log_min_duration_statement = '1s'
lc_messages = 'C'
CONF
}

postgres_create() {
  local home=$1 bin=$2
  rm -rf "$home"
  mkdir -p "$home"
  chmod 700 "$home"
  (umask 077 && secret postgres-superuser >"$home/password")
  if ((EUID == 0)); then chown -R postgres:postgres "$home"; fi
  as_postgres "$bin/initdb" --pgdata="$home/data.new" --username=postgres --pwfile="$home/password" \
    --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --data-checksums \
    >"$LOGS/initdb.log" 2>&1 || {
    tail -n 5 "$LOGS/initdb.log" >&2
    die "initdb failed, see $LOGS/initdb.log"
  }
  rm -f "$home/password"
  echo "include = '$home/syncline.conf'" >>"$home/data.new/postgresql.conf"
  mv "$home/data.new" "$home/data"
}

# A lock file whose pid is now some other program would stop the server from starting.
postgres_clear_stale_lock() {
  local lock=$1/postmaster.pid pid
  [[ -f $lock ]] || return 0
  pid=$(head -n 1 "$lock")
  [[ $(readlink "/proc/$pid/cwd" 2>/dev/null) == "$1" ]] || rm -f "$lock"
}

postgres_start() {
  local bin home
  if running postgres; then return 0; fi
  bin=$(postgres_bin) || die "PostgreSQL's programs are not installed (make up installs them)"
  home=$(postgres_home)
  [[ -d $home/data ]] || postgres_create "$home" "$bin"
  postgres_settings >"$home/syncline.conf"
  if ((EUID == 0)); then chown postgres:postgres "$home/syncline.conf"; fi
  postgres_clear_stale_lock "$home/data"
  if ((EUID == 0)); then
    # launched directly, so that the pid is the server's
    (cd / && launch postgres - setpriv --reuid=postgres --regid=postgres --init-groups -- \
      "$bin/postgres" -D "$home/data")
  else
    launch postgres - "$bin/postgres" -D "$home/data"
  fi
}

# psql as superuser over loopback: $1 = database, the rest as given.
postgres_psql() {
  local database=$1
  shift
  PGPASSWORD=$(secret postgres-superuser) PGCONNECT_TIMEOUT=3 "$(postgres_bin)/psql" -X -q -v ON_ERROR_STOP=1 \
    -h 127.0.0.1 -p "$POSTGRES_PORT" -U postgres -d "$database" "$@"
}

postgres_answers() { postgres_psql postgres -c 'select 1' >/dev/null 2>&1; }

# Roles and database. syncline_owner owns the schema and passes row-level security;
# syncline_app is subject to it, and takes the dispatcher's view only by SET ROLE (NOINHERIT).
postgres_roles() {
  local home
  home=$(postgres_home)
  [[ ! -e $home/roles-1 ]] || return 0
  {
    printf '\\set owner_password %s\n' "$(secret postgres-owner)"
    printf '\\set app_password %s\n' "$(secret postgres-app)"
    cat <<'SQL'
SELECT format('CREATE ROLE %I', name)
  FROM unnest(ARRAY['syncline_owner', 'syncline_app', 'syncline_dispatch']) AS name
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE syncline_owner LOGIN BYPASSRLS NOSUPERUSER PASSWORD :'owner_password';
ALTER ROLE syncline_app LOGIN NOINHERIT NOBYPASSRLS NOSUPERUSER PASSWORD :'app_password';
ALTER ROLE syncline_dispatch NOLOGIN NOSUPERUSER;
GRANT syncline_dispatch TO syncline_app;
SELECT 'CREATE DATABASE syncline OWNER syncline_owner'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'syncline') \gexec
REVOKE ALL ON DATABASE syncline FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE syncline TO syncline_app;
SQL
  } | postgres_psql postgres -f - >/dev/null || die "creating the database roles failed"
  : >"$home/roles-1"
}

postgres_await() {
  await_ready postgres 60 postgres_answers || return 1
  postgres_roles
}

# SIGINT is PostgreSQL's fast shutdown.
postgres_stop() { ask_to_end postgres INT; }
postgres_stopped() { await_end postgres 35; }

postgres_url() { printf 'postgres://syncline_app:%s@127.0.0.1:%s/syncline\n' "$(secret postgres-app)" "$POSTGRES_PORT"; }
postgres_owner_url() { printf 'postgres://syncline_owner:%s@127.0.0.1:%s/syncline\n' "$(secret postgres-owner)" "$POSTGRES_PORT"; }
postgres_superuser_url() { printf 'postgres://postgres:%s@127.0.0.1:%s/postgres\n' "$(secret postgres-superuser)" "$POSTGRES_PORT"; }
