//! `/api/v1/audit/organizations/{org}`

use std::sync::Arc;

use audit_retention::{Steps, erase};
use audit_trail::{Trail, prove};
use http::{Method, StatusCode};
use outbound::audit_keys::AuditKeys;
use outbound::audit_subjects::SubjectKeys;
use serde_json::json;
use store::purge;
use store::retention_rules::{self, What};
use web::auth::Role;

use super::{OLD, sealer};
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
    let rules = json!([{ "what": "quarantine", "days": 7 }, { "what": "sync_history", "days": 30 }]);
    let with = json!({ "policies": wanted["policies"], "others": rules });
    assert_eq!(world.put(&path, with).await.status, StatusCode::OK);
    assert_eq!(world.put(&path, wanted.clone()).await.body["others"], rules, "kept where nothing is said");
    let company = world.company;
    world
        .db
        .execute(&format!(
            "INSERT INTO sync_history (id, company_id, source, triggered_by, status, started_at, finished_at)
             SELECT gen_random_uuid(), '{company}', 'onedrive', 'test', 'success', now() - n * interval '10 days',
                 now() - n * interval '10 days' FROM generate_series(1, 5) AS n;
             INSERT INTO sync_quarantine (id, company_id, source, resource_id, item_id, code, reason, state, resolved_at)
             SELECT gen_random_uuid(), '{company}', 'onedrive', 'd', n::text, 'poison', 'test',
                 CASE WHEN n = 1 THEN 'open' ELSE 'resolved' END, now() - n * interval '3 days'
             FROM generate_series(1, 4) AS n"
        ))
        .await;
    let mut tx = world.db.store.tenant(company).await.expect("a transaction");
    for (what, default, gone) in [(What::SyncHistory, 365, 3), (What::Quarantine, 90, 2)] {
        let days = retention_rules::days(&mut tx, company, what, default).await.expect("a rule");
        let purged = match what {
            What::SyncHistory => purge::sync_history(&mut tx, company, days, 100).await,
            _ => purge::quarantine(&mut tx, company, days, 100).await,
        };
        assert_eq!(purged.expect("purged"), gone, "{what:?} after {days} days");
    }
    assert_eq!(retention_rules::days(&mut tx, company, What::Deleted, 30).await.expect("a rule"), 30);
    for wrong in [
        json!({ "policies": [], "others": [{ "what": "everything", "days": 7 }] }),
        json!({ "policies": [], "others": [{ "what": "quarantine", "days": 0 }] }),
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

#[tokio::test]
async fn people_are_shown_until_they_are_erased_and_proofs_stand_alone() {
    let world = World::new().await;
    let base = format!("/api/v1/audit/organizations/{}", world.company);
    world.post(&format!("{base}/retention/pause"), Some(json!({ "reason": "ask eva@example.com" }))).await;
    let keys = Arc::new(AuditKeys::parse(OLD).expect("keys"));
    let subjects = Some(Arc::new(SubjectKeys::development()));
    let trail = Trail { store: world.db.store.clone(), stores: None, keys: keys.clone(), subjects };
    let sealer = sealer(&trail);
    sealer.seal_all().await.expect("sealed");
    sealer.sign_due(true).await.expect("signed");

    let records = world.get(&format!("{base}/records")).await;
    let record = &records.body["items"][0];
    assert_eq!(
        (&record["actor"], &record["reason"]),
        (&json!("user-1"), &json!("ask eva@example.com")),
        "{records:?}"
    );
    let stored = world.db.rows("SELECT actor, reason FROM audit_events WHERE sequence = 1").await;
    assert!(stored[0]["actor"].as_str().is_some_and(|actor| actor.starts_with("<subject:")), "{stored:?}");
    let answer = world.get(&format!("{base}/records/1/proof")).await;
    let proof: prove::Proof = serde_json::from_value(answer.body.clone()).expect("a proof");
    assert_eq!(prove::fault(&proof, &keys), None, "{answer:?}");
    refused(&world.get(&format!("{base}/records/2/proof")).await, StatusCode::NOT_FOUND, "not_found");
    let same = world.get(&format!("{base}/consistency?from=1&to=1")).await;
    let same: prove::Proof = serde_json::from_value(same.body).expect("a proof");
    assert_eq!(prove::fault(&same, &keys), None);
    assert_eq!(world.get(&format!("{base}/checkpoints")).await.body["items"][0]["size"], 1);

    let path = format!("{base}/erasure");
    for wrong in [
        json!({ "subjects": [], "basis": "law" }),
        json!({ "subjects": ["eva@example.com"], "basis": " " }),
        json!({ "subjects": ["eva@example.com"], "basis": "asked by eva@example.com" }),
        json!({ "subjects": ["Eva Muster"], "basis": "request of eva muster" }),
    ] {
        let answer = world.post(&path, Some(wrong)).await;
        refused(&answer, StatusCode::UNPROCESSABLE_ENTITY, "invalid_request");
    }
    let asked = json!({ "subjects": ["EVA@example.com", "nobody"], "basis": "GDPR Art. 17(1)(b)" });
    let answer = world.post(&path, Some(asked.clone())).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    let id = answer.body["erasure_id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    assert_eq!(audited(&world.db, "erasure.ask").await[0]["details"]["basis"], "GDPR Art. 17(1)(b)");
    let steps = Steps::alone(&world.db.store, world.company, chassis::ids::new_id());
    let done = erase(&trail, &steps, id).await.expect("erased");
    assert_eq!(done["erased"], 1, "{done}");
    let listed = world.get(&format!("{base}/erasures")).await;
    assert_eq!(
        (&listed.body["items"][0]["state"], &listed.body["items"][0]["erased"]),
        (&json!("done"), &json!(1))
    );
    let records = world.get(&format!("{base}/records?limit=200")).await;
    let first = records.body["items"].as_array().and_then(|items| items.last()).expect("a record").clone();
    assert_eq!((&first["actor"], &first["reason"]), (&json!("user-1"), &json!("ask erased")));

    let held = json!({ "policies": [{ "class": "grant", "archive_after_days": 1, "legal_hold": true }] });
    assert_eq!(world.put(&format!("{base}/policies"), held).await.status, StatusCode::OK);
    refused(&world.post(&path, Some(asked)).await, StatusCode::CONFLICT, "legal_hold");
}
