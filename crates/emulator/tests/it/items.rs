use http::Method;
use serde_json::json;

use crate::support::{Stage, exchange};

#[tokio::test]
async fn addresses_lead_to_items() {
    let stage = Stage::generated(300).await;
    let root = stage.get("/drives/d/root").await.expect(200).json();
    assert!(root.get("root").is_some());
    let study =
        stage.get("/drives/d/root:/onedrive-jlm/01%20-%20etudes%20ao/ao-2501").await.expect(200).json();
    assert_eq!(study["name"], "AO-2501");
    let id = study["id"].as_str().unwrap();
    let same = stage.get(&format!("/drives('d')/items('{id}')")).await.expect(200).json();
    assert_eq!(same["eTag"], study["eTag"]);
    assert!(same["cTag"].as_str().unwrap().starts_with("\"c:{"));
    let below = stage
        .get(&format!("/drives/d/items/{id}:/01-DCE-Cotes-Photos:/children?$top=2"))
        .await
        .expect(200)
        .json();
    assert_eq!(below["value"].as_array().unwrap().len(), 2);
    assert!(below["@odata.nextLink"].is_string());
    assert_eq!(
        below["value"][0]["parentReference"]["path"],
        "/drives/d/root:/OneDrive-JLM/01%20-%20ETUDES%20AO/AO-2501/01-DCE-Cotes-Photos"
    );
    for same_drive in ["/users/someone@example.org/drive", "/sites/example.org/drive", "/drives/d"] {
        assert_eq!(stage.get(same_drive).await.expect(200).json()["id"], "d");
    }
    let drives = stage.get("/sites/example.org:/sites/a:/drives").await.expect(200).json();
    assert_eq!(drives["value"][0]["id"], "d");
    let app_only = stage.get("/me/drive").await.expect(400).json();
    assert!(app_only["error"]["message"].as_str().unwrap().contains("apponly"));
    assert_eq!(stage.get("/drives/none/root").await.expect(404).code(), "ResourceNotFound");
    assert_eq!(stage.get("/drives/d/root:/nothing/here").await.expect(404).code(), "itemNotFound");
    let error = stage.get_with("/drives/d/items/x", &[("client-request-id", "abc")]).await.expect(404);
    assert_eq!(error.header("client-request-id"), "abc");
    assert_eq!(error.json()["error"]["innerError"]["client-request-id"], "abc");
    stage.emulator.stop().await;
}

