//! Starting, watching and configuring synchronisation.

use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use web::auth::Role;

use super::{Answer, World, token};

async fn with_key(world: &World, key: &str, path: &str, body: Option<Value>) -> Answer {
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header("authorization", format!("Bearer {}", token(world.company, Role::Operator)))
        .header("idempotency-key", key)
        .header("content-type", "application/json")
        .body(body.map_or_else(Body::empty, |b| Body::from(b.to_string())));
    world.send(request.expect("a request")).await
}

#[tokio::test]
async fn one_ao_has_one_sync_at_a_time() {
    let world = World::new().await;
    assert_eq!(world.post("/api/sync/onedrive/ao-1", None).await.status, StatusCode::NOT_FOUND);
    world.put("/api/aos/ao-1", json!({ "reference": "1" })).await;
    let nowhere = world.post("/api/sync/onedrive/ao-1", None).await;
    assert_eq!((nowhere.status, &nowhere.body["code"]), (StatusCode::CONFLICT, &json!("no_drive")));
    world.drive("b!d").await;

    let first = world.post("/api/sync/onedrive/ao-1", None).await;
    assert_eq!((first.status, &first.body["status"]), (StatusCode::ACCEPTED, &json!("queued")), "{first:?}");
    assert_eq!(first.headers["location"], first.body["location"].as_str().expect("a location"));
    let job = world.get(first.body["location"].as_str().expect("a location")).await;
    assert_eq!((&job.body["kind"], &job.body["state"]), (&json!("documents.sync_ao"), &json!("queued")));
    assert_eq!(job.body["resource"], "drive:b!d");
    assert_eq!(job.body["progress"], json!({ "done": 0, "total": null, "unit": null }));
    let row = &world.db.rows("SELECT payload, priority, requested_by, dedupe_key FROM jobs").await[0];
    assert_eq!(
        row["payload"],
        json!({ "ao_id": "ao-1", "force": false, "trigger": "manual", "dry_run": false })
    );
    assert_eq!((&row["priority"], &row["requested_by"]), (&json!(9), &json!("user-1")));

    let second = world.post("/api/sync/onedrive/ao-1?force=false", None).await;
    assert_eq!(second.status, StatusCode::CONFLICT);
    assert_eq!(second.body["code"], "sync_already_in_progress");
    assert_eq!(second.body["job_id"], first.body["job_id"]);

    let forced = world.post("/api/sync/onedrive/ao-1?force=true", None).await;
    assert_eq!(
        forced.status,
        StatusCode::ACCEPTED,
        "a waiting delta does not do what force asks for: {forced:?}"
    );
    let third = world.post("/api/sync/onedrive/ao-1", None).await;
    assert_eq!((third.status, &third.body["job_id"]), (StatusCode::CONFLICT, &forced.body["job_id"]));
    assert_eq!(
        world.post("/api/sync/onedrive/ao-1?farce=1", None).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
}

#[tokio::test]
async fn an_idempotency_key_answers_twice_and_acts_once() {
    let world = World::new().await;
    world.drive("b!d").await;
    let first = with_key(&world, "k1", "/api/sync/run", Some(json!({ "dry_run": true }))).await;
    assert_eq!(first.status, StatusCode::ACCEPTED, "{first:?}");
    let again = with_key(&world, "k1", "/api/sync/run", Some(json!({ "dry_run": true }))).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(again.headers["location"], first.headers["location"]);
    let other = with_key(&world, "k1", "/api/sync/run", Some(json!({}))).await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY, "{other:?}");
    let bad = with_key(&world, "k 1", "/api/sync/run", None).await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    assert_eq!(world.db.number("SELECT count(*) FROM jobs").await, 1);

    let (one, two) = tokio::join!(
        with_key(&world, "k2", "/api/sync/run", Some(json!({}))),
        with_key(&world, "k2", "/api/sync/run", Some(json!({}))),
    );
    assert_eq!(one.body["batch_id"], two.body["batch_id"], "{one:?} {two:?}");
}

#[tokio::test]
async fn manual_reads_unread_drives_then_one_job_per_ao() {
    let world = World::new().await;
    let empty = world.post("/api/sync/manual", None).await;
    assert_eq!((empty.status, &empty.body["count"]), (StatusCode::ACCEPTED, &json!(0)));
    world.drive("b!d").await;
    let first = world.post("/api/sync/manual", None).await;
    assert_eq!(first.body["jobs"][0]["drive_id"], "b!d", "{first:?}");

    let company = world.company;
    world
        .db
        .execute(&format!(
            "INSERT INTO microsoft_sync_state (company_id, resource_type, resource_id, delta_link)
             VALUES ('{company}', 'drive', 'b!d', 'https://example/delta')"
        ))
        .await;
    for n in 0..3 {
        world.put(&format!("/api/aos/ao-{n}"), json!({ "reference": n.to_string() })).await;
    }
    let all = world.post("/api/sync/manual", None).await;
    assert_eq!((all.status, &all.body["count"]), (StatusCode::ACCEPTED, &json!(3)), "{all:?}");
    let batch = all.body["batch_id"].as_str().expect("a batch");
    let jobs = world.get(&format!("/api/sync/jobs?batch_id={batch}")).await;
    assert_eq!(jobs.body["items"].as_array().map(Vec::len), Some(3));
    let again = world.post("/api/sync/manual", None).await;
    assert!(
        again.body["jobs"].as_array().expect("jobs").iter().all(|job| job["status"] == "coalesced"),
        "{again:?}"
    );
}

