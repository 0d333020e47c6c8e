//! Calls: what is sent, what is read, what is repeated.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use gcal_client::{Delete, Deleted, GcalErrorKind, ListEvents, NewChannel, Write};
use serde_json::{Value, json};

use crate::support::World;

fn error(status: u16, reason: &str) -> Response {
    let body = json!({ "error": { "code": status, "message": "m", "errors": [{ "reason": reason }] } });
    (StatusCode::from_u16(status).expect("a status"), Json(body)).into_response()
}

fn ok(body: Value) -> Response {
    Json(body).into_response()
}

#[tokio::test]
async fn pages_keep_every_byte_and_name_what_cannot_be_read() {
    let text = r#"{"items": [{"id": "a", "etag": "\"1\"", "unknown":  {"x":1.50}}, {"summary": "no id"},
        {"id": "gone", "status": "cancelled"}], "nextPageToken": "p2", "timeZone": "Europe/Paris",
        "defaultReminders": [{"method":"popup","minutes":10}]}"#;
    let world = World::start(move |_| text.into_response()).await;
    let list = ListEvents {
        sync_token: Some("s/1="),
        page_token: Some("p&1"),
        max_results: 9_999,
        ..ListEvents::default()
    };
    let page = world.client.list_events("a b#c@group", &list).await.expect("a page");
    assert_eq!(
        world.seen()[0].line,
        "GET /calendars/a%20b%23c@group/events?singleEvents=false&showDeleted=true&maxResults=2500\
         &syncToken=s%2F1%3D&pageToken=p%261"
    );
    assert_eq!(&*page.events[0].json, r#"{"id": "a", "etag": "\"1\"", "unknown":  {"x":1.50}}"#);
    assert_eq!((page.events[0].etag.as_str(), page.events[1].etag.as_str()), ("\"1\"", ""));
    assert_eq!(page.poison.len(), 1);
    assert_eq!(&*page.poison[0].json, r#"{"summary": "no id"}"#);
    assert_eq!((page.next_page_token.as_deref(), page.next_sync_token), (Some("p2"), None));
    assert_eq!(page.default_reminders.as_deref(), Some(r#"[{"method":"popup","minutes":10}]"#));
}

#[tokio::test]
async fn a_read_is_repeated_and_a_write_never() {
    let world = World::start(|asked| match asked.number {
        1 => error(503, "backendError"),
        2 => "{\"items\": [".into_response(),
        3 => ok(json!({ "items": [], "nextSyncToken": "s" })),
        _ => error(500, "backendError"),
    })
    .await;
    let page = world.client.list_events("c", &ListEvents::default()).await.expect("the third answer");
    assert_eq!(page.next_sync_token.as_deref(), Some("s"));
    let write = Write { json: b"{\"id\":\"abcde\"}", ..Write::default() };
    let failed = world.client.insert_event("c", &write).await.expect_err("ambiguous");
    assert_eq!((failed.kind, failed.status), (GcalErrorKind::Ambiguous, Some(500)));
    assert!(failed.body.contains("backendError"), "the whole answer is kept");
    assert_eq!(world.seen().len(), 4, "the write was sent once");
}

#[tokio::test]
async fn a_lost_answer_to_a_write_is_ambiguous() {
    let world = World::start(|asked| match asked.number {
        // Carried out, but cut on the way.
        1 => "{\"id\":".into_response(),
        _ => ok(json!({ "id": "abcde", "etag": "e" })),
    })
    .await;
    let write = Write { json: b"{}", if_match: Some("\"7\""), send_updates: Some("all"), conference: true };
    let lost = world.client.patch_event("c", "abcde", &write).await.expect_err("ambiguous");
    assert_eq!(lost.kind, GcalErrorKind::Ambiguous);
    let done = world.client.patch_event("c", "abcde", &write).await.expect("an event");
    assert_eq!((done.id.as_str(), done.etag.as_str()), ("abcde", "e"));
    let asked = &world.seen()[1];
    assert_eq!(asked.if_match.as_deref(), Some("\"7\""));
    assert_eq!(
        asked.line,
        "PATCH /calendars/c/events/abcde?sendUpdates=all&supportsAttachments=true&conferenceDataVersion=1"
    );
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_even_as_403_and_even_on_a_write() {
    let world = World::start(|asked| match asked.number {
        1 => error(403, "userRateLimitExceeded"),
        2 => ok(json!({ "id": "abcde" })),
        _ => error(403, "quotaExceeded"),
    })
    .await;
    let write = Write { json: b"{}", ..Write::default() };
    world.client.insert_event("c", &write).await.expect("after the silence");
    let parked = world.client.insert_event("c", &write).await.expect_err("hours of silence");
    assert_eq!(parked.kind, GcalErrorKind::QuotaExceeded);
    assert_eq!(world.seen().len(), 3, "quotaExceeded is not hammered");
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let world = World::start(|asked| {
        if asked.bearer == "Bearer t1" {
            error(401, "authError")
        } else {
            ok(json!({ "id": "e1", "etag": "x" }))
        }
    })
    .await;
    let event = world.client.get_event("c", "e1").await.expect("a second token").expect("an event");
    assert_eq!(event.id, "e1");
    assert_eq!(world.seen().len(), 2);
    let world = World::start(|_| error(401, "authError")).await;
    let refused = world.client.get_event("c", "e1").await.expect_err("refused");
    assert_eq!((refused.kind, world.seen().len()), (GcalErrorKind::Credential, 2));
    let world = World::start(|_| error(401, "push.webhookUrlUnauthorized")).await;
    let new = NewChannel { id: "ch", token: "t", address: "https://h/x", ttl_seconds: None };
    let refused = world.client.watch_events("c", &new).await.expect_err("not about the token");
    assert_eq!((refused.kind, world.seen().len()), (GcalErrorKind::WebhookRefused, 1));
}

#[tokio::test]
async fn deletions_and_channels_that_are_gone_are_answers() {
    let world = World::start(|asked| match asked.number {
        1 | 5 => StatusCode::NO_CONTENT.into_response(),
        2 => error(410, "deleted"),
        4 => ok(json!({ "id": "ch", "resourceId": "r", "expiration": "1700000000000" })),
        _ => error(404, "notFound"),
    })
    .await;
    let mut met = Vec::new();
    for _ in 0..3 {
        met.push(world.client.delete_event("c", "e", &Delete::default()).await.expect("an answer"));
    }
    assert_eq!(met, [Deleted::Now, Deleted::Before, Deleted::Unknown]);
    let new = NewChannel { id: "ch", token: "secret", address: "https://h/x", ttl_seconds: Some(60) };
    assert!(!format!("{new:?}").contains("secret"));
    let channel = world.client.watch_events("c", &new).await.expect("a channel");
    assert_eq!((channel.resource_id.as_str(), channel.expiration), ("r", Some(1_700_000_000_000)));
    assert!(world.client.stop_channel("ch", "r").await.expect("stopped"));
    assert!(!world.client.stop_channel("ch", "r").await.expect("gone before"));
    let body: Value = serde_json::from_str(&world.seen()[3].body).expect("JSON");
    assert_eq!(body["params"]["ttl"], "60");
}

#[tokio::test]
async fn no_id_leads_elsewhere() {
    let world = World::start(|_| ok(json!({}))).await;
    for id in ["..", ".", ""] {
        let refused = world.client.get_event("c", id).await.expect_err("refused");
        assert_eq!(refused.kind, GcalErrorKind::Refused, "{id:?}");
    }
    assert!(world.seen().is_empty());
}
