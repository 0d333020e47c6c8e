//! The job ledger over REST.

use http::StatusCode;
use serde_json::json;

use super::World;

#[tokio::test]
async fn a_waiting_job_is_explained_and_cancelled() {
    let world = World::new().await;
    world.drive("b!d").await;
    world.put("/api/aos/ao-1", json!({ "reference": "1" })).await;
    world.put("/api/aos/ao-2", json!({ "reference": "2" })).await;
    let first = world.post("/api/sync/onedrive/ao-1", None).await.body;
    let second = world.post("/api/sync/onedrive/ao-2", None).await.body;
    let path = |job: &serde_json::Value, rest: &str| {
        format!("{}{rest}", job["location"].as_str().expect("a location"))
    };

    let behind = world.get(&path(&second, "/explain")).await.body;
    assert_eq!(
        (&behind["reason"], &behind["blocked_by"]),
        (&json!("behind_another"), &first["job_id"]),
        "{behind}"
    );
    let metrics = world.get("/api/metrics/queue").await.body;
    assert_eq!((&metrics["pending"], &metrics["dead"]), (&json!(2), &json!(0)), "{metrics}");
    assert_eq!(metrics["by_kind"]["documents.sync_ao"]["pending"], 2);

    let cancelled = world.post(&path(&first, "/cancel"), None).await;
    assert_eq!(
        (cancelled.status, &cancelled.body["state"]),
        (StatusCode::OK, &json!("cancelled")),
        "{cancelled:?}"
    );
    let again = world.post(&path(&first, "/cancel"), None).await;
    assert_eq!((again.status, &again.body["code"]), (StatusCode::CONFLICT, &json!("job_ended")));
    assert_eq!(world.get(&path(&first, "/explain")).await.body["reason"], "ended");
    let unknown = format!("/api/sync/jobs/{}", chassis::ids::new_id());
    for rest in ["", "/explain"] {
        assert_eq!(world.get(&format!("{unknown}{rest}")).await.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(world.post(&format!("{unknown}/cancel"), None).await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.get("/api/sync/jobs/not-a-uuid").await.status, StatusCode::BAD_REQUEST);

    let list = world.get("/api/sync/jobs?state=queued&kind=documents.sync_ao").await.body;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(world.get("/api/sync/jobs?state=asleep").await.status, StatusCode::UNPROCESSABLE_ENTITY);
}
