//! `/api/v1/audit/organizations/{org}`

use http::{Method, StatusCode};
use serde_json::json;
use web::auth::Role;

use crate::api::World;
use crate::api::queue::{audited, refused};

#[tokio::test]
async fn an_administrator_runs_verifies_pauses_and_reads() {
    let world = World::new().await;
    let base = format!("/api/v1/audit/organizations/{}", world.company);
    for (path, action, kind) in
        [("retention/run", "retention.run", "audit.retention"), ("verify", "audit.verify", "audit.verify")]
    {
        let answer = world.post(&format!("{base}/{path}"), Some(json!({}))).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
        let job = world.get(answer.body["location"].as_str().expect("a location")).await;
        assert_eq!(job.body["kind"], kind);
        assert_eq!(audited(&world.db, action).await[0]["details"]["job_id"], answer.body["job_id"]);
    }
    let paused = world.post(&format!("{base}/retention/pause"), Some(json!({ "reason": "looking" }))).await;
    assert_eq!((paused.status, &paused.body["paused"]), (StatusCode::OK, &json!(true)));
    world.post(&format!("{base}/retention/resume"), None).await;
    let events = world.get(&format!("{base}/events")).await;
    let named: Vec<_> =
        events.body["items"].as_array().expect("items").iter().map(|e| e["event"].clone()).collect();
    assert_eq!(named, [json!("purge.resumed"), json!("purge.paused")]);
    assert_eq!(world.get(&format!("{base}/retention/runs")).await.body["items"], json!([]));
    assert_eq!(world.get(&format!("{base}/archives")).await.body["items"], json!([]));
    let missing = world.post(&format!("{base}/archives/{}/restore", world.company), None).await;
    refused(&missing, StatusCode::NOT_FOUND, "not_found");
}

#[tokio::test]
async fn policies_are_tried_before_they_hold() {
    let world = World::new().await;
    let path = format!("/api/v1/audit/organizations/{}/policies", world.company);
    let wanted = json!({ "policies": [
        { "class": "*", "archive_after_days": 30, "purge_after_days": 400, "legal_hold": false },
        { "class": "grant", "archive_after_days": 1, "purge_after_days": null, "legal_hold": true },
    ] });
    let tried = world.put(&format!("{path}?dry_run=true"), wanted.clone()).await;
    assert_eq!((tried.status, &tried.body["dry_run"]), (StatusCode::OK, &json!(true)), "{tried:?}");
    assert_eq!(world.get(&path).await.body["policies"], json!([]));
    assert!(audited(&world.db, "retention.policies").await.is_empty());
    assert_eq!(world.put(&path, wanted.clone()).await.status, StatusCode::OK);
    assert_eq!(world.get(&path).await.body["policies"], wanted["policies"]);
    let changes = world.db.rows("SELECT changes FROM audit_events WHERE action = 'retention.policies'").await;
    assert_eq!(changes[0]["changes"]["grant"]["after"]["legal_hold"], true);
    for wrong in [
        json!({ "policies": [{ "class": "*", "archive_after_days": 9, "purge_after_days": 8 }] }),
        json!({ "policies": [{ "class": "A b", "archive_after_days": 9 }] }),
    ] {
        let answer = world.put(&path, wrong).await;
        refused(&answer, StatusCode::UNPROCESSABLE_ENTITY, "invalid_request");
    }
}

#[tokio::test]
async fn others_are_refused() {
    let world = World::new().await;
    let base = format!("/api/v1/audit/organizations/{}", world.company);
    let operator = world.call(Role::Operator, Method::POST, &format!("{base}/verify"), None).await;
    refused(&operator, StatusCode::FORBIDDEN, "forbidden");
    let other = world.db.company().await;
    let foreign = world.post(&format!("/api/v1/audit/organizations/{other}/verify"), None).await;
    refused(&foreign, StatusCode::NOT_FOUND, "not_found");
}
