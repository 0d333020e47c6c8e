# shellcheck shell=bash disable=SC2034
# Paths, messages and small helpers shared by every script. Sourced, never run.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# Everything that a running stack writes. `make test` uses a second folder below it.
RUN=${STACK_RUN_DIR:-$ROOT/.run}
LOGS=$RUN/logs
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
BIN=$TARGET/debug
# Outside the checkout, per user: which checkout holds which ports, and the database
# files when the database user cannot read the checkout.
USER_STATE=/var/tmp/syncline-$(id -u)

# rustup's cargo first: the distribution's may be too old.
export PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH

# libpq and sqlx read these; a shell that ran `eval "$(make -s env)"` must not pass a
# tenant (PGOPTIONS) or a host on to the services.
unset PGOPTIONS PGHOST PGPORT PGUSER PGDATABASE PGPASSWORD PGSERVICE PGPASSFILE

say() { printf '%s\n' "$*" >&2; }
step() { printf '==> %s\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Milliseconds since boot: unlike the wall clock, never set back.
now_ms() {
  local up _
  read -r up _ </proc/uptime
  printf '%s\n' "$((10#${up/./} * 10))"
}

make_run_dir() {
  # 711: the database user must be able to pass through, not to list.
  mkdir -p "$RUN" && chmod 711 "$RUN"
  mkdir -p "$LOGS" "$RUN/pids"
  [[ -d $RUN/secrets ]] || (umask 077 && mkdir "$RUN/secrets")
}

# Works on run folder $1 from here on (make test keeps its servers apart from make up's).
use_run_dir() {
  RUN=$1
  LOGS=$RUN/logs
  make_run_dir
}

# One up or down at a time per run folder. File descriptor 9 is closed in every child that outlives us.
take_lock() {
  exec 9>"$RUN/lock"
  if ! flock -n 9; then
    say "waiting for another make command in this checkout ..."
    flock -w 600 9 || die "another command has held $RUN/lock for 10 minutes"
  fi
}
drop_lock() { exec 9>&-; }

# Prints the secret $1 of this run folder, made at its first use.
secret() {
  local file=$RUN/secrets/$1
  if [[ ! -s $file ]]; then
    (umask 077 && od -An -tx1 -N32 /dev/urandom | tr -d ' \n' >"$file.new")
    mv "$file.new" "$file"
  fi
  cat "$file"
}

# Prints the text of field $1 of a flat JSON object on stdin (no jq on a bare machine).
json_field() {
  tr -d '\n' | sed -n 's/.*"'"$1"'"[[:space:]]*:[[:space:]]*"\([^"]*\)".*/\1/p'
}

# Takes the password out of a URL, for messages.
hide_password() { sed -E 's#(://[^:/@]*):[^@]*@#\1:***@#' <<<"$1"; }

# $1 = needed, $2 = found: true when found >= needed, compared as versions.
version_at_least() { [[ $(printf '%s\n%s\n' "$1" "$2" | sort -V | sed -n 1p) == "$1" ]]; }
