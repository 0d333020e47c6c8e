use http::Method;
use serde_json::json;

use crate::support::{Stage, exchange};

const UNIT: usize = 320 * 1024;

async fn fragment(url: &str, content: &[u8], from: usize, to: usize) -> crate::support::Answer {
    let range = format!("bytes {from}-{}/{}", to - 1, content.len());
    exchange(Method::PUT, url, &[("content-range", &range)], content[from..to].to_vec()).await.unwrap()
}

#[tokio::test]
async fn fragments_make_a_file() {
    let stage = Stage::generated(0).await;
    let content: Vec<u8> = (0..=250).cycle().take(2 * UNIT + 1234).collect();
    let session = stage
        .send(Method::POST, "/drives/d/root:/grand.bin:/createUploadSession", "{}")
        .await
        .expect(200)
        .json();
    assert_eq!(session["nextExpectedRanges"], json!(["0-"]));
    let url = session["uploadUrl"].as_str().unwrap();
    fragment(url, &content, 0, UNIT + 1).await.expect(400);
    let first = fragment(url, &content, 0, UNIT).await.expect(202).json();
    assert_eq!(first["nextExpectedRanges"], json!([format!("{UNIT}-{}", content.len() - 1)]));
    let again = fragment(url, &content, 0, UNIT).await.expect(416);
    assert_eq!(again.json()["error"]["innerError"]["code"], "fragmentOverlap");
    fragment(url, &content, 2 * UNIT, content.len()).await.expect(416);
    let status = exchange(Method::GET, url, &[], "").await.unwrap().expect(200).json();
    assert_eq!(status["nextExpectedRanges"], first["nextExpectedRanges"]);
    fragment(url, &content, UNIT, 2 * UNIT).await.expect(202);
    let item = fragment(url, &content, 2 * UNIT, content.len()).await.expect(201).json();
    assert_eq!(item["size"], content.len());
    assert_eq!(item["name"], "grand.bin");
    exchange(Method::GET, url, &[], "").await.unwrap().expect(404);
    let download =
        stage.get("/drives/d/root:/grand.bin:/content").await.expect(302).header("location").to_owned();
    assert_eq!(exchange(Method::GET, &download, &[], "").await.unwrap().expect(200).body, content);
    stage.emulator.stop().await;
}

#[tokio::test]
async fn a_session_can_be_given_up_and_obeys_conflicts() {
    let stage = Stage::generated(0).await;
    stage.put("/drives/d/root:/a.txt:/content", "old").await.expect(201);
    let body = json!({"item": {"@microsoft.graph.conflictBehavior": "fail"}}).to_string();
    stage.send(Method::POST, "/drives/d/root:/a.txt:/createUploadSession", body).await.expect(409);
    let session =
        stage.send(Method::POST, "/drives/d/root:/b.txt:/createUploadSession", "").await.expect(200).json();
    let url = session["uploadUrl"].as_str().unwrap();
    exchange(Method::DELETE, url, &[], "").await.unwrap().expect(204);
    fragment(url, b"new", 0, 3).await.expect(404);
    let body = json!({"item": {"@microsoft.graph.conflictBehavior": "replace"}}).to_string();
    let session =
        stage.send(Method::POST, "/drives/d/root:/a.txt:/createUploadSession", body).await.expect(200).json();
    let item = fragment(session["uploadUrl"].as_str().unwrap(), b"new", 0, 3).await.expect(200).json();
    assert_eq!(item["size"], 3);
    stage.emulator.stop().await;
}
