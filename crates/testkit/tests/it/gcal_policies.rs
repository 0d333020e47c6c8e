//! Hostile queries against the row-level security of the calendar: users who try to see and change what is not
//! theirs.

use domain::ids::CompanyId;
use serde_json::Value;
use store::{Tx, admin};
use testkit::{TestDb, fresh_database};

struct World {
    db: TestDb,
    company: CompanyId,
    other: CompanyId,
}

impl World {
    /// Two companies; in the first one a viewer `vera`, an operator `otto` and an administrator `anna`, each with an
    /// event; a stranger `zoe` who is no member.
    async fn new() -> Self {
        let db = fresh_database().await;
        let (company, other) = (db.company().await, db.company().await);
        let (account, connection) = (chassis::ids::new_id(), chassis::ids::new_id());
        db.execute(&format!(
            "INSERT INTO company_users (company_id, user_id, role) VALUES ('{company}', 'vera', 'viewer'),
                 ('{company}', 'otto', 'operator'), ('{company}', 'anna', 'admin'), ('{other}', 'zoe', 'owner');
             INSERT INTO events (company_id, user_id, title) VALUES ('{company}', 'vera', 'of vera'),
                 ('{company}', 'otto', 'of otto'), ('{company}', 'anna', 'of anna'), ('{company}', NULL, 'of nobody'),
                 ('{other}', 'zoe', 'of zoe');
             INSERT INTO calendar_accounts (id, company_id, subject, token_key_id, token_data_key, refresh_token)
                 VALUES ('{account}', '{company}', '117', 'k', '\\x01', '\\x02');
             INSERT INTO google_calendar_connections (id, company_id, account_id, calendar_id)
                 VALUES ('{connection}', '{company}', '{account}', 'a@example.com');
             INSERT INTO google_calendar_webhooks (id, company_id, connection_id, calendar_id, channel_id, token_sha256)
                 VALUES (gen_random_uuid(), '{company}', '{connection}', 'a@example.com', 'ch', '\\x00');
             INSERT INTO oauth_states (state_sha256, company_id, user_id, session_sha256, verifier, expires_at)
                 VALUES ('\\x07', '{company}', 'anna', '\\x08', '\\x09', now() + interval '1 hour');
             INSERT INTO sync_conflicts (id, company_id, field, kept, policy)
                 VALUES (gen_random_uuid(), '{company}', 'title', 'app', 'newest_wins')"
        ))
        .await;
        Self { db, company, other }
    }

    async fn user(&self, name: &str) -> Tx {
        self.db.store.tenant_user(self.company, name).await.expect("a transaction")
    }

    /// How many rows of a table a user sees.
    async fn sees(&self, name: &str, table: &str) -> i64 {
        let mut tx = self.user(name).await;
        count(&mut tx, table).await
    }

    /// Runs a statement as a user and undoes it: rows affected, or the refusal's text.
    async fn tries(&self, name: &str, sql: &str) -> Result<i64, String> {
        let mut tx = self.user(name).await;
        let counted = format!(
            "DO $x$ DECLARE n bigint; BEGIN {sql}; GET DIAGNOSTICS n = ROW_COUNT;
             PERFORM set_config('test.rows', n::text, true); END $x$"
        );
        if let Err(error) = admin::execute_in(&mut tx, &counted).await {
            return Err(chassis::telemetry::chain(&error));
        }
        let rows = admin::rows_in(&mut tx, "SELECT current_setting('test.rows')::bigint AS n").await;
        Ok(rows.expect("a query")[0]["n"].as_i64().expect("a number"))
    }
}

async fn count(tx: &mut Tx, table: &str) -> i64 {
    let rows = admin::rows_in(tx, &format!("SELECT count(*) AS n FROM {table}")).await.expect("a query");
    rows[0]["n"].as_i64().expect("a number")
}

const REFUSED: &str = "row-level security";

#[tokio::test]
async fn events_belong_to_their_user_in_the_company() {
    let world = World::new().await;
    for (name, seen) in [("vera", 1), ("otto", 1), ("anna", 1), ("zoe", 0), ("nobody", 0), ("' OR 1=1 --", 0)]
    {
        assert_eq!(world.sees(name, "events").await, seen, "{name}");
    }
    let mut service = world.db.store.tenant(world.company).await.expect("a transaction");
    assert_eq!(count(&mut service, "events").await, 4, "services see the company");
    drop(service);
    for (sql, rows) in [
        ("UPDATE events SET title = 'mine now' WHERE title = 'of otto'", 0),
        ("UPDATE events SET title = 'mine now'", 1),
        ("DELETE FROM events WHERE title = 'of anna'", 0),
        ("INSERT INTO events (title) VALUES ('hers, by default')", 1),
    ] {
        assert_eq!(world.tries("vera", sql).await, Ok(rows), "{sql}");
    }
    let other = world.other;
    for sql in [
        "INSERT INTO events (user_id, title) VALUES ('otto', 'planted')".to_owned(),
        "UPDATE events SET user_id = 'otto'".to_owned(),
        format!("UPDATE events SET company_id = '{other}'"),
        format!("INSERT INTO events (company_id, user_id, title) VALUES ('{other}', 'vera', 'planted')"),
    ] {
        let refusal = world.tries("vera", &sql).await.expect_err(&sql);
        assert!(refusal.contains(REFUSED), "{sql}: {refusal}");
    }
    let refusal = world.tries("zoe", "INSERT INTO events (title) VALUES ('x')").await.expect_err("no member");
    assert!(refusal.contains(REFUSED), "{refusal}");
}

