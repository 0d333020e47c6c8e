//! What the triggers on `events` put into the queue.

use domain::ids::CompanyId;
use serde_json::{Value, json};
use store::admin;
use store::calendar::queue::{self, Next};
use testkit::{TestDb, fresh_database};

struct World {
    db: TestDb,
    company: CompanyId,
}

impl World {
    async fn new() -> Self {
        let db = fresh_database().await;
        let company = db.company().await;
        Self { db, company }
    }

    /// Statements of the application, committed together.
    async fn app(&self, sql: &str) {
        let mut tx = self.db.store.tenant(self.company).await.expect("a transaction");
        admin::execute_in(&mut tx, sql)
            .await
            .unwrap_or_else(|e| panic!("{sql}: {}", chassis::telemetry::chain(&e)));
        tx.commit().await.expect("a commit");
    }

    /// (action, status) of the queue, oldest first.
    async fn queue(&self) -> Vec<(String, String)> {
        let rows =
            self.db.rows("SELECT action, status FROM google_calendar_sync_queue ORDER BY created_at").await;
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        rows.iter().map(|row| (text(&row["action"]), text(&row["status"]))).collect()
    }

    async fn event(&self) -> Value {
        self.db.rows("SELECT * FROM events").await.remove(0)
    }
}

fn entry(action: &str, status: &str) -> (String, String) {
    (action.to_owned(), status.to_owned())
}

#[tokio::test]
async fn app_writes_coalesce_and_googles_are_ignored() {
    let world = World::new().await;
    world
        .app("INSERT INTO events (title, start_date, end_date) VALUES ('a', '2026-01-01', '2026-01-02')")
        .await;
    assert_eq!(world.queue().await, [entry("create", "pending")]);
    let event = world.event().await;
    assert_eq!(
        (&event["all_day"], &event["app_version"]),
        (&json!(true), &json!(1)),
        "dates alone are all day"
    );
    world.app("UPDATE events SET title = 'b'; UPDATE events SET location = 'c'").await;
    assert_eq!(world.queue().await, [entry("create", "pending")], "still one, still a creation");
    world.app("UPDATE events SET title = title").await;
    assert_eq!(world.event().await["app_version"], 3, "nothing changed, nothing is new");
    world
        .app(
            "UPDATE events SET google_calendar_id = 'c', google_event_id = 'e', provider_etag = 'x',
                 last_synced_at = now(), last_update_source = 'app';
             UPDATE google_calendar_sync_queue SET status = 'completed'",
        )
        .await;
    assert_eq!(world.queue().await.len(), 1, "book-keeping is no edit");
    world.app("UPDATE events SET title = 'of Google', last_update_source = 'google'").await;
    world.app("UPDATE events SET title = 'again of Google', last_update_source = 'google'").await;
    world.app("INSERT INTO events (title, last_update_source) VALUES ('new of Google', 'google')").await;
    assert_eq!(world.queue().await.len(), 1, "Google's writes are not queued");
    world.app("DELETE FROM events WHERE title = 'new of Google'").await;
    assert_eq!(world.queue().await.len(), 1, "Google never had it under an id");
}

#[tokio::test]
async fn an_edit_after_googles_is_the_applications_without_saying_so() {
    let world = World::new().await;
    world
        .app(
            "INSERT INTO events (title, google_calendar_id, google_event_id, last_update_source)
             VALUES ('of Google', 'c', 'e', 'google')",
        )
        .await;
    assert!(world.queue().await.is_empty());
    world.app("UPDATE events SET title = 'of the app'").await;
    assert_eq!(world.queue().await, [entry("update", "pending")]);
    assert_eq!(world.event().await["last_update_source"], "app");
}

#[tokio::test]
async fn deletions_of_both_kinds_keep_what_google_needs() {
    let world = World::new().await;
    let insert = |id: &str| {
        format!(
            "INSERT INTO events (title, google_calendar_id, google_event_id, provider_etag, last_update_source)
             VALUES ('{id}', 'c', '{id}', 'etag-{id}', 'google')"
        )
    };
    world.app(&insert("soft")).await;
    world.app("UPDATE events SET deleted_at = now()").await;
    assert_eq!(world.queue().await, [entry("delete", "pending")]);
    world.app("DELETE FROM events").await;
    assert_eq!(world.queue().await, [entry("delete", "pending")], "still one");
    world.app("UPDATE google_calendar_sync_queue SET status = 'completed'").await;
    world.app(&insert("hard")).await;
    world.app("DELETE FROM events").await;
    let rows =
        world.db.rows("SELECT snapshot FROM google_calendar_sync_queue WHERE status = 'pending'").await;
    let snapshot = &rows[0]["snapshot"];
    assert_eq!(
        (&snapshot["google_event_id"], &snapshot["provider_etag"]),
        (&json!("hard"), &json!("etag-hard"))
    );
    world.app("UPDATE google_calendar_sync_queue SET status = 'completed'").await;
    // What Google deleted long ago is purged without a word.
    world.app(&insert("purged")).await;
    world.app("UPDATE events SET deleted_at = now(), last_update_source = 'google'").await;
    world.app("DELETE FROM events").await;
    assert_eq!(
        world.db.number("SELECT count(*) FROM google_calendar_sync_queue WHERE status = 'pending'").await,
        0
    );
    // An undelivered event takes its entry with it, an undeleted one is an update.
    world.app("INSERT INTO events (title) VALUES ('never')").await;
    world.app("UPDATE events SET deleted_at = now()").await;
    assert_eq!(
        world.db.number("SELECT count(*) FROM google_calendar_sync_queue WHERE status = 'pending'").await,
        0
    );
    world.app("UPDATE events SET deleted_at = NULL").await;
    let actions =
        world.db.rows("SELECT action FROM google_calendar_sync_queue WHERE status = 'pending'").await;
    assert_eq!(actions, [json!({ "action": "create" })]);
}

