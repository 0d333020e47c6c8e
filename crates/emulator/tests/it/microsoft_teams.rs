//! Teams: channels, chats, delta of root messages, workflow webhooks.

use http::Method;
use serde_json::{Value, json};

use crate::support::{Stage, exchange};

async fn place(stage: &Stage) -> (String, String, String) {
    let teams = stage.control(Method::GET, "/microsoft/teams", "").await.expect(200).json();
    let team = &teams["items"][0];
    let chats = stage.control(Method::GET, "/microsoft/chats", "").await.expect(200).json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&team["id"]), text(&team["channels"][0]["id"]), text(&chats["items"][0]["id"]))
}

#[tokio::test]
async fn channels_have_roots_and_replies() {
    let stage = Stage::generated(0).await;
    let (team, channel, _) = place(&stage).await;
    let at = format!("/teams/{team}/channels/{channel}/messages");
    let say = |body: &str, reply_to: Value| json!({"team": team, "channel": channel, "from": "ben@example.org", "body": body, "reply_to": reply_to});
    let empty = stage.get(&format!("{at}/delta")).await.expect(200).json();
    assert_eq!(empty["value"], json!([]));
    let refused = stage.get(empty["@odata.nextLink"].as_str().unwrap()).await.expect(400).json();
    assert_eq!(refused["error"]["message"], "Parameter 'DeltaToken' not supported for this request.");

    let root = stage.act("/microsoft/channel-message", say("root", Value::Null)).await["id"].clone();
    let reply = stage.act("/microsoft/channel-message", say("reply", root.clone())).await["id"].clone();
    let (items, link) = stage.round(&format!("{at}/delta?$top=1")).await;
    assert_eq!((items.len(), &items[0]["id"]), (1, &root), "roots only");
    let replies = format!("{at}/{}/replies", root.as_str().unwrap());
    let shown = stage.get(&replies).await.expect(200).json();
    assert_eq!(shown["value"][0]["id"], reply);
    assert_eq!(shown["value"][0]["replyToId"], root);

    let edit = json!({"team": team, "channel": channel, "id": root, "body": "edited"}).to_string();
    stage.control(Method::PATCH, "/microsoft/channel-message", &edit).await.expect(204);
    let (items, link) = stage.round(&link).await;
    assert_eq!(items[0]["body"]["content"], "edited");
    assert!(items[0]["lastEditedDateTime"].is_string());
    stage.control(Method::DELETE, "/microsoft/channel-message", &edit).await.expect(204);
    let (items, _) = stage.round(&link).await;
    assert!(items[0]["deletedDateTime"].is_string());

    let refused = stage.send(Method::POST, &at, r#"{"body":{"content":"x"}}"#).await.expect(401).json();
    let text = refused["error"]["message"].as_str().unwrap();
    assert!(text.starts_with("Message POST is allowed in application-only context only for import purposes"));
    stage.get(&format!("{at}?$top=51")).await.expect(400);
    let usage = stage.control(Method::GET, "/microsoft/usage", "").await.expect(200).json();
    assert!(usage["teams"][&channel]["calls"].as_u64().unwrap() > 5);
    stage.emulator.stop().await;
}

#[tokio::test]
async fn chats_are_read_by_windows() {
    let stage = Stage::generated(0).await;
    let (.., chat) = place(&stage).await;
    let mut ids = Vec::new();
    for number in 0..5 {
        let body = json!({"chat": chat, "from": "ada@example.org", "body": number.to_string()});
        ids.push(stage.act("/microsoft/chat-message", body).await["id"].clone());
    }
    let mine = stage.get("/users/ben@example.org/chats?$expand=members").await.expect(200).json();
    assert_eq!(mine["value"][0]["members"].as_array().unwrap().len(), 2);
    let at = format!("/chats/{chat}/messages?$orderby=lastModifiedDateTime+desc&$top=2");
    let page = stage.get(&at).await.expect(200).json();
    assert_eq!(page["value"][0]["id"], ids[4]);
    assert_eq!(stage.round_of_list(&at).await.len(), 5);
    let since = page["value"][1]["lastModifiedDateTime"].as_str().unwrap();
    let window = format!("{at}&$filter=lastModifiedDateTime+gt+{since}");
    assert_eq!(stage.round_of_list(&window).await.len(), 1);
    stage.switches(json!({"teams_filter_leaks": true})).await;
    assert_eq!(stage.round_of_list(&window).await.len(), 2);
    stage.get("/users/eve@example.org/chats").await.expect(200);
    stage.emulator.stop().await;
}

impl Stage {
    async fn round_of_list(&self, start: &str) -> Vec<Value> {
        let (mut at, mut items) = (start.to_owned(), Vec::new());
        for _ in 0..100 {
            let page = self.get(&at).await.expect(200).json();
            items.extend(page["value"].as_array().unwrap().clone());
            let Some(next) = page["@odata.nextLink"].as_str() else { break };
            next.clone_into(&mut at);
        }
        items
    }
}

#[tokio::test]
async fn workflows_take_cards_from_those_who_know_the_secret() {
    let stage = Stage::generated(0).await;
    stage.control(Method::PUT, "/microsoft/workflows/site", r#"{"sig":"s3"}"#).await.expect(204);
    let card = json!({"type": "message", "attachments": [{
        "contentType": "application/vnd.microsoft.card.adaptive",
        "content": {"type": "AdaptiveCard", "version": "1.4", "body": []},
    }]});
    let base = stage.emulator.login_base_url();
    let post = async |query: &str, body: &Value| {
        exchange(Method::POST, &format!("{base}/workflows/site?{query}"), &[], body.to_string())
            .await
            .unwrap()
    };
    post("sig=s3", &card).await.expect(202);
    post("sig=no", &card).await.expect(401);
    post("sig=s3", &json!({"text": "plain"})).await.expect(400);
    let cards = stage.control(Method::GET, "/microsoft/cards", "").await.expect(200).json();
    assert_eq!(cards["items"].as_array().unwrap().len(), 1);
    assert!(!stage.calls().await.iter().any(|call| call["path"].as_str().unwrap().contains("s3")));
    stage.emulator.stop().await;
}

#[tokio::test]
async fn new_teams_and_im_records_hurt_when_told_to() {
    let stage = Stage::generated(0).await;
    stage.switches(json!({"new_team_bad_gateway_seconds": 60, "im_messages": true})).await;
    let team = stage.act("/microsoft/teams", json!({"name": "Young"})).await["id"].clone();
    let at = format!("/teams/{}/channels", team.as_str().unwrap());
    stage.get(&at).await.expect(502);
    stage.control(Method::POST, "/clock", r#"{"advance_seconds":61}"#).await.expect(200);
    let token = stage.control(Method::POST, "/tokens", "{}").await.expect(200).json();
    assert!(token["access_token"].is_string());
    stage.get(&at).await.expect(200);
    let (.., chat) = place(&stage).await;
    let body = json!({"chat": chat, "from": "ada@example.org", "body": "hello"});
    stage.act("/microsoft/chat-message", body).await;
    let mails = stage.get("/users/ben@example.org/messages").await.expect(200).json();
    assert_eq!(mails["value"][0]["subject"], "IM");
    stage.emulator.stop().await;
}
