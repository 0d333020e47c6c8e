//! Every SQL statement of the calendar runbook, as the application role, and what it is to mean.

use std::path::PathBuf;

use contracts::jobs::{JobPayload, PushCalendars, RenewChannels};
use domain::ids::CompanyId;
use domain::schedule::Missed;
use serde_json::{Value, json};
use store::schedules::{DefaultSchedule, ensure};
use store::{Tx, admin};
use testkit::{TestDb, fresh_database};

/// Statements of the runbook's `sql` blocks; `None`, with a message, where there is no runbook.
fn statements() -> Option<Vec<String>> {
    let root = std::env::var_os("SYNCLINE_FIXTURES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures"),
        PathBuf::from,
    );
    let file = root.join("../seeds/google-calendar-sync-runbook.md");
    let Ok(text) = std::fs::read_to_string(&file) else {
        eprintln!("skipped: no {}", file.display());
        return None;
    };
    let mut statements = Vec::new();
    let mut block: Option<String> = None;
    for line in text.lines().map(str::trim) {
        match (&mut block, line) {
            (None, "```sql") => block = Some(String::new()),
            (Some(sql), "```") => {
                let parts = sql.split(';').map(|part| part.trim().to_owned());
                statements.extend(parts.filter(|part| !part.is_empty()));
                block = None;
            }
            (Some(sql), line) if !line.starts_with("--") => {
                sql.push_str(line);
                sql.push('\n');
            }
            _ => {}
        }
    }
    Some(statements)
}

async fn tenant(db: &TestDb, company: CompanyId) -> Tx {
    db.store.tenant(company).await.expect("a transaction")
}

/// A company with a calendar, a channel, a synced event, a deleted one, a waiting app write and a failed one.
async fn filled(db: &TestDb) -> CompanyId {
    let company = db.company().await;
    let (account, connection) = (chassis::ids::new_id(), chassis::ids::new_id());
    let mut tx = tenant(db, company).await;
    for (name, kind, payload) in [
        ("renew-google-calendar-webhooks", RenewChannels::KIND, json!(RenewChannels { within_hours: 36 })),
        ("process-google-calendar-sync-queue", PushCalendars::KIND, json!(PushCalendars {})),
    ] {
        let schedule = DefaultSchedule {
            jobname: name.to_owned(),
            schedule: "0 3 * * *".to_owned(),
            time_zone: "UTC".to_owned(),
            command: kind.to_owned(),
            payload,
            active: true,
            missed_policy: Missed::RunOnce,
            jitter_seconds: 0,
            description: String::new(),
        };
        ensure(&mut tx, company, &schedule).await.expect("a schedule");
    }
    admin::execute_in(
        &mut tx,
        &format!(
            "INSERT INTO calendar_accounts (id, company_id, subject) VALUES ('{account}', '{company}', '117');
             INSERT INTO google_calendar_connections (id, company_id, account_id, calendar_id, expires_at, sync_token)
                 VALUES ('{connection}', '{company}', '{account}', 'a@example.com', now() + interval '1 hour', 's');
             INSERT INTO google_calendar_webhooks (id, company_id, connection_id, calendar_id, channel_id,
                 token_sha256, resource_id, expiration_timestamp, state)
                 VALUES (gen_random_uuid(), '{company}', '{connection}', 'a@example.com', 'c1', '\\x00', 'r',
                     (extract(epoch FROM now()) * 1000)::bigint + 7200000, 'active');
             INSERT INTO events (title, google_calendar_id, google_event_id, last_update_source, last_synced_at)
                 VALUES ('of Google', 'a@example.com', 'e1', 'google', now());
             INSERT INTO events (title, google_calendar_id, google_event_id, last_update_source, deleted_at)
                 VALUES ('gone', 'a@example.com', 'e2', 'google', now());
             INSERT INTO events (title) VALUES ('of the app'), ('refused');
             UPDATE google_calendar_sync_queue SET status = 'failed', error_message = 'no'
                 WHERE event_id = (SELECT id FROM events WHERE title = 'refused')"
        ),
    )
    .await
    .expect("rows");
    tx.commit().await.expect("a commit");
    company
}

