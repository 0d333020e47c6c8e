//! Mailboxes as Graph shows them: folders, lists, delta and its faults.

use http::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Stage};

const ADA: &str = "ada@example.org";
const IMMUTABLE: (&str, &str) = ("prefer", "IdType=\"ImmutableId\"");

async fn stage() -> Stage {
    Stage::generated(0).await
}

impl Stage {
    /// A mail arrives at Ada's; its record.
    pub async fn mail(&self, subject: &str) -> Value {
        let body = json!({"user": ADA, "subject": subject, "body": "text"}).to_string();
        self.control(Method::POST, "/microsoft/mail", &body).await.expect(201).json()
    }

    pub async fn act(&self, path: &str, body: Value) -> Value {
        self.control(Method::POST, path, &body.to_string()).await.expect(200).json()
    }

    pub async fn switches(&self, switches: Value) {
        self.control(Method::PUT, "/microsoft/switches", &switches.to_string()).await.expect(204);
    }

    /// Walks a round; its items and the deltaLink.
    pub async fn round(&self, start: &str) -> (Vec<Value>, String) {
        let (mut at, mut items) = (start.to_owned(), Vec::new());
        for _ in 0..10_000 {
            let page = self.get_with(&at, &[IMMUTABLE]).await.expect(200).json();
            items.extend(page["value"].as_array().unwrap().clone());
            if let Some(link) = page["@odata.deltaLink"].as_str() {
                return (items, link.to_owned());
            }
            page["@odata.nextLink"].as_str().unwrap().clone_into(&mut at);
        }
        panic!("a round without an end");
    }
}

fn inbox_delta() -> String {
    format!("/users/{ADA}/mailFolders('inbox')/messages/delta?$select=subject,isRead&$top=3")
}

