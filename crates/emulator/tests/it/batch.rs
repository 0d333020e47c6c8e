use http::Method;
use serde_json::{Value, json};

use crate::support::Stage;

async fn batch(stage: &Stage, requests: Value) -> Vec<Value> {
    let body = json!({"requests": requests}).to_string();
    stage.send(Method::POST, "/$batch", body).await.expect(200).json()["responses"]
        .as_array()
        .unwrap()
        .clone()
}

#[tokio::test]
async fn each_item_has_its_own_outcome() {
    let stage = Stage::generated(20).await;
    let responses = batch(&stage, json!([
        {"id": "1", "method": "GET", "url": "/drives/d/root"},
        {"id": "2", "method": "GET", "url": "/drives/d/items/none"},
        {"id": "3", "method": "GET", "url": "/drives/d/root", "dependsOn": ["2"]},
        {"id": "4", "method": "PUT", "url": "/drives/d/root:/x.txt:/content", "body": "aGVsbG8=", "headers": {"Content-Type": "text/plain"}},
        {"id": "5", "method": "GET", "url": "/drives/d/root:/x.txt:/content", "dependsOn": ["4"]},
        {"id": "6", "method": "POST", "url": "drives/d/root/children", "body": {"name": "n", "folder": {}}, "headers": {"Content-Type": "application/json"}},
    ])).await;
    let status: Vec<u64> = responses.iter().map(|one| one["status"].as_u64().unwrap()).collect();
    assert_eq!(status, [200, 404, 424, 201, 302, 201]);
    assert_eq!(responses[3]["body"]["size"], 5);
    assert!(responses[4]["headers"]["Location"].as_str().unwrap().contains("tempauth"));
    stage.emulator.stop().await;
}

#[tokio::test]
async fn throttling_hits_single_items() {
    let stage = Stage::generated(20).await;
    stage.fault(r#"{"path":"/drives/d/items/a","times":1,"fault":{"kind":"status","status":429,"retry_after":"120"}}"#).await;
    let responses = batch(
        &stage,
        json!([
            {"id": "1", "method": "GET", "url": "/drives/d/items/a"},
            {"id": "2", "method": "GET", "url": "/drives/d/root"},
        ]),
    )
    .await;
    assert_eq!(responses[0]["status"], 429);
    assert_eq!(responses[0]["headers"]["Retry-After"], "120");
    assert_eq!(responses[0]["body"]["error"]["code"], "activityLimitReached");
    assert_eq!(responses[1]["status"], 200);
    // The second item was asked inside the window that the first one opened.
    let inside: Vec<bool> = stage
        .calls()
        .await
        .iter()
        .filter(|call| call["in_batch"] == true)
        .map(|call| call["inside_throttle_window"].as_bool().unwrap())
        .collect();
    assert_eq!(inside, [false, true]);
    stage.emulator.stop().await;
}

#[tokio::test]
async fn malformed_batches_are_refused() {
    let stage = Stage::generated(1).await;
    let many: Vec<Value> =
        (0..21).map(|id| json!({"id": id.to_string(), "method": "GET", "url": "/drives/d"})).collect();
    for body in [
        json!({"requests": many}),
        json!({"requests": []}),
        json!({"requests": [{"id": "1", "method": "GET", "url": "/drives/d"}, {"id": "1", "method": "GET", "url": "/drives/d"}]}),
        json!({"requests": [{"id": "1", "method": "GET", "url": "/drives/d", "dependsOn": ["2"]}]}),
    ] {
        stage.send(Method::POST, "/$batch", body.to_string()).await.expect(400);
    }
    stage.emulator.stop().await;
}
