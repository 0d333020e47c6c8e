//! Mail and Teams against a scripted Graph, and every documented body of what is read.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use graph_client::{ChannelPage, GraphErrorKind, MailSelection, NextLink, OutgoingState, TeamsPlace, Window};
use serde_json::{Value, json};

use crate::support::Graph;

const WITH_BODIES: MailSelection = MailSelection { bodies: true, attachments: true, body_limit: 8 };

fn ok(body: Value) -> Response {
    Json(body).into_response()
}

#[tokio::test]
async fn a_round_of_messages_asks_for_immutable_ids_on_every_page() {
    let graph = Graph::start(|asked| {
        assert!(asked.prefer.starts_with("IdType=\"ImmutableId\", odata.maxpagesize=7"), "{}", asked.prefer);
        match asked.number {
            0 => ok(
                json!({"value": [{"id": "a", "body": {"contentType": "html", "content": "longer than eight"}},
                {"subject": "no id"}], "@odata.nextLink": format!("{}/next?$skiptoken=1", asked.base)}),
            ),
            _ => ok(json!({"value": [{"id": "b", "@removed": {"reason": "deleted"}}],
                "@odata.deltaLink": format!("{}/delta?$deltatoken=2", asked.base)})),
        }
    })
    .await;
    let since = "2026-01-02T03:04:05Z".parse().ok();
    let first =
        graph.client.message_delta("u@x", "inbox", WITH_BODIES, None, 7, since).await.expect("a page");
    assert_eq!((first.items.len(), first.poison.len()), (1, 1));
    assert_eq!((first.items[0].body.as_deref(), first.items[0].body_truncated), (Some("longer t"), true));
    let NextLink::Next(link) = first.next else { panic!("more pages") };
    let last =
        graph.client.message_delta("u@x", "inbox", WITH_BODIES, Some(&link), 7, since).await.expect("a page");
    assert_eq!(last.items[0].removed.as_deref(), Some("deleted"));
    assert!(matches!(last.next, NextLink::Delta(_)));
    let seen = graph.seen();
    assert!(
        seen[0].starts_with("GET /v1.0/users/u@x/mailFolders/inbox/messages/delta?$select=id,"),
        "{}",
        seen[0]
    );
    assert!(
        seen[0].contains(",body&$expand=attachments(")
            && seen[0].contains("receivedDateTime%20ge%202026-01-02T03")
    );
    assert_eq!(seen[1], "GET /v1.0/next?$skiptoken=1");
}