fn ids(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn folders_are_listed_and_followed() {
    let stage = stage().await;
    let list = format!("/users/{ADA}/mailFolders?$top=50");
    let shown = stage.get(&list).await.expect(200).json();
    assert!(shown["value"].as_array().unwrap().iter().all(|folder| folder["isHidden"] == false));
    let all = stage.get(&format!("{list}&includeHiddenFolders=true")).await.expect(200).json();
    assert!(all["value"].as_array().unwrap().len() > shown["value"].as_array().unwrap().len());

    let (first, link) = stage.round(&format!("/users/{ADA}/mailFolders/delta")).await;
    assert_eq!(first.len(), all["value"].as_array().unwrap().len());
    let below = format!("/users/{ADA}/mailFolders/inbox/childFolders");
    let made = stage.send(Method::POST, &below, r#"{"displayName":"Offers"}"#).await.expect(201).json();
    let id = made["id"].as_str().unwrap();
    let (changed, link) = stage.round(&link).await;
    assert_eq!(ids(&changed), [id]);
    stage.send(Method::DELETE, &format!("/users/{ADA}/mailFolders/{id}"), "").await.expect(204);
    let (changed, _) = stage.round(&link).await;
    assert_eq!(changed[0]["@removed"]["reason"], "deleted");
    stage.get("/users/nobody@example.org/mailFolders").await.expect(404);
    stage.emulator.stop().await;
}

#[tokio::test]
async fn a_round_shows_all_and_then_what_changed() {
    let stage = stage().await;
    let bulk = json!({"user": ADA, "count": 10, "seed": 1});
    stage.act("/microsoft/mail/generate", bulk).await;
    let (first, link) = stage.round(&inbox_delta()).await;
    assert_eq!(first.len(), 10);
    assert!(first[0].get("body").is_none(), "options live in the link");
    let mail = stage.mail("new").await;
    let read = json!({"user": ADA, "id": first[0]["id"]});
    stage.act("/microsoft/mail/read", read).await;
    let away = json!({"user": ADA, "id": first[1]["id"], "folder": "archive"});
    stage.act("/microsoft/mail/move", away).await;
    let gone = json!({"user": ADA, "id": first[2]["id"], "forever": true});
    stage.act("/microsoft/mail/delete", gone).await;
    let (changed, link) = stage.round(&link).await;
    assert_eq!(changed.len(), 4);
    assert_eq!(changed[0]["id"], mail["id"]);
    assert_eq!(changed[2]["@removed"]["reason"], "deleted");
    assert_eq!(changed[3]["@removed"]["reason"], "deleted");
    assert_eq!(stage.round(&link).await.0, [] as [Value; 0]);
    let folder = stage.get(&format!("/users/{ADA}/mailFolders/inbox")).await.expect(200).json();
    assert_eq!(folder["totalItemCount"], 9);
    stage.emulator.stop().await;
}

#[tokio::test]
async fn default_ids_change_with_a_move_and_immutable_ones_do_not() {
    let stage = stage().await;
    let mail = stage.mail("moves").await;
    let (default, immutable) = (mail["default_id"].as_str().unwrap(), mail["id"].as_str().unwrap());
    let moved = stage
        .send(
            Method::POST,
            &format!("/users/{ADA}/messages/{default}/move"),
            r#"{"destinationId":"archive"}"#,
        )
        .await
        .expect(201)
        .json();
    assert_ne!(moved["id"], mail["default_id"]);
    let lost = stage.get(&format!("/users/{ADA}/messages/{default}")).await.expect(404);
    assert_eq!(lost.code(), "ErrorItemNotFound");
    let at = format!("/users/{ADA}/messages/{immutable}");
    let shown = stage.get_with(&at, &[IMMUTABLE]).await.expect(200);
    assert_eq!(shown.json()["id"], mail["id"]);
    assert!(shown.header("preference-applied").contains("ImmutableId"));
    assert_eq!(
        stage.get(&at).await.expect(200).json()["id"],
        moved["id"],
        "without the header: the default id"
    );
    stage.emulator.stop().await;
}

#[tokio::test]
async fn there_and_back_again_is_lost_when_the_switch_says_so() {
    for lost in [false, true] {
        let stage = stage().await;
        stage.switches(json!({"lose_round_trips": lost})).await;
        let mail = stage.mail("wanders").await;
        let (_, link) = stage.round(&inbox_delta()).await;
        for folder in ["archive", "inbox"] {
            let body = json!({"user": ADA, "id": mail["id"], "folder": folder});
            stage.act("/microsoft/mail/move", body).await;
        }
        let (changed, link) = stage.round(&link).await;
        assert_eq!(changed.len(), 1);
        assert_eq!(changed[0].get("@removed").is_some(), lost);
        assert_eq!(stage.round(&link).await.0.len(), 0, "it is never told again");
        stage.emulator.stop().await;
    }
}

#[tokio::test]
async fn void_tokens_are_410_on_both_kinds_of_link() {
    let stage = stage().await;
    stage.act("/microsoft/mail/generate", json!({"user": ADA, "count": 10})).await;
    let page = stage.get(&inbox_delta()).await.expect(200).json();
    let next = page["@odata.nextLink"].as_str().unwrap().to_owned();
    let (_, delta) = stage.round(&inbox_delta()).await;
    for code in ["SyncStateNotFound", "ResyncRequired"] {
        let body = json!({"user": ADA, "folder": "inbox", "code": code}).to_string();
        stage.control(Method::POST, "/microsoft/mail/void-tokens", &body).await.expect(204);
        assert_eq!(stage.get(&next).await.expect(410).code(), code);
        assert_eq!(stage.get(&delta).await.expect(410).code(), code);
    }
    assert_eq!(stage.round(&inbox_delta()).await.0.len(), 10);
    stage.emulator.stop().await;
}

#[tokio::test]
async fn a_filtered_round_is_capped_and_refuses_other_filters() {
    let stage = stage().await;
    stage.switches(json!({"filter_cap": 7})).await;
    stage.act("/microsoft/mail/generate", json!({"user": ADA, "count": 20})).await;
    let start = format!(
        "/users/{ADA}/mailFolders/inbox/messages/delta?$filter=receivedDateTime+ge+2000-01-01T00:00:00Z&$top=3"
    );
    assert_eq!(stage.round(&start).await.0.len(), 7);
    let bad = format!("/users/{ADA}/mailFolders/inbox/messages/delta?$filter=isRead+eq+true");
    stage.get(&bad).await.expect(400);
    stage.emulator.stop().await;
}

#[tokio::test]
async fn the_known_faults_of_paging_are_switches() {
    let stage = stage().await;
    stage.act("/microsoft/mail/generate", json!({"user": ADA, "count": 10})).await;
    stage.switches(json!({"duplicates_over_pages": true})).await;
    let (items, _) = stage.round(&inbox_delta()).await;
    let mut unique = ids(&items);
    unique.sort_unstable();
    unique.dedup();
    assert_eq!((items.len(), unique.len()), (13, 10));
    stage.switches(json!({"drop_next_link_after": 1})).await;
    let list = format!("/users/{ADA}/mailFolders/inbox/messages?$top=4&$count=true");
    let page = stage.get(&list).await.expect(200).json();
    assert_eq!(page["@odata.count"], 10);
    assert!(page.get("@odata.nextLink").is_none());
    stage.emulator.stop().await;
}

#[tokio::test]
async fn lists_filter_sort_and_page() {
    let stage = stage().await;
    stage.act("/microsoft/mail/generate", json!({"user": ADA, "count": 25})).await;
    let mut at =
        format!("/users/{ADA}/messages?$top=10&$orderby=receivedDateTime+asc&$select=receivedDateTime");
    let mut times: Vec<String> = Vec::new();
    loop {
        let page = stage.get(&at).await.expect(200).json();
        let rows = page["value"].as_array().unwrap();
        times.extend(rows.iter().map(|row| row["receivedDateTime"].as_str().unwrap().to_owned()));
        let Some(next) = page["@odata.nextLink"].as_str() else { break };
        next.clone_into(&mut at);
    }
    assert_eq!(times.len(), 25);
    assert!(times.is_sorted());
    let middle = &times[12];
    let expected = times.iter().filter(|time| *time >= middle).count();
    let url = format!("/users/{ADA}/messages?$top=100&$filter=receivedDateTime+ge+{middle}");
    let page = stage.get(&url).await.expect(200).json();
    assert_eq!(page["value"].as_array().unwrap().len(), expected);
    stage.get(&format!("/users/{ADA}/messages?$filter=nonsense")).await.expect(400);
    stage.emulator.stop().await;
}

#[tokio::test]
async fn permissions_limits_and_secrets_are_switches() {
    let stage = stage().await;
    let deny = |names: Value| json!({"denied": names}).to_string();
    let at = format!("/users/{ADA}/messages");
    let body = deny(json!(["Mail.Read", "Mail.ReadWrite"]));
    stage.control(Method::PUT, "/microsoft/permissions", &body).await.expect(200);
    assert_eq!(stage.get(&at).await.expect(403).code(), "ErrorAccessDenied");
    stage.control(Method::PUT, "/microsoft/permissions", &deny(json!([]))).await.expect(200);
    stage.get(&at).await.expect(200);

    stage.switches(json!({"rate_limit_per_minute": 10})).await;
    let mut seen = Vec::new();
    for _ in 0..11 {
        let Answer { status, headers, .. } = stage.get(&at).await;
        seen.push((status, headers.contains_key("ratelimit-remaining")));
    }
    assert_eq!(seen[0], (200, false));
    assert!(seen.iter().any(|one| one.1), "headers from 80 %: {seen:?}");

    stage.switches(json!({"mailbox_concurrency": {"limit": 2, "hold_ms": 200}})).await;
    let answers = futures::future::join_all((0..5).map(|_| stage.get(&at))).await;
    let refused = answers.iter().filter(|answer| answer.status == 429).count();
    assert_eq!(refused, 3);

    let body = r#"{"add":["next"],"expire":["demo-secret"]}"#;
    let left = stage.control(Method::PUT, "/microsoft/secrets", body).await.expect(200).json();
    assert_eq!(left["secrets"], 2);
    stage.emulator.stop().await;
}
