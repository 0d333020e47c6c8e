# shellcheck shell=bash
# The steps of `make demo`: first sync, live changes, tables. Sourced, never run.

# Longest wait for one change, and what a change should take (issue 2).
CHANGE_LIMIT_MS=20000
CHANGE_GOAL_MS=2000

# One value (or rows with '|') as the application role.
ask() { demo_psql -At -c "$1"; }

# api METHOD PATH: body on stdout; fails with the answer on stderr when the status is not 2xx.
api() {
  local answer status
  answer=$(curl -sS -m 30 -X "$1" -H "@$RUN/auth.header" -w '\n%{http_code}' "http://127.0.0.1:$API_PORT$2") || return 1
  status=${answer##*$'\n'}
  answer=${answer%$'\n'*}
  if [[ $status != 2?? ]]; then
    say "$1 $2 answered $status: ${answer:0:500}"
    return 1
  fi
  printf '%s\n' "$answer"
}

demo_prepare() {
  load_service_environment
  DEMO_COMPANY=$(demo_company)
  [[ -n $DEMO_COMPANY ]] || die "syncctl seed-demo printed no company_id: $(cat "$RUN/demo.json")"
  (umask 077 && printf 'Authorization: Bearer %s\n' "$(demo_token)" >"$RUN/auth.header")
}

# Asks for a sync of every AO and waits until each job of the batch, and what it led to, has ended.
first_sync() {
  local answer batch left deadline rest
  answer=$(api POST /api/sync/manual) || die "the manual sync was refused"
  batch=$(json_field batch_id <<<"$answer")
  [[ $batch =~ ^[0-9a-f-]{36}$ ]] || die "POST /api/sync/manual gave no batch_id: $answer"
  deadline=$(($(now_ms) + 300000))
  while :; do
    left=$(ask "select count(*) from jobs where state in ('queued', 'running', 'retrying') or (state = 'scheduled' and batch_id = '$batch')")
    [[ $left != 0 ]] || break
    if (($(now_ms) > deadline)); then
      say "after 300 s, $left jobs of the first sync are not finished:"
      demo_psql -c "select kind, state, attempt, park_reason, errors -> -1 as last_error from jobs where batch_id = '$batch' and state <> 'succeeded'" >&2
      die "the first sync did not finish (make logs ARGS='scheduler sync-worker graph-connector --no-follow')"
    fi
    sleep 0.1
  done
  rest=$(ask "select count(*) from jobs where batch_id = '$batch' and state <> 'succeeded'")
  if [[ $rest != 0 ]]; then
    demo_psql -c "select kind, state, attempt, park_reason, errors -> -1 as last_error from jobs where batch_id = '$batch' and state <> 'succeeded'" >&2
    die "$rest jobs of the first sync did not succeed"
  fi
}

live_documents() { ask 'select count(*) from documents where deleted_at is null'; }

documents_table() {
  demo_psql -P footer=off -c "
    select coalesce(a.reference, d.entity_id) as ao, d.category, count(*) as documents, pg_size_pretty(sum(d.size)) as size
      from documents d left join aos a on a.id = d.entity_id
     where d.deleted_at is null
     group by 1, 2 order by 1, 2"
}

# await_row WHAT SINCE QUERY: until QUERY answers a row; prints it, and the time on stderr.
await_row() {
  local what=$1 since=$2 query=$3 row took
  while :; do
    row=$(ask "$query")
    took=$(($(now_ms) - since))
    if [[ -n $row ]]; then
      printf '    %-8s in the table after %5d ms%s\n' "$what" "$took" \
        "$( ((took <= CHANGE_GOAL_MS)) || printf '   (goal: %d ms)' "$CHANGE_GOAL_MS")" >&2
      printf '%s\n' "$row"
      return 0
    fi
    ((took < CHANGE_LIMIT_MS)) || break
    sleep 0.01
  done
  say "error: $what did not reach the table within $CHANGE_LIMIT_MS ms. Waited for: $query"
  say "  newest jobs:"
  demo_psql -c "select kind, state, attempt, run_at, errors -> -1 as last_error from jobs order by created_at desc limit 6" >&2 || true
  say "  subscriptions:"
  demo_psql -c "select resource_id, state, expires_at, last_notification_at, last_error from microsoft_subscriptions" >&2 || true
  return 1
}

# A file's life in the real folder, each step awaited in the real table.
live_changes() {
  local folder name renamed id since live='deleted_at is null'
  folder=$(find "$(demo_folder)" -type d -path '*/AO-*/02-*' -prune -print | sort | sed -n 1p)
  [[ -d $folder ]] || die "no category folder below $(demo_folder)"
  local moved_to
  moved_to=$(find "${folder%/*}" -mindepth 1 -maxdepth 1 -type d -name '03-*' | sed -n 1p)
  [[ -d $moved_to ]] || die "no second category folder beside $folder"
  name="demo-$$-$RANDOM.txt"
  renamed="renamed-$name"

  printf 'first\n' >"$folder/$name"
  since=$(now_ms)
  id=$(await_row create "$since" "select onedrive_id from documents where name = '$name' and $live") || return 1

  printf 'second line, so that size and hash differ\n' >>"$folder/$name"
  since=$(now_ms)
  await_row change "$since" "select 1 from documents where onedrive_id = '$id' and size = $(stat -c %s "$folder/$name") and $live" >/dev/null || return 1

  mv "$folder/$name" "$folder/$renamed"
  since=$(now_ms)
  await_row rename "$since" "select 1 from documents where onedrive_id = '$id' and name = '$renamed' and $live" >/dev/null || return 1

  mv "$folder/$renamed" "$moved_to/$renamed"
  since=$(now_ms)
  await_row move "$since" "select 1 from documents where onedrive_id = '$id' and category = '${moved_to##*/}' and $live" >/dev/null || return 1

  rm "$moved_to/$renamed"
  since=$(now_ms)
  await_row delete "$since" "select 1 where not exists (select from documents where onedrive_id = '$id' and $live)" >/dev/null
}

# google METHOD PATH [JSON]: Calendar v3 of the emulator, as the demo's Google account.
google() {
  local data=()
  if [[ -n ${3:-} ]]; then data=(-H 'content-type: application/json' -d "$3"); fi
  curl -fsS -m 30 -X "$1" -H "@$RUN/google.header" "${data[@]}" "$GOOGLE_CALENDAR_BASE_URL$2"
}

# Connects the demo account's calendar as a person would: start, consent page, back.
connect_calendar() {
  local consent back grant
  # A stand-in that was started anew knows nothing of the consent that the database remembers.
  if [[ -z ${was_up:-} || $(ask "select count(*) from google_calendar_connections where state = 'active'") == 0 ]]; then
    consent=$(curl -fsS -m 30 -o /dev/null -w '%{redirect_url}' -H "@$RUN/auth.header" \
      "http://127.0.0.1:$API_PORT/api/oauth/google/start") || return 1
    back=$(curl -fsS -m 30 -o /dev/null -w '%{redirect_url}' "$consent") || return 1
    api GET "${back#"http://127.0.0.1:$API_PORT"}" >/dev/null || return 1
  fi
  grant=$(curl -fsS -m 30 -X POST -H 'content-type: application/json' "http://127.0.0.1:$EMULATOR_CONTROL_PORT/tokens" \
    -d "{\"provider\": \"google\", \"account\": \"$DEMO_GOOGLE_ACCOUNT\"}") || return 1
  (umask 077 && printf 'Authorization: Bearer %s\n' "$(json_field access_token <<<"$grant")" >"$RUN/google.header")
  await_row connect "$(now_ms)" "select 1 from google_calendar_connections where sync_token is not null" >/dev/null
}

# await_google WHAT SINCE EVENT TEXT: until the event at Google contains the text.
await_google() {
  local what=$1 since=$2 event=$3 text=$4 took
  while :; do
    took=$(($(now_ms) - since))
    if google GET "/calendars/primary/events/$event" 2>/dev/null | grep -qF "$text"; then
      printf '    %-8s at Google after %5d ms%s\n' "$what" "$took" \
        "$( ((took <= CHANGE_GOAL_MS)) || printf '   (goal: %d ms)' "$CHANGE_GOAL_MS")" >&2
      return 0
    fi
    ((took < CHANGE_LIMIT_MS)) || break
    sleep 0.02
  done
  say "error: $what did not reach Google within $CHANGE_LIMIT_MS ms"
  demo_psql -c "select action, status, retry_count, error_message from google_calendar_sync_queue order by created_at desc limit 6" >&2 || true
  return 1
}

# An event's life on both sides.
calendar_changes() {
  local title id event since
  title="Site visit $$-$RANDOM"
  since=$(now_ms)
  id=$(ask "insert into events (title, start_at, end_at, time_zone)
    values ('$title', now() + interval '1 day', now() + interval '25 hours', 'Europe/Paris') returning id") || return 1
  event=$(await_row minted "$since" "select google_event_id from events where id = '$id' and google_event_id is not null") || return 1
  await_google create "$since" "$event" "$title" || return 1
  google PATCH "/calendars/primary/events/$event" '{"location": "Lyon"}' >/dev/null || return 1
  since=$(now_ms)
  await_row change "$since" "select 1 from events where id = '$id' and location = 'Lyon' and last_update_source = 'google'" >/dev/null || return 1
  ask "update events set title = 'moved: $title' where id = '$id'" || return 1
  since=$(now_ms)
  await_google change "$since" "$event" "moved: $title" || return 1
  google DELETE "/calendars/primary/events/$event" >/dev/null || return 1
  since=$(now_ms)
  await_row delete "$since" "select 1 from events where id = '$id' and deleted_at is not null" >/dev/null
}

what_to_try() {
  local folder
  folder=$(find "$(demo_folder)" -type d -path '*/AO-*/02-*' -prune -print | sort | sed -n 1p)
  cat <<TEXT

  folder     $(demo_folder)
  REST       http://127.0.0.1:$API_PORT          (OpenAPI: /openapi.json)
  webhooks   http://127.0.0.1:$WEBHOOK_PORT
  calendar   http://127.0.0.1:$EMULATOR_GOOGLE_PORT/          (edit it there, watch the table events; or the other way)
  emulator   http://127.0.0.1:$EMULATOR_MICROSOFT_PORT/v1.0   control http://127.0.0.1:$EMULATOR_CONTROL_PORT
  metrics    http://127.0.0.1:$API_ADMIN_PORT/metrics

Try, in a second terminal in this folder:
  eval "\$(make -s env)"
  echo hello > "$folder/hello.txt"
  psql "\$DATABASE_URL" -c "select name, category, size from documents where name = 'hello.txt'"
  curl -s -H "Authorization: Bearer \$SYNCLINE_TOKEN" "\$API_URL/api/sync/status"
  psql "\$DATABASE_URL" -c "insert into events (title, start_date, end_date) values ('Hello', '2027-01-04', '2027-01-05')"
  curl -s -X POST "\$EMULATOR_CONTROL_URL/faults" -H 'content-type: application/json' \\
    -d '{"provider":"microsoft","times":3,"fault":{"kind":"status","status":429,"retry_after":"2"}}'
TEXT
}
