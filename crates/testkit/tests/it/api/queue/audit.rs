//! The record of what people did.

use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use web::auth::Role;

use super::{Dead, audited, dead, refused};
use crate::api::{World, token};

#[tokio::test]
async fn it_names_who_why_and_which_request() {
    let world = World::new().await;
    let ids = dead(&world.db, world.company, 2, &Dead::default()).await;
    let request = |reason: &[u8], body: &'static str| {
        Request::builder()
            .method(Method::POST)
            .uri(format!("/api/queue/retry/{}", ids[0]))
            .header("authorization", format!("Bearer {}", token(world.company, Role::Operator)))
            .header("content-type", "application/json")
            .header("x-request-id", "req-7")
            .header("x-trace-id", "0af7651916cd43dd8448eb211c80319c")
            .header("x-reason", reason)
            .body(Body::from(body))
            .expect("a request")
    };
    let long = world.send(request(&[b'a'; 1001], "{}")).await;
    refused(&long, StatusCode::UNPROCESSABLE_ENTITY, "invalid_request");
    assert_eq!(world.db.number("SELECT count(*) FROM jobs_dead").await, 2, "nothing was done");
    world.send(request("geflickt für Ümit".as_bytes(), "{}")).await;
    let row = &audited(&world.db, "dead_letter.retry").await[0];
    assert_eq!(
        (&row["actor"], &row["role"], &row["reason"], &row["request_id"], &row["trace_id"]),
        (
            &json!("user-1"),
            &json!("operator"),
            &json!("geflickt für Ümit"),
            &json!("req-7"),
            &json!("0af7651916cd43dd8448eb211c80319c")
        )
    );
    assert_eq!(row["resource"], format!("job:{}", ids[0]));

    // A request without ids has those of its answer.
    world.drive("b!d").await;
    world.put("/api/aos/ao-1", json!({ "reference": "1" })).await;
    let job = world.post("/api/sync/onedrive/ao-1", None).await.body;
    let path = format!("{}/cancel", job["location"].as_str().expect("a location"));
    let cancelled = world.post(&path, Some(json!({ "reason": "by mistake" }))).await;
    let row = &audited(&world.db, "job.cancel").await[0];
    assert_eq!((&row["reason"], &row["role"]), (&json!("by mistake"), &json!("admin")));
    for (column, header) in [("request_id", "x-request-id"), ("trace_id", "x-trace-id")] {
        assert_eq!(row[column], cancelled.headers[header].to_str().expect("text"), "{column}");
    }
}

#[tokio::test]
async fn it_can_only_grow() {
    let world = World::new().await;
    let id = dead(&world.db, world.company, 1, &Dead::default()).await[0];
    world.post(&format!("/api/queue/retry/{id}"), None).await;
    let company = world.company;
    for role in ["", "SET LOCAL ROLE syncline_dispatch;"] {
        for statement in
            ["UPDATE audit_events SET actor = 'nobody'", "DELETE FROM audit_events", "TRUNCATE audit_events"]
        {
            let sql = format!("BEGIN; SET LOCAL app.company_id = '{company}'; {role} {statement}; COMMIT");
            let refusal = store::admin::execute(&world.db.app_url, &sql).await.expect_err(statement);
            let text = chassis::telemetry::chain(&refusal);
            assert!(text.contains("permission denied"), "{statement}: {text}");
        }
    }
    assert_eq!(world.db.number("SELECT count(*) FROM audit_events").await, 1);
    let unsealed: Vec<Value> = world.db.rows("SELECT sequence FROM audit_events").await;
    assert_eq!(unsealed, [json!({ "sequence": null })]);
    let other = world.db.company().await;
    let seen = format!("SET app.company_id = '{other}'; SELECT count(*) AS n FROM audit_events");
    assert!(store::admin::execute(&world.db.app_url, &seen).await.is_ok());
    let mut tx = world.db.store.tenant(other).await.expect("a transaction");
    let theirs =
        store::audit::of_resource(&mut tx, company, &format!("job:{id}"), 10).await.expect("a query");
    assert!(theirs.is_empty(), "another organization sees nothing of it");
}