#[tokio::test]
async fn the_switch_and_the_schedule_are_stored() {
    let world = World::new().await;
    let early = world.post("/api/sync/disable", None).await;
    assert_eq!(
        (early.status, &early.body["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("schedule_not_ready"))
    );
    world.schedules().await;
    let status = world.get("/api/sync/status").await;
    assert_eq!((&status.body["isEnabled"], &status.body["schedule"]), (&json!(true), &json!("0 */6 * * *")));
    assert_eq!(status.body["lastSyncStatus"], Value::Null);
    assert!(status.body["nextSyncAt"].is_string(), "{status:?}");

    let off = world.post("/api/sync/disable", None).await;
    assert_eq!((&off.body["isEnabled"], &off.body["nextSyncAt"]), (&json!(false), &Value::Null), "{off:?}");
    assert_eq!(world.db.number("SELECT count(*) FROM schedules WHERE active").await, 0);
    assert_eq!(world.post("/api/sync/enable", None).await.body["isEnabled"], true);

    let change = json!({
        "schedule": "30 2 * * *", "time_zone": "Europe/Paris", "conflict_policy": "app_wins",
        "mass_change": { "share": 0.5 },
    });
    let config = world.put("/api/sync/config", change).await;
    assert_eq!(config.status, StatusCode::OK, "{config:?}");
    let stored = world.get("/api/sync/config").await;
    assert_eq!(
        (&stored.body["schedule"], &stored.body["time_zone"]),
        (&json!("30 2 * * *"), &json!("Europe/Paris"))
    );
    assert_eq!(stored.body["mass_change"], json!({ "share": 0.5, "minimum": 50 }));
    assert_eq!(
        (&stored.body["conflict_policy"], &stored.body["updated_by"]),
        (&json!("app_wins"), &json!("user-1"))
    );

    for (change, field) in [
        (json!({ "schedule": "every day" }), "schedule"),
        (json!({ "time_zone": "Mars/Phobos" }), "time_zone"),
        (json!({ "conflict_policy": "coin" }), "conflict_policy"),
        (json!({ "mass_change": { "share": 0 } }), "mass_change.share"),
        (json!({ "enabled_sources": ["gopher"] }), "enabled_sources"),
        (json!({ "mass_change": { "size": 0 } }), "mass_change.size"),
    ] {
        let refused = world.put("/api/sync/config", change).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{refused:?}");
        assert_eq!(refused.body["errors"][0]["field"], field, "{refused:?}");
    }

    world.put("/api/sync/config", json!({ "enabled_sources": [] })).await;
    let disabled = world.post("/api/sync/run", Some(json!({ "source": "onedrive" }))).await;
    assert_eq!((disabled.status, &disabled.body["code"]), (StatusCode::CONFLICT, &json!("source_disabled")));
}

#[tokio::test]
async fn history_keeps_the_runbooks_shape() {
    let world = World::new().await;
    let none = world.get("/api/sync/history/latest").await;
    assert_eq!((none.status, &none.body["code"]), (StatusCode::NOT_FOUND, &json!("no_sync_yet")));
    let mut tx = world.db.store.tenant(world.company).await.expect("a transaction");
    for n in 0..3 {
        let run = store::history::NewRun {
            source: "onedrive".to_owned(),
            triggered_by: "manual".to_owned(),
            job_id: chassis::ids::new_id(),
            batch_id: None,
            drive_id: Some("b!d".to_owned()),
            ao_id: None,
            forced: false,
        };
        let id = store::history::begin(&mut tx, world.company, &run).await.expect("a run");
        let end = store::history::RunEnd {
            success: n < 2,
            total_aos: 42,
            added: 15,
            updated: 3,
            deleted: 1,
            errors: if n < 2 { vec![] } else { vec!["boom".to_owned()] },
            ..store::history::RunEnd::default()
        };
        store::history::finish(&mut tx, world.company, id, &end).await.expect("an end");
    }
    tx.commit().await.expect("a commit");
    let latest = world.get("/api/sync/history/latest").await.body;
    for (name, value) in [
        ("status", json!("error")),
        ("totalAOs", json!(42)),
        ("documentsAdded", json!(15)),
        ("documentsUpdated", json!(3)),
        ("documentsDeleted", json!(1)),
        ("errors", json!(["boom"])),
    ] {
        assert_eq!(latest[name], value, "{name} in {latest}");
    }
    assert!(latest["duration"].is_number() && latest["timestamp"].is_string(), "{latest}");
    let list = world.get("/api/sync/history?status=success&limit=1").await;
    assert!(list.body["next_cursor"].is_string(), "{list:?}");
    let metrics = world.get("/api/metrics/sync").await.body;
    assert_eq!(metrics["sources"]["onedrive"]["items"], json!({ "added": 45, "updated": 9, "deleted": 3 }));
    assert_eq!(metrics["sources"]["onedrive"]["consecutive_failures"], 1, "{metrics}");
    assert_eq!(metrics["sources"]["onedrive"]["cache_hit_rate"], 0.75);
    assert_eq!(world.get("/api/sync/status").await.body["lastSyncStatus"], "error");

    // A run whose job is gone does not run, whatever its row says.
    world.db.execute("UPDATE sync_history SET status = 'running', finished_at = NULL").await;
    assert_eq!(world.get("/api/sync/status").await.body["lastSyncStatus"], "error");
}
