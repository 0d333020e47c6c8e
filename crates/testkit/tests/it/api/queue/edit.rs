//! Editing payloads, and giving dead letters up.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use web::auth::Role;

use super::{Dead, audited, dead, refused};
use crate::api::World;

fn drive() -> Dead {
    Dead {
        kind: "documents.sync_drive",
        payload: json!({ "drive_id": "b!wrong?token=s3", "mode": "delta", "trigger": "manual" }),
        ..Dead::default()
    }
}

#[tokio::test]
async fn a_bad_payload_is_refused_by_field_and_changes_nothing() {
    let world = World::new().await;
    let id = dead(&world.db, world.company, 1, &drive()).await[0];
    let path = format!("/api/queue/dead-letter/{id}");
    for (payload, field) in [
        (json!({ "drive_id": 7, "mode": "delta", "trigger": "manual" }), "payload.drive_id"),
        (json!({ "drive_id": "b!d", "mode": "sideways", "trigger": "manual" }), "payload.mode"),
        (json!({ "drive_id": "b!d", "trigger": "manual" }), "payload.mode"),
        (json!({ "drive_id": "b!d", "mode": "full", "trigger": "manual", "colour": 1 }), "payload.colour"),
        (json!({ "drive_id": "b!d", "mode": "[redacted]", "trigger": "manual" }), "payload.mode"),
        (json!([]), "payload"),
    ] {
        let refusal = world.put(&path, json!({ "payload": payload })).await;
        refused(&refusal, StatusCode::UNPROCESSABLE_ENTITY, "invalid_request");
        let named = refusal.body["errors"][0]["field"].as_str().expect("a field");
        assert!(named.starts_with(field), "{named} for {field}: {refusal:?}");
    }
    refused(&world.put(&path, json!({})).await, StatusCode::UNPROCESSABLE_ENTITY, "invalid_request");
    let stored = &world.db.rows("SELECT payload, checkpoint FROM jobs_dead").await[0];
    assert_eq!((&stored["payload"], &stored["checkpoint"]), (&drive().payload, &json!({ "page": 1 })));
    assert_eq!(world.db.number("SELECT count(*) FROM dead_letter_edits").await, 0);
    assert_eq!(audited(&world.db, "dead_letter.edit").await, Vec::<Value>::new());
}

#[tokio::test]
async fn an_edit_keeps_the_original_and_the_secrets_that_were_not_shown() {
    let world = World::new().await;
    let id = dead(&world.db, world.company, 1, &drive()).await[0];
    let path = format!("/api/queue/dead-letter/{id}");
    let mut payload = world.get(&path).await.body["payload"].clone();
    assert_eq!(payload["drive_id"], "b!wrong?token=[redacted]");
    payload["mode"] = json!("full");
    let edited = world.put(&path, json!({ "payload": payload, "reason": "delta link is broken" })).await;
    assert_eq!(edited.status, StatusCode::OK, "{edited:?}");
    assert_eq!(edited.body["edits"][0]["before"]["mode"], "delta");
    assert_eq!(edited.body["edits"][0]["edited_by"], "user-1");
    let stored = &world.db.rows("SELECT payload, checkpoint FROM jobs_dead").await[0];
    assert_eq!(
        stored["payload"],
        json!({ "drive_id": "b!wrong?token=s3", "mode": "full", "trigger": "manual" }),
        "what was behind the mark is kept"
    );
    assert_eq!(stored["checkpoint"], Value::Null);
    payload["drive_id"] = json!("b!right");
    world.put(&path, json!({ "payload": payload })).await;
    let shown = world.get(&path).await.body;
    assert_eq!(shown["edits"].as_array().map(Vec::len), Some(2));
    assert_eq!(shown["payload"]["drive_id"], "b!right");
    let original = &world.db.rows("SELECT before FROM dead_letter_edits ORDER BY edited_at LIMIT 1").await[0];
    assert_eq!(original["before"], drive().payload);

    let rows = audited(&world.db, "dead_letter.edit").await;
    assert_eq!((rows.len(), &rows[0]["reason"]), (2, &json!("delta link is broken")));
    let viewer = world.call(Role::Viewer, Method::PUT, &path, Some(json!({ "payload": {} }))).await;
    refused(&viewer, StatusCode::FORBIDDEN, "forbidden");
}

#[tokio::test]
async fn a_discarded_job_stays_in_the_history_with_who_and_why() {
    let world = World::new().await;
    let id = dead(&world.db, world.company, 1, &Dead::default()).await[0];
    let path = format!("/api/queue/dead-letter/{id}");
    let body = Some(json!({ "reason": "the drive is gone" }));
    let discarded = world.call(Role::Operator, Method::DELETE, &path, body).await;
    assert_eq!((discarded.status, &discarded.body["state"]), (StatusCode::OK, &json!("cancelled")));
    let job = world.get(&format!("/api/sync/jobs/{id}")).await.body;
    assert_eq!(job["result"], json!({ "discarded_by": "user-1", "reason": "the drive is gone" }));
    assert_eq!(job["errors"][0]["code"], "always", "its errors are kept");
    let again = world.call(Role::Operator, Method::DELETE, &path, None).await;
    refused(&again, StatusCode::CONFLICT, "not_dead");
    let retry = world.post(&format!("/api/queue/retry/{id}"), None).await;
    refused(&retry, StatusCode::CONFLICT, "job_cancelled");
    let put = world.put(&path, json!({ "payload": {} })).await;
    refused(&put, StatusCode::CONFLICT, "not_dead");
    assert_eq!(audited(&world.db, "dead_letter.discard").await[0]["reason"], "the drive is gone");
}