#[tokio::test]
async fn children_come_in_pages_and_complete() {
    let stage = Stage::generated(0).await;
    for number in 0..23 {
        stage.put(&format!("/drives/d/root:/f{number:02}.txt:/content"), "x").await.expect(201);
    }
    let mut link = "/drives/d/root/children?$top=5&$select=name".to_owned();
    let mut names = Vec::new();
    loop {
        let page = stage.get(&link).await.expect(200).json();
        names.extend(
            page["value"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()),
        );
        match page["@odata.nextLink"].as_str() {
            Some(next) => link = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(names, (0..23).map(|number| format!("f{number:02}.txt")).collect::<Vec<_>>());
    stage.emulator.stop().await;
}

#[tokio::test]
async fn tags_guard_changes() {
    let stage = Stage::generated(0).await;
    let item = stage.put("/drives/d/root:/a.txt:/content", "one").await.expect(201).json();
    let at = format!("/drives/d/items/{}", item["id"].as_str().unwrap());
    let etag = item["eTag"].as_str().unwrap();
    stage.get_with(&at, &[("if-none-match", etag)]).await.expect(304);
    let renamed = stage
        .try_send(Method::PATCH, &at, &[("if-match", etag)], r#"{"name":"b.txt"}"#)
        .await
        .unwrap()
        .expect(200)
        .json();
    assert_ne!(renamed["eTag"], item["eTag"]);
    assert_eq!(renamed["cTag"], item["cTag"]);
    for method in [Method::PATCH, Method::DELETE] {
        let refused = stage.try_send(method, &at, &[("if-match", etag)], "{}").await.unwrap().expect(412);
        assert_eq!(refused.code(), "resourceModified");
    }
    let changed = stage.put(&format!("{at}/content"), "two").await.expect(200).json();
    assert_ne!(changed["cTag"], item["cTag"]);
    stage.get_with(&at, &[("if-none-match", etag)]).await.expect(200);
    stage.emulator.stop().await;
}

#[tokio::test]
async fn names_obey_the_rules_and_conflicts_are_decided() {
    let stage = Stage::generated(0).await;
    for name in ["CON", "a:b", " lead", "~$x.docx", "dot.", "a|b"] {
        let body = json!({"name": name, "folder": {}}).to_string();
        assert_eq!(
            stage.send(Method::POST, "/drives/d/root/children", body).await.expect(400).code(),
            "invalidRequest",
            "{name}"
        );
    }
    let create = |name: &str, conflict: &str| {
        json!({"name": name, "folder": {}, "@microsoft.graph.conflictBehavior": conflict}).to_string()
    };
    let first =
        stage.send(Method::POST, "/drives/d/root/children", create("Plans", "fail")).await.expect(201).json();
    let taken =
        stage.send(Method::POST, "/drives/d/root/children", create("PLANS", "fail")).await.expect(409);
    assert_eq!(taken.code(), "nameAlreadyExists");
    let renamed = stage
        .send(Method::POST, "/drives/d/root/children", create("Plans", "rename"))
        .await
        .expect(201)
        .json();
    assert_eq!(renamed["name"], "Plans 1");
    let replaced = stage
        .send(Method::POST, "/drives/d/root/children", create("Plans", "replace"))
        .await
        .expect(201)
        .json();
    assert_eq!(replaced["id"], first["id"]);
    let case_only =
        stage.send(Method::PATCH, "/drives/d/root:/plans", r#"{"name":"PLANS"}"#).await.expect(200).json();
    assert_eq!((&case_only["name"], &case_only["id"]), (&json!("PLANS"), &first["id"]));
    let inside = json!({"parentReference": {"id": first["id"]}}).to_string();
    stage.send(Method::PATCH, "/drives/d/root:/PLANS", inside).await.expect(400);
    let deep = format!("{}/x.txt", "d".repeat(200));
    stage.send(Method::POST, "/drives/d/root/children", create(&"d".repeat(200), "fail")).await.expect(201);
    stage.put(&format!("/drives/d/root:/{deep}:/content"), "").await.expect(201);
    let long = format!("{}/{}", "d".repeat(200), "y".repeat(200));
    stage.put(&format!("/drives/d/root:/{long}:/content"), "").await.expect(400);
    stage.emulator.stop().await;
}

#[tokio::test]
async fn content_is_behind_a_url_that_needs_no_token_and_expires() {
    let stage = Stage::generated(300).await;
    let state = stage.state().await;
    let file = state
        .iter()
        .find(|item| item["size"].as_u64() > Some(2000) && item["size"].as_u64() < Some(200_000))
        .unwrap();
    let id = file["id"].as_str().unwrap();
    let redirect = stage.get(&format!("/drives/d/items/{id}/content")).await.expect(302);
    let url = redirect.header("location").to_owned();
    let whole = exchange(Method::GET, &url, &[], "").await.unwrap().expect(200);
    assert_eq!(whole.body.len() as u64, file["size"].as_u64().unwrap());
    let part = exchange(Method::GET, &url, &[("range", "bytes=10-19")], "").await.unwrap().expect(206);
    assert_eq!(part.body, whole.body.slice(10..20));
    assert_eq!(part.header("content-range"), format!("bytes 10-19/{}", whole.body.len()));
    let tail = exchange(Method::GET, &url, &[("range", "bytes=-7")], "").await.unwrap().expect(206);
    assert_eq!(tail.body.len(), 7);
    exchange(Method::GET, &url, &[("range", "bytes=999999999-")], "").await.unwrap().expect(416);
    let annotation =
        stage.get(&format!("/drives/d/items/{id}?$select=id,content.downloadUrl")).await.expect(200).json();
    assert!(annotation["@microsoft.graph.downloadUrl"].as_str().unwrap().contains("tempauth="));
    stage.control(Method::POST, "/clock", r#"{"advance_seconds":3601}"#).await.expect(200);
    exchange(Method::GET, &url, &[], "").await.unwrap().expect(401);
    // The ledger keeps no secret of a URL.
    assert!(stage.calls().await.iter().all(|call| !call["path"].as_str().unwrap().contains("tempauth=v1")));
    stage.emulator.stop().await;
}

#[tokio::test]
async fn odd_items_have_their_facets() {
    let stage = Stage::generated(0).await;
    for (body, facet) in [
        (r#"{"kind":"package","path":"/Carnet"}"#, "package"),
        (r#"{"kind":"remote_item","path":"/Partagé","drive":"other","item":"01X"}"#, "remoteItem"),
        (r#"{"kind":"malware","path":"/virus.exe"}"#, "malware"),
    ] {
        let id = stage.control(Method::POST, "/drives/d/items", body).await.expect(201).json()["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let item = stage.get(&format!("/drives/d/items/{id}")).await.expect(200).json();
        assert!(item.get(facet).is_some(), "{item}");
    }
    assert_eq!(
        stage.get("/drives/d/root:/virus.exe:/content").await.expect(403).json()["error"]["innerError"]["code"],
        "malwareDetected"
    );
    stage.put("/drives/d/root:/vide.txt:/content", "").await.expect(201);
    let empty = stage.get("/drives/d/root:/vide.txt").await.expect(200).json();
    assert_eq!((empty["size"].as_u64(), empty["file"].get("hashes")), (Some(0), None));
    stage.emulator.stop().await;
}
