//! Reading dead letters.

use http::{Method, StatusCode};
use serde_json::json;
use web::auth::Role;

use super::{Dead, dead, refused};
use crate::api::World;

#[tokio::test]
async fn they_are_listed_filtered_paged_and_grouped() {
    let world = World::new().await;
    let (db, company) = (&world.db, world.company);
    let sweeps = dead(db, company, 3, &Dead::default()).await;
    let drive = Dead {
        kind: "documents.sync_drive",
        payload: json!({ "drive_id": "b!d", "mode": "delta", "trigger": "manual" }),
        code: "itemNotFound",
        message: "Item 42 was not found",
        ..Dead::default()
    };
    let drives = dead(db, company, 2, &drive).await;
    dead(db, db.company().await, 4, &Dead::default()).await;

    let all = world.get("/api/queue/dead-letter").await;
    assert_eq!(all.status, StatusCode::OK);
    assert_eq!(all.body["items"].as_array().map(Vec::len), Some(5), "only our own: {}", all.body);
    let first = world.get("/api/queue/dead-letter?limit=2&kind=maintenance.sweep_drives").await.body;
    assert_eq!((&first["items"][0]["id"], &first["items"][1]["id"]), (&json!(sweeps[2]), &json!(sweeps[1])));
    let cursor = first["next_cursor"].as_str().expect("a second page");
    let path = format!("/api/queue/dead-letter?limit=2&kind=maintenance.sweep_drives&cursor={cursor}");
    let second = world.get(&path).await.body;
    assert_eq!((&second["items"][0]["id"], &second["next_cursor"]), (&json!(sweeps[0]), &json!(null)));

    let fingerprint = first["items"][0]["fingerprint"].as_str().expect("a fingerprint").to_owned();
    for (filter, number) in [
        (format!("error={fingerprint}"), 3),
        ("error=itemNotFound".to_owned(), 2),
        ("error=WAS%20NOT".to_owned(), 2),
        ("error=nowhere".to_owned(), 0),
        ("since=2999-01-01T00:00:00Z".to_owned(), 0),
        ("since=2001-01-01T00:00:00Z&source=ledger".to_owned(), 5),
        ("source=broker".to_owned(), 0),
    ] {
        let page = world.get(&format!("/api/queue/dead-letter?{filter}")).await.body;
        assert_eq!(page["items"].as_array().map(Vec::len), Some(number), "{filter}: {page}");
    }
    for wrong in ["source=mail", "since=yesterday", "limit=0", "colour=red"] {
        let answer = world.get(&format!("/api/queue/dead-letter?{wrong}")).await;
        refused(&answer, StatusCode::UNPROCESSABLE_ENTITY, "invalid_request");
    }

    let groups = world.get("/api/queue/dead-letter/groups").await.body;
    assert_eq!(groups["items"].as_array().map(Vec::len), Some(2), "{groups}");
    let largest = &groups["items"][0];
    assert_eq!((&largest["count"], &largest["fingerprint"]), (&json!(3), &json!(fingerprint)));
    assert_eq!(largest["kinds"], json!(["maintenance.sweep_drives"]));
    assert_eq!(largest["example"]["message"], "failed always");
    assert!(largest["first_seen"].is_string() && largest["last_seen"].is_string());
    let one = world.get("/api/queue/dead-letter/groups?error=itemNotFound").await.body;
    assert_eq!((&one["items"][0]["count"], drives.len()), (&json!(2), 2));

    let viewer = world.call(Role::Viewer, Method::GET, "/api/queue/dead-letter", None).await;
    refused(&viewer, StatusCode::FORBIDDEN, "forbidden");
}

#[tokio::test]
async fn one_is_shown_with_everything_but_its_secrets() {
    let world = World::new().await;
    let letter = Dead {
        payload: json!({
            "trigger": "manual", "refresh_token": "hush-r", "nested": { "clientState": "hush-c" },
            "url": "https://h/f?x=1&tempauth=hush-t",
        }),
        message: "GET https://h/f?access_token=hush-a failed",
        ..Dead::default()
    };
    let id = dead(&world.db, world.company, 1, &letter).await[0];
    let shown = world.get(&format!("/api/queue/dead-letter/{id}")).await;
    assert_eq!(shown.status, StatusCode::OK, "{shown:?}");
    let body = &shown.body;
    assert_eq!(
        body["payload"],
        json!({
            "trigger": "manual", "refresh_token": "[redacted]", "nested": { "clientState": "[redacted]" },
            "url": "https://h/f?x=1&tempauth=[redacted]",
        })
    );
    for secret in ["hush-r", "hush-c", "hush-t", "hush-a"] {
        assert!(!body.to_string().contains(secret), "{secret} in {body}");
    }
    for (name, value) in [
        ("state", json!("dead")),
        ("source", json!("ledger")),
        ("attempt", json!(3)),
        ("max_attempts", json!(3)),
        ("trace_id", json!("0af7651916cd43dd8448eb211c80319c")),
        ("requested_by", json!("user-1")),
    ] {
        assert_eq!(body[name], value, "{name} in {body}");
    }
    assert_eq!(body["last_error"]["chain"], json!(["the cause"]));
    assert_eq!(body["last_error"], body["errors"][0]);
    assert!(body["first_failed_at"].is_string());

    world.drive("b!d").await;
    world.put("/api/aos/ao-1", json!({ "reference": "1" })).await;
    let job = world.post("/api/sync/onedrive/ao-1", None).await.body;
    let live = world.get(&format!("/api/queue/dead-letter/{}", job["job_id"].as_str().expect("an id"))).await;
    refused(&live, StatusCode::CONFLICT, "not_dead");
    assert_eq!(live.body["state"], "queued");
    let nowhere = world.get(&format!("/api/queue/dead-letter/{}", chassis::ids::new_id())).await;
    refused(&nowhere, StatusCode::NOT_FOUND, "not_found");
}
