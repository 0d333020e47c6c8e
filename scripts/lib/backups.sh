# shellcheck shell=bash disable=SC2034,SC2154
# Backups: what `make backup` and `make restore` share; the caller has a folder in $work. Sourced, never run.

# libpq's variables from a URL, so that no password stands on a command line. Database $2 instead of the URL's.
use_database() {
  local url=$1 coded rest
  [[ $url =~ ^postgres(ql)?:// ]] || die "the database's address is no postgres:// URL"
  rest=${url#*://}
  coded=$(sed -nE 's#^[a-z]+://[^:/@]*:([^@]*)@.*#\1#p' <<<"$url")
  PGPASSWORD=$(printf '%b' "${coded//%/\\x}")
  PGUSER=$(sed -nE 's#^([^:/@]*)(:[^@]*)?@.*#\1#p' <<<"$rest")
  PGHOST=$(sed -E 's#^([^@]*@)?([^:/?]*).*#\2#' <<<"$rest")
  PGPORT=$(sed -nE 's#^([^@]*@)?[^:/?]*:([0-9]+).*#\2#p' <<<"$rest")
  PGDATABASE=${2:-$(sed -nE 's#^[^/]*/([^?]+).*#\1#p' <<<"$rest")}
  PGPORT=${PGPORT:-5432}
  export PGPASSWORD PGUSER PGHOST PGPORT PGDATABASE PGCONNECT_TIMEOUT=10
}

# The same URL with another database.
url_of_database() { sed -E 's#^([a-z]+://[^/]*)(/[^?]*)?#\1/'"$2"'#' <<<"$1"; }

# A program of PostgreSQL: the server's own version before the one on the PATH.
pg_program() {
  local folder
  folder=$(postgres_bin || true)
  if [[ -n $folder && -x $folder/$1 ]]; then echo "$folder/$1"; else command -v "$1" || die "$1 is not installed: apt-get install postgresql-client"; fi
}

# BACKUP_KEY_FILE, or a key of this checkout that is made at its first use.
backup_key() {
  if [[ -n ${BACKUP_KEY_FILE:-} ]]; then
    [[ -s $BACKUP_KEY_FILE ]] || die "BACKUP_KEY_FILE $BACKUP_KEY_FILE is empty or not there"
    echo "$BACKUP_KEY_FILE"
    return
  fi
  secret backup-key >/dev/null
  echo "$RUN/secrets/backup-key"
}

# gpg with a home of its own in the working folder: nothing of the user's keys is read or written.
crypt() {
  have gpg || die "gpg is not installed: apt-get install gpg gpg-agent"
  [[ -d $work/gnupg ]] || mkdir -m 700 "$work/gnupg"
  gpg --homedir "$work/gnupg" --batch --quiet --no-tty --pinentry-mode loopback --passphrase-file "$(backup_key)" "$@"
}

end_crypt() { if [[ -d $work/gnupg ]] && have gpgconf; then gpgconf --homedir "$work/gnupg" --kill gpg-agent 2>/dev/null || true; fi; }

# Rows of every table of the application, one `table|rows` a line; partitions are counted in their table.
COUNT_ROWS="SELECT format('%I', c.relname) || '|' ||
  (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM public.%I', c.relname), false, true, '')))[1]::text
  FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
  WHERE s.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY c.relname"
