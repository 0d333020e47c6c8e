//! Messages that nobody could claim.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use store::jobs::{DeadMessage, archive_broker_dead_letter};
use uuid::Uuid;
use web::auth::Role;

use super::{Dead, audited, dead, refused};
use crate::api::World;

async fn archive(world: &World, company: Option<Uuid>, body: &[u8]) -> Uuid {
    let message = DeadMessage {
        id: chassis::ids::new_id(),
        company,
        job: None,
        routing_key: "documents.sync_ao".to_owned(),
        reason: "delivery_limit".to_owned(),
        headers: json!({ "x-death": [{ "reason": "delivery_limit" }], "authorization": "Bearer abc" }),
        body: body.to_vec(),
    };
    let mut tx = world.db.store.dispatch().await.expect("a transaction");
    archive_broker_dead_letter(&mut tx, &message).await.expect("a row");
    tx.commit().await.expect("a commit");
    message.id
}

#[tokio::test]
async fn they_are_listed_beside_dead_jobs_read_and_discarded() {
    let world = World::new().await;
    let company = world.company.uuid();
    let job = dead(&world.db, world.company, 1, &Dead::default()).await[0];
    let text = archive(&world, Some(company), b"{\"job\": 1, \"client_secret\": \"s-1\"}").await;
    let bytes = archive(&world, Some(company), &[0xff, 0, 1]).await;
    let long = archive(&world, Some(company), "ä".repeat(40_000).as_bytes()).await;
    let nobodys = archive(&world, None, b"garbage").await;
    let others = archive(&world, Some(world.db.company().await.uuid()), b"theirs").await;

    let list = world.get("/api/queue/dead-letter").await.body;
    let ids: Vec<&Value> = list["items"].as_array().expect("items").iter().map(|item| &item["id"]).collect();
    assert_eq!(
        ids,
        [&json!(long), &json!(bytes), &json!(text), &json!(job)],
        "newest first, of both sources"
    );
    let first = world.get("/api/queue/dead-letter?limit=3").await.body;
    let cursor = first["next_cursor"].as_str().expect("one more");
    let second = world.get(&format!("/api/queue/dead-letter?limit=3&cursor={cursor}")).await.body;
    assert_eq!(second["items"][0]["id"], json!(job), "pages go through both sources");

    let shown = world.get(&format!("/api/queue/dead-letter/{text}")).await.body;
    assert_eq!((&shown["source"], &shown["state"]), (&json!("broker"), &json!("dead")));
    assert_eq!(shown["message"]["encoding"], "text");
    assert_eq!(shown["message"]["headers"]["authorization"], "[redacted]");
    assert!(!shown.to_string().contains("s-1") && shown.to_string().contains("delivery_limit"), "{shown}");
    let shown = world.get(&format!("/api/queue/dead-letter/{bytes}")).await.body;
    assert_eq!(
        (&shown["message"]["encoding"], &shown["message"]["body"]),
        (&json!("base64"), &json!("/wAB"))
    );
    let shown = world.get(&format!("/api/queue/dead-letter/{long}")).await.body;
    assert_eq!((&shown["message"]["truncated"], &shown["message"]["size"]), (&json!(true), &json!(80_000)));
    assert_eq!(shown["message"]["body"].as_str().map(str::len), Some(64 * 1024));

    let retry = world.post(&format!("/api/queue/retry/{text}"), None).await;
    refused(&retry, StatusCode::CONFLICT, "not_a_job");
    for hidden in [nobodys, others] {
        let path = format!("/api/queue/dead-letter/{hidden}");
        for method in [Method::GET, Method::DELETE] {
            let answer = world.call(Role::Owner, method, &path, None).await;
            refused(&answer, StatusCode::NOT_FOUND, "not_found");
        }
    }

    let path = format!("/api/queue/dead-letter/{text}");
    let gone =
        world.call(Role::Operator, Method::DELETE, &path, Some(json!({ "reason": "an old build" }))).await;
    assert_eq!((gone.status, &gone.body["state"]), (StatusCode::OK, &json!("cancelled")), "{gone:?}");
    let kept = "SELECT discarded_by, discard_reason FROM broker_dead_letters WHERE discarded_at IS NOT NULL";
    assert_eq!(
        world.db.rows(kept).await,
        [json!({ "discarded_by": "user-1", "discard_reason": "an old build" })]
    );
    assert_eq!(
        world.get("/api/queue/dead-letter?source=broker").await.body["items"].as_array().map(Vec::len),
        Some(2)
    );
    assert_eq!(audited(&world.db, "broker_message.discard").await.len(), 1);
}
