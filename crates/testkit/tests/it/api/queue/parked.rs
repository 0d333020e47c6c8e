//! Jobs that wait for a person.

use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{audited, refused};
use crate::api::World;

async fn parked(world: &World, number: usize, reason: &str) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for n in 0..number {
        let id = chassis::ids::new_id();
        let company = world.company;
        world
            .db
            .execute(&format!(
                "INSERT INTO jobs_live (id, company_id, kind, version, queue, payload, state, attempt, max_attempts,
                     run_at, attempt_seconds, park_reason, errors, updated_at)
                 VALUES ('{id}', '{company}', 'documents.sync_ao', 1, 'jobs.documents', '{{}}', 'parked', 2, 10, now(),
                     60, '{reason}', '[{{\"code\": \"c\", \"message\": \"no consent, token=abc\"}}]',
                     now() - interval '1 hour' + {n} * interval '1 second')"
            ))
            .await;
        ids.push(id);
    }
    ids
}

#[tokio::test]
async fn they_say_who_can_mend_them_and_are_released() {
    let world = World::new().await;
    let consent = parked(&world, 3, "consent").await;
    let locked = parked(&world, 1, "locked").await;
    let list = world.get("/api/queue/parked?reason=consent&limit=2").await.body;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2), "{list}");
    let first = &list["items"][0];
    assert_eq!((&first["id"], &first["reason"]), (&json!(consent[0]), &json!("consent")));
    assert!(first["mended_by"].as_str().is_some_and(|text| text.contains("consents")), "{first}");
    assert!(first["waiting_seconds"].as_i64().is_some_and(|s| (3590..3700).contains(&s)), "{first}");
    assert_eq!(first["last_error"]["message"], "no consent, token=[redacted]");
    let cursor = list["next_cursor"].as_str().expect("a second page");
    let rest = world.get(&format!("/api/queue/parked?reason=consent&limit=2&cursor={cursor}")).await.body;
    assert_eq!((&rest["items"][0]["id"], &rest["next_cursor"]), (&json!(consent[2]), &Value::Null));

    let path = format!("/api/queue/parked/{}/release", locked[0]);
    let one = world.post(&path, Some(json!({ "reason": "unlocked" }))).await;
    assert_eq!((one.status, &one.body["state"]), (StatusCode::ACCEPTED, &json!("queued")), "{one:?}");
    assert_eq!((&one.body["attempt"], &one.body["park_reason"]), (&json!(0), &Value::Null));
    refused(&world.post(&path, None).await, StatusCode::CONFLICT, "not_parked");
    let nowhere = format!("/api/queue/parked/{}/release", chassis::ids::new_id());
    refused(&world.post(&nowhere, None).await, StatusCode::NOT_FOUND, "not_found");

    let all =
        world.post("/api/queue/parked/release", Some(json!({ "reason": "consent", "why": "granted" }))).await;
    assert_eq!((all.status, &all.body["released"]), (StatusCode::OK, &json!(3)), "{all:?}");
    assert_eq!(world.db.number("SELECT count(*) FROM outbox").await, 4, "each has its bell");
    let again = world.post("/api/queue/parked/release", Some(json!({ "reason": "consent" }))).await;
    assert_eq!(again.body["released"], 0);
    let wrong = world.post("/api/queue/parked/release", Some(json!({ "reason": "boredom" }))).await;
    refused(&wrong, StatusCode::UNPROCESSABLE_ENTITY, "invalid_request");
    assert_eq!(world.get("/api/queue/parked").await.body["items"], json!([]));

    let one = audited(&world.db, "job.release").await;
    assert_eq!(
        (&one[0]["reason"], &one[0]["details"]["park_reason"]),
        (&json!("unlocked"), &json!("locked"))
    );
    let all = audited(&world.db, "job.release_all").await;
    assert_eq!((&all[0]["reason"], &all[0]["details"]["released"]), (&json!("granted"), &json!(3)));
}