#[tokio::test]
async fn work_is_claimed_retried_parked_and_replayed() {
    let world = World::new().await;
    let (account, connection) = (chassis::ids::new_id(), chassis::ids::new_id());
    let company = world.company;
    world
        .app(&format!(
            "INSERT INTO calendar_accounts (id, company_id, subject) VALUES ('{account}', '{company}', '117');
             INSERT INTO google_calendar_connections (id, company_id, account_id, calendar_id)
                 VALUES ('{connection}', '{company}', '{account}', 'a@example.com');
             INSERT INTO events (title) VALUES ('a')"
        ))
        .await;
    let mut tx = world.db.store.dispatch().await.expect("a transaction");
    let due = queue::due(&mut tx, 10).await.expect("a query");
    assert_eq!(due.len(), 1, "an event without a calendar goes to the company's");
    assert_eq!((due[0].company_id, due[0].connection_id), (company.uuid(), connection));
    drop(tx);
    let store = &world.db.store;
    let mut tx = store.tenant(company).await.expect("a transaction");
    let claimed = queue::claim(&mut tx, company, connection, 10).await.expect("a query");
    assert_eq!(claimed.len(), 1);
    assert!(queue::claim(&mut tx, company, connection, 10).await.expect("a query").is_empty());
    tx.commit().await.expect("a commit");
    // An edit while it is in work gets an entry of its own; the one that is put back makes way.
    world.app("UPDATE events SET title = 'b'").await;
    assert_eq!(world.queue().await.len(), 2);
    let mut tx = store.tenant(company).await.expect("a transaction");
    let id = claimed[0].id;
    let status = queue::put_back(&mut tx, company, id, Next::Retry(0.0), "503", Some("body")).await;
    assert_eq!(status.expect("a query").as_deref(), Some("completed"));
    let second = queue::claim(&mut tx, company, connection, 10).await.expect("a query");
    let id = second[0].id;
    for attempt in 1..=second[0].max_retries + 1 {
        let status = queue::put_back(&mut tx, company, id, Next::Retry(0.0), "503", None).await;
        let expected = if attempt > second[0].max_retries { "failed" } else { "pending" };
        assert_eq!(status.expect("a query").as_deref(), Some(expected), "attempt {attempt}");
    }
    tx.commit().await.expect("a commit");
    world.app("UPDATE events SET title = 'c'").await;
    let mut tx = store.tenant(company).await.expect("a transaction");
    let third = queue::claim(&mut tx, company, connection, 10).await.expect("a query");
    // A crash: the lease's next holder puts it back.
    assert_eq!(queue::reclaim(&mut tx, company, connection).await.expect("a query"), 1);
    let again = queue::claim(&mut tx, company, connection, 10).await.expect("a query");
    assert_eq!(again[0].id, third[0].id);
    let parked = queue::put_back(&mut tx, company, again[0].id, Next::Park, "reauth", None).await;
    assert_eq!(parked.expect("a query").as_deref(), Some("parked"));
    tx.commit().await.expect("a commit");
    world.app("UPDATE events SET title = 'd'").await;
    assert_eq!(
        world.db.number("SELECT count(*) FROM google_calendar_sync_queue WHERE status = 'parked'").await,
        1,
        "edits of a parked event coalesce with it"
    );
    let mut tx = store.tenant(company).await.expect("a transaction");
    assert_eq!(queue::replay(&mut tx, company, connection).await.expect("a query"), 1);
    let last = queue::claim(&mut tx, company, connection, 10).await.expect("a query");
    queue::complete(&mut tx, company, last[0].id).await.expect("a query");
    tx.commit().await.expect("a commit");
    assert_eq!(
        world.db.number("SELECT count(*) FROM google_calendar_sync_queue WHERE status = 'pending'").await,
        0
    );
}

#[tokio::test]
async fn an_override_of_googles_never_seen_series_is_a_row() {
    let world = World::new().await;
    world
        .app(
            "INSERT INTO events (google_calendar_id, google_event_id, recurring_event_id, original_start, status,
                 deleted_at, last_update_source, raw)
             VALUES ('c', 'm_20260101', 'm', '2026-01-01', 'cancelled', now(), 'google', '{\"id\":\"m_20260101\"}')",
        )
        .await;
    assert!(world.queue().await.is_empty());
    let doubled = world
        .db
        .store
        .tenant(world.company)
        .await
        .map(|mut tx| async move {
            let sql = "INSERT INTO events (google_calendar_id, google_event_id) VALUES ('c', 'm_20260101')";
            admin::execute_in(&mut tx, sql).await
        })
        .expect("a transaction")
        .await;
    assert!(
        matches!(&doubled, Err(store::StoreError::Constraint { constraint, .. })
            if constraint == "events_google_calendar_event_unique"),
        "{doubled:?}"
    );
}
