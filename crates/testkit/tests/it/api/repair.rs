//! Quarantine, parked runs, lasting failures, cursors.

use http::StatusCode;
use serde_json::json;
use store::parked::NewParked;
use store::quarantine::NewQuarantine;

use super::World;

#[tokio::test]
async fn a_quarantined_item_is_counted_and_its_drive_read_again() {
    let world = World::new().await;
    let item = NewQuarantine {
        source: "onedrive".to_owned(),
        resource_id: "b!d".to_owned(),
        item_id: "i1".to_owned(),
        code: "poison".to_owned(),
        reason: "no id".to_owned(),
        raw: Some("{\"a\": \"\0\"}".to_owned()),
    };
    for _ in 0..2 {
        let mut tx = world.db.store.tenant(world.company).await.expect("a transaction");
        let twice = [item.clone(), item.clone()];
        store::quarantine::put(&mut tx, world.company, &twice).await.expect("a row");
        tx.commit().await.expect("a commit");
    }
    let list = world.get("/api/sync/quarantine").await.body;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!((&list["items"][0]["occurrences"], &list["items"][0]["code"]), (&json!(2), &json!("poison")));
    let id = list["items"][0]["id"].as_str().expect("an id");
    let retried = world.post(&format!("/api/sync/quarantine/{id}/retry"), None).await;
    assert_eq!(retried.status, StatusCode::ACCEPTED, "{retried:?}");
    let payload = &world.db.rows("SELECT payload FROM jobs").await[0]["payload"];
    assert_eq!((&payload["mode"], &payload["drive_id"]), (&json!("full"), &json!("b!d")));

    let mut tx = world.db.store.tenant(world.company).await.expect("a transaction");
    let ids = ["i1".to_owned()];
    let resolved = store::quarantine::resolve(&mut tx, world.company, "onedrive", "b!d", &ids, None).await;
    assert_eq!(resolved.expect("an update"), 1);
    tx.commit().await.expect("a commit");
    assert_eq!(world.get("/api/sync/quarantine").await.body["items"], json!([]));
    let late = world.post(&format!("/api/sync/quarantine/{id}/retry"), None).await;
    assert_eq!((late.status, &late.body["code"]), (StatusCode::CONFLICT, &json!("already_resolved")));
}

#[tokio::test]
async fn a_parked_run_is_decided_once() {
    let world = World::new().await;
    let run = NewParked {
        source: "onedrive".to_owned(),
        resource_id: "b!d".to_owned(),
        job_id: None,
        existing: 100,
        would_delete: 80,
        sample: json!(["a.pdf"]),
        reason: "80 of 100".to_owned(),
    };
    let mut tx = world.db.store.tenant(world.company).await.expect("a transaction");
    let id = store::parked::put(&mut tx, world.company, &run).await.expect("a row");
    assert_eq!(
        store::parked::put(&mut tx, world.company, &run).await.expect("a row"),
        id,
        "one question at a time"
    );
    tx.commit().await.expect("a commit");
    let list = world.get("/api/sync/parked").await.body;
    assert_eq!(
        (&list["items"][0]["would_delete"], &list["items"][0]["state"]),
        (&json!(80), &json!("pending"))
    );
    let approved = world.post(&format!("/api/sync/parked/{id}/approve"), None).await;
    assert_eq!(approved.status, StatusCode::ACCEPTED, "{approved:?}");
    let payload = &world.db.rows("SELECT payload FROM jobs").await[0]["payload"];
    assert_eq!((&payload["approved_removals"], &payload["dry_run"]), (&json!(80), &json!(false)));
    let late = world.post(&format!("/api/sync/parked/{id}/reject"), None).await;
    assert_eq!((late.status, &late.body["decided_by"]), (StatusCode::CONFLICT, &json!("user-1")), "{late:?}");
    assert_eq!(world.get("/api/sync/parked").await.body["items"], json!([]));
    assert_eq!(world.get("/api/sync/parked?state=all").await.body["items"][0]["state"], "approved");
    let unknown = format!("/api/sync/parked/{}/approve", chassis::ids::new_id());
    assert_eq!(world.post(&unknown, None).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn lasting_failures_and_cursor_ages_are_shown() {
    let world = World::new().await;
    for (id, days) in [("ao-old", 5), ("ao-new", 1)] {
        world.put(&format!("/api/aos/{id}"), json!({ "reference": id })).await;
        let sql = format!("UPDATE aos SET failing_since = now() - interval '{days} days' WHERE id = '{id}'");
        world.db.execute(&sql).await;
    }
    let list = world.get("/api/sync/failures").await.body;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(
        (&list["items"][0]["ao_id"], &list["items"][0]["failing_days"]),
        (&json!("ao-old"), &json!(5))
    );
    let first = world.get("/api/sync/failures?days=0&limit=1").await.body;
    let cursor = first["next_cursor"].as_str().expect("a second page");
    let second = world.get(&format!("/api/sync/failures?days=0&cursor={cursor}")).await.body;
    assert_eq!(second["items"][0]["ao_id"], "ao-new", "{second}");

    assert_eq!(world.get("/api/sync/state/b!d/drive").await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.get("/api/sync/state/b!d/planets").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let company = world.company;
    world
        .db
        .execute(&format!(
            "INSERT INTO microsoft_sync_state (company_id, resource_type, resource_id, delta_link, last_success_at)
             VALUES ('{company}', 'drive', 'b!d', 'https://secret/delta', now() - interval '90 seconds')"
        ))
        .await;
    let state = world.get("/api/sync/state/b!d/drive").await.body;
    assert!(state["cursor_age_seconds"].as_i64().is_some_and(|age| (89..200).contains(&age)), "{state}");
    assert!(!state.to_string().contains("secret"), "the cursor itself stays here");
}