fn answer<'a>(answers: &'a [(String, Vec<Value>)], part: &str) -> &'a [Value] {
    let found = answers.iter().find(|(sql, _)| sql.contains(part));
    &found.unwrap_or_else(|| panic!("the runbook has no statement with {part:?}")).1
}

#[tokio::test]
async fn every_statement_runs_and_means_what_the_runbook_says() {
    let Some(statements) = statements() else { return };
    let db = fresh_database().await;
    let company = filled(&db).await;
    let mut answers = Vec::new();
    for sql in statements {
        // pg_cron is not installed: schema `cron` shows our own schedules instead.
        if sql.starts_with("CREATE EXTENSION") {
            continue;
        }
        let mut tx = tenant(&db, company).await;
        let rows = admin::rows_in(&mut tx, &sql).await;
        let rows = rows.unwrap_or_else(|error| panic!("{sql}\n{}", chassis::telemetry::chain(&error)));
        answers.push((sql, rows));
    }
    assert!(answers.len() >= 16, "only {} statements", answers.len());
    let columns = answer(&answers, "information_schema.columns");
    let names: Vec<_> = columns.iter().map(|row| row["column_name"].as_str().expect("a name")).collect();
    assert_eq!(
        names,
        [
            "deleted_at",
            "google_calendar_id",
            "google_event_id",
            "google_updated_at",
            "last_synced_at",
            "last_update_source"
        ]
    );
    let constraint = answer(&answers, "pg_get_constraintdef");
    assert_eq!(constraint[0]["definition"], "UNIQUE (google_calendar_id, google_event_id)");
    assert_eq!(answer(&answers, "information_schema.tables").len(), 2);
    let jobs = answer(&answers, "jobname LIKE '%google-calendar%'");
    assert_eq!(jobs.len(), 2, "schedules are shown as pg_cron shows its jobs");
    let hours = answer(&answers, "hours_until_expiration");
    assert!(
        (1.9..=2.1).contains(&hours[0]["hours_until_expiration"].as_f64().expect("a number")),
        "{hours:?}"
    );
    let pending = answer(&answers, "WHERE status = 'pending'\nORDER BY created_at DESC");
    assert_eq!(pending.len(), 1, "{pending:?}");
    assert_eq!((&pending[0]["action"], &pending[0]["retry_count"]), (&json!("create"), &json!(0)));
    let failed = answer(&answers, "WHERE status = 'failed'");
    assert_eq!((failed.len(), &failed[0]["error_message"]), (1, &json!("no")));
    let synced = answer(&answers, "last_synced_at,\ngoogle_updated_at");
    assert!(synced.iter().any(|row| row["title"] == "of Google" && row["last_update_source"] == "google"));
    let deleted = answer(&answers, "WHERE deleted_at IS NOT NULL");
    assert_eq!((deleted.len(), &deleted[0]["title"]), (1, &json!("gone")));
    assert!(answer(&answers, "HAVING COUNT(*) > 1").is_empty(), "no duplicates");
    let connections = answer(&answers, "has_sync_token");
    assert_eq!((connections.len(), &connections[0]["has_sync_token"]), (1, &json!(true)));
    assert_eq!(answer(&answers, "is_valid")[0]["is_valid"], true);
    assert_eq!(answer(&answers, "google_calendar_id IS NULL")[0]["count"], 0);
}

#[tokio::test]
async fn the_runbooks_indexes_exist_with_their_conditions() {
    let db = fresh_database().await;
    let rows = db.rows("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'events'").await;
    let of = |name: &str| {
        let row = rows.iter().find(|row| row["indexname"] == name);
        row.unwrap_or_else(|| panic!("no index {name}"))["indexdef"].as_str().expect("text").to_owned()
    };
    for (name, column) in [
        ("idx_events_google_calendar_id", "google_calendar_id"),
        ("idx_events_google_event_id", "google_event_id"),
        ("idx_events_deleted_at", "deleted_at"),
        ("idx_events_last_update_source", "last_update_source"),
    ] {
        assert!(of(name).ends_with(&format!("({column}) WHERE ({column} IS NOT NULL)")), "{}", of(name));
    }
    assert!(of("idx_events_google_composite").contains("(google_calendar_id, google_event_id,"));
}