#[tokio::test]
async fn a_lost_state_is_a_resync_whatever_its_status_and_case() {
    for (status, code) in [(410, "SyncStateNotFound"), (400, "syncStateInvalid"), (404, "syncstatenotfound")]
    {
        let graph = Graph::start(move |_| {
            let body = json!({"error": {"code": code, "message": "generation=605"}});
            (StatusCode::from_u16(status).expect("a status"), Json(body)).into_response()
        })
        .await;
        let link = format!("{}/x?$skiptoken=1", graph.base);
        let error =
            graph.client.message_delta("u", "f", WITH_BODIES, Some(&link), 5, None).await.expect_err("gone");
        assert!(matches!(error.kind, GraphErrorKind::Resync { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_batch_asks_again_for_failed_items_alone() {
    let graph = Graph::start(|asked| {
        let body: Value = serde_json::from_str(&asked.body).expect("a batch");
        let answers: Vec<Value> = body["requests"].as_array().expect("requests").iter().map(|item| {
            assert_eq!(item["headers"]["Prefer"], "IdType=\"ImmutableId\"");
            let (id, url) = (item["id"].clone(), item["url"].as_str().expect("a url"));
            if url.contains("/missing?") {
                json!({"id": id, "status": 404, "body": {"error": {"code": "ErrorItemNotFound"}}})
            } else if url.contains("/slow?") && asked.number == 0 {
                json!({"id": id, "status": 429, "headers": {"retry-after": "0"}, "body": {"error": {"code": "TooManyRequests"}}})
            } else if url.contains("/bad?") {
                json!({"id": id, "status": 200, "body": {"id": "bad", "subject": 7}})
            } else {
                json!({"id": id, "status": 200, "body": {"id": url.split(['/', '?']).nth(4)}})
            }
        }).collect();
        ok(json!({"responses": answers}))
    })
    .await;
    let ids = ["one", "missing", "slow", "bad"].map(str::to_owned);
    let read = graph.client.messages("u", &ids, WITH_BODIES).await.expect("answers");
    let id = |at: usize| read[at].as_ref().expect("readable").as_ref().map(|m| m.id.as_str());
    assert_eq!((id(0), id(1), id(2)), (Some("one"), None, Some("slow")));
    assert!(read[3].as_ref().expect_err("poison").raw_json.contains("\"subject\":7"));
    assert_eq!(graph.seen().len(), 2, "the second batch has the throttled item alone");
}

#[tokio::test]
async fn a_page_that_is_too_large_is_asked_for_in_smaller_ones() {
    let graph = Graph::start(|asked| {
        let size = asked.prefer.split("maxpagesize=").nth(1).expect("a size").to_owned();
        let body = "x".repeat(if size == "50" { 20 << 20 } else { 10 });
        ok(json!({"value": [{"id": "a", "body": {"content": body}}]}))
    })
    .await;
    let page = graph.client.list_messages("u", "f", Some(WITH_BODIES), Window::default(), None, 50);
    assert_eq!(page.await.expect("a page").items.len(), 1);
    assert_eq!(graph.seen().len(), 2);
}

#[tokio::test]
async fn a_mail_is_found_by_its_mark_and_a_sent_one_counts_first() {
    let graph = Graph::start(|asked| {
        if asked.line.contains("/messages/gone?") || asked.line.contains("/outbox/") {
            return StatusCode::NOT_FOUND.into_response();
        }
        assert!(asked.line.contains("SynclineOutboxId") && asked.line.contains("01J"), "{}", asked.line);
        if asked.line.contains("/mailFolders/") {
            return ok(json!({"value": []}));
        }
        ok(json!({"value": [{"id": "d", "isDraft": true}, {"id": "s", "isDraft": false,
            "sentDateTime": "2026-01-01T00:00:00Z", "internetMessageId": "<m>"}]}))
    })
    .await;
    let found =
        graph.client.find_outgoing("u", "01J", Some("gone")).await.expect("an answer").expect("found");
    assert_eq!((found.state, found.message_id.as_str()), (OutgoingState::Sent, "s"));
    assert!(found.sent_at.is_some());
    let refused = graph.client.find_outgoing("u", "' or 1 eq 1", None).await.expect_err("refused");
    assert_eq!(refused.kind, GraphErrorKind::Refused);
}

#[tokio::test]
async fn empty_and_new_channels_have_no_feed_yet() {
    let graph = Graph::start(|asked| match asked.line.as_str() {
        line if line.contains("/teams/new/") => StatusCode::BAD_GATEWAY.into_response(),
        line if line.contains("/delta?$top=50") => {
            ok(json!({"value": [], "@odata.nextLink": format!("{}/next?$skiptoken=1", asked.base)}))
        }
        _ => {
            let message = "Parameter 'DeltaToken' not supported for this request.";
            (StatusCode::BAD_REQUEST, Json(json!({"error": {"code": "BadRequest", "message": message}})))
                .into_response()
        }
    })
    .await;
    let page = graph.client.channel_delta("t", "19:c@thread.tacv2", None, 100).await.expect("a page");
    let ChannelPage::Changes(page) = page else { panic!("a page") };
    let NextLink::Next(link) = page.next else { panic!("more") };
    let page =
        graph.client.channel_delta("t", "19:c@thread.tacv2", Some(&link), 100).await.expect("an answer");
    assert_eq!(page, ChannelPage::NothingYet);
    let page = graph.client.channel_delta("new", "c", None, 100).await.expect("an answer");
    assert_eq!(page, ChannelPage::NothingYet);
}

#[tokio::test]
async fn replies_and_chats_are_addressed_as_documented() {
    let graph = Graph::start(|asked| match asked.line.as_str() {
        line if line.contains("/nowhere/") => StatusCode::NOT_FOUND.into_response(),
        line if line.contains("/replies/2") => ok(json!({"id": "2", "replyToId": "1"})),
        _ => ok(json!({"value": [{"id": "1", "body": {"content": "x"}}, 7]})),
    })
    .await;
    let window =
        Window { from: "2026-01-01T00:00:00Z".parse().ok(), to: "2026-01-02T00:00:00Z".parse().ok() };
    let page =
        graph.client.chat_messages("19:a@thread.v2", window, None, 10).await.expect("a page").expect("found");
    assert_eq!((page.items.len(), page.poison.len()), (1, 1));
    assert_eq!(
        graph.seen()[0],
        "GET /v1.0/chats/19%3Aa@thread.v2/messages?$top=50&$orderby=lastModifiedDateTime%20desc\
         &$filter=lastModifiedDateTime%20gt%202025-12-31T23:59:59.999Z%20and%20lastModifiedDateTime%20lt%20\
         2026-01-02T00:00:00.000Z"
    );
    assert!(graph.client.replies("nowhere", "c", "1", None, 10).await.expect("an answer").is_none());
    let place = TeamsPlace::Channel { team: "t".into(), channel: "c".into() };
    let found =
        graph.client.teams_message(&place, "2", Some("1"), 10).await.expect("an answer").expect("found");
    assert_eq!(found.expect("readable").reply_to_id.as_deref(), Some("1"));
}