#[tokio::test]
async fn the_queue_is_readable_and_only_the_trigger_writes_it() {
    let world = World::new().await;
    assert_eq!(world.sees("vera", "google_calendar_sync_queue").await, 4);
    assert_eq!(world.sees("zoe", "google_calendar_sync_queue").await, 0, "no member of this company");
    for sql in [
        "UPDATE google_calendar_sync_queue SET status = 'completed'",
        "DELETE FROM google_calendar_sync_queue",
    ] {
        assert_eq!(world.tries("anna", sql).await, Ok(0), "{sql}");
    }
    let sql = "INSERT INTO google_calendar_sync_queue (company_id, event_id, action)
        SELECT company_id, gen_random_uuid(), 'delete' FROM events";
    let refusal = world.tries("anna", sql).await.expect_err("a planted deletion");
    assert!(refusal.contains(REFUSED), "{refusal}");
    // The trigger does, on behalf of the user's own edit.
    let mut tx = world.user("vera").await;
    admin::execute_in(&mut tx, "INSERT INTO events (title) VALUES ('new')").await.expect("her own event");
    assert_eq!(count(&mut tx, "google_calendar_sync_queue").await, 5);
    // And is no way in: it can be called by no one.
    let called = admin::execute_in(&mut tx, "SELECT queue_google_calendar_sync()").await;
    assert!(called.is_err());
}

#[tokio::test]
async fn channels_and_connections_are_for_administrators() {
    let world = World::new().await;
    for table in ["google_calendar_webhooks", "google_calendar_connections"] {
        for (name, seen) in [("vera", 0), ("otto", 0), ("anna", 1), ("zoe", 0)] {
            assert_eq!(world.sees(name, table).await, seen, "{name} {table}");
        }
    }
    let update = "UPDATE google_calendar_webhooks SET enabled = false";
    let delete = "DELETE FROM google_calendar_webhooks";
    let insert = "INSERT INTO google_calendar_webhooks (id, company_id, connection_id, calendar_id, channel_id, \
        token_sha256) SELECT gen_random_uuid(), company_id, id, calendar_id, 'planted', '\\x00' \
        FROM google_calendar_connections";
    assert_eq!(world.tries("anna", update).await, Ok(0), "the runbook grants SELECT, INSERT, DELETE");
    assert_eq!(world.tries("anna", delete).await, Ok(1));
    assert_eq!(world.tries("anna", insert).await, Ok(1));
    assert_eq!(world.tries("otto", delete).await, Ok(0));
    assert_eq!(world.tries("otto", insert).await, Ok(0), "there is no connection that an operator could see");
}

#[tokio::test]
async fn grants_and_consents_are_for_services_alone() {
    let world = World::new().await;
    for table in ["calendar_accounts", "oauth_states"] {
        for name in ["vera", "anna", "zoe"] {
            assert_eq!(world.sees(name, table).await, 0, "{name} {table}");
        }
    }
    assert_eq!(world.sees("otto", "sync_conflicts").await, 1);
    assert_eq!(world.sees("vera", "sync_conflicts").await, 0);
    assert_eq!(world.tries("anna", "DELETE FROM sync_conflicts").await, Ok(0));
    // The role that sees all companies sees no grant.
    let mut tx = world.db.store.dispatch().await.expect("a transaction");
    let refused = admin::rows_in(&mut tx, "SELECT * FROM calendar_accounts").await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn without_a_company_nothing_is_seen() {
    let world = World::new().await;
    for table in [
        "events",
        "google_calendar_connections",
        "google_calendar_webhooks",
        "google_calendar_sync_queue",
        "sync_conflicts",
        "calendar_accounts",
        "oauth_states",
        "cron.job",
    ] {
        let query = format!("SELECT count(*) AS n FROM {table}");
        let rows = admin::rows(&world.db.app_url, &query).await.expect("a query");
        assert_eq!(rows[0]["n"], Value::from(0), "{table}");
    }
    let mut tx = world.db.store.tenant(world.other).await.expect("a transaction");
    assert_eq!(count(&mut tx, "events").await, 1);
    assert_eq!(count(&mut tx, "google_calendar_connections").await, 0);
}
