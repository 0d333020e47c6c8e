//! Drafts, attachments and sending: what leaves, once, and where it is found again.

use http::Method;
use serde_json::{Value, json};

use crate::support::{Stage, exchange};

const BEN: &str = "/users/ben@example.org";
const IMMUTABLE: (&str, &str) = ("prefer", "IdType=\"ImmutableId\"");
const PROPERTY: &str = "String {66f5a359-4659-4830-9070-00047ec6ac6e} Name SynclineKey";

async fn draft(stage: &Stage, key: &str) -> String {
    let body = json!({
        "subject": "Late", "body": {"contentType": "text", "content": "please"},
        "toRecipients": [{"emailAddress": {"address": "ada@example.org"}}],
        "singleValueExtendedProperties": [{"id": PROPERTY, "value": key}],
    });
    let at = format!("{BEN}/messages");
    let made = stage.try_send(Method::POST, &at, &[IMMUTABLE], body.to_string()).await.unwrap().expect(201);
    assert_eq!(made.json()["isDraft"], true);
    made.json()["id"].as_str().unwrap().to_owned()
}

async fn outgoing(stage: &Stage) -> Vec<Value> {
    let answer = stage.control(Method::GET, "/microsoft/outgoing", "").await.expect(200).json();
    answer["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_draft_leaves_once_and_keeps_its_immutable_id() {
    let stage = Stage::generated(0).await;
    let id = draft(&stage, "key-1").await;
    let send = format!("{BEN}/messages/{id}/send");
    let sent = stage.send(Method::POST, &send, "").await.expect(202);
    assert!(sent.body.is_empty());
    stage.send(Method::POST, &send, "").await.expect(400);
    assert_eq!(outgoing(&stage).await.len(), 1);

    let shown = stage.get_with(&format!("{BEN}/messages/{id}"), &[IMMUTABLE]).await.expect(200).json();
    let folder = stage.get(&format!("{BEN}/mailFolders/sentitems")).await.expect(200).json();
    assert_eq!((&shown["parentFolderId"], &shown["isDraft"]), (&folder["id"], &json!(false)));
    let filter =
        format!("singleValueExtendedProperties/Any(ep: ep/id eq '{PROPERTY}' and ep/value eq 'key-1')");
    let filter: String = url::form_urlencoded::byte_serialize(filter.as_bytes()).collect();
    let found =
        stage.get_with(&format!("{BEN}/messages?$filter={filter}"), &[IMMUTABLE]).await.expect(200).json();
    assert_eq!(found["value"].as_array().unwrap().len(), 1);
    assert_eq!(found["value"][0]["id"], json!(id));

    let inbox = stage.get("/users/ada@example.org/mailFolders/inbox/messages").await.expect(200).json();
    assert_eq!(inbox["value"][0]["subject"], "Late");
    assert_eq!(inbox["value"][0]["internetMessageId"], shown["internetMessageId"]);
    stage.emulator.stop().await;
}

#[tokio::test]
async fn a_fault_after_the_effect_leaves_the_mail_sent() {
    let stage = Stage::generated(0).await;
    let id = draft(&stage, "key-2").await;
    stage.fault(r#"{"path":"/send$","times":1,"fault":{"kind":"reset","at":"after_commit"}}"#).await;
    let send = format!("{BEN}/messages/{id}/send");
    stage.try_send(Method::POST, &send, &[], "").await.unwrap_err();
    assert_eq!(outgoing(&stage).await.len(), 1);
    stage.emulator.stop().await;
}

#[tokio::test]
async fn attachments_are_small_or_come_in_pieces() {
    let stage = Stage::generated(0).await;
    let id = draft(&stage, "key-3").await;
    let at = format!("{BEN}/messages/{id}/attachments");
    let small =
        json!({"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.txt", "contentBytes": "aGk="});
    let made = stage.send(Method::POST, &at, small.to_string()).await.expect(201).json();
    assert_eq!(made["size"], 2);
    let tiny = json!({"AttachmentItem": {"attachmentType": "file", "name": "b", "size": 10}}).to_string();
    stage.send(Method::POST, &format!("{at}/createUploadSession"), tiny).await.expect(400);

    let content: Vec<u8> = (0..4_000_000_u32).map(|byte| byte.to_le_bytes()[0]).collect();
    let item = json!({"AttachmentItem": {"attachmentType": "file", "name": "b.bin", "size": content.len()}});
    let session = stage
        .send(Method::POST, &format!("{at}/createUploadSession"), item.to_string())
        .await
        .expect(201)
        .json();
    let url = session["uploadUrl"].as_str().unwrap();
    let half = 2_097_152;
    for (first, last, status) in [(0, half, 200), (half, content.len(), 201)] {
        let range = format!("bytes {first}-{}/{}", last - 1, content.len());
        let piece = content[first..last].to_vec();
        let answer = exchange(Method::PUT, url, &[("content-range", &range)], piece).await.unwrap();
        answer.expect(status);
    }
    stage.send(Method::POST, &format!("{BEN}/messages/{id}/send"), "").await.expect(202);
    let left = outgoing(&stage).await;
    assert_eq!(left[0]["attachments"][1]["size"], content.len());
    let inbox = stage
        .get("/users/ada@example.org/mailFolders/inbox/messages?$select=hasAttachments")
        .await
        .expect(200)
        .json();
    assert_eq!(inbox["value"][0]["hasAttachments"], true);
    stage.emulator.stop().await;
}

#[tokio::test]
async fn send_mail_answers_nothing_that_could_be_looked_up() {
    let stage = Stage::generated(0).await;
    let body = json!({"message": {
        "subject": "Direct", "body": {"contentType": "Text", "content": "x"},
        "toRecipients": [{"emailAddress": {"address": "eve@example.org"}}],
    }});
    let at = format!("{BEN}/sendMail");
    assert!(stage.send(Method::POST, &at, body.to_string()).await.expect(202).body.is_empty());
    stage.send(Method::POST, &at, r#"{"message":{"subject":"nobody"}}"#).await.expect(400);
    assert_eq!(outgoing(&stage).await[0]["via"], "sendMail");
    let state = stage.control(Method::GET, "/state?provider=microsoft", "").await.expect(200).json();
    let users = state["users"].as_array().unwrap();
    let eve = users.iter().find(|user| user["upn"] == "eve@example.org").unwrap();
    assert_eq!(eve["messages"][0]["subject"], "Direct");
    stage.emulator.stop().await;
}
