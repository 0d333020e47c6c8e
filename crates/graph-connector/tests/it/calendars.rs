//! Calendars of Outlook: links are followed verbatim, a create is known again, versions are checked, cursors end.

use axum::Json;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use contracts::fault::from_status;
use contracts::graph::v1::{
    CalendarDeltaRequest, CreateOutlookEventRequest, DeleteOutlookEventRequest, FaultKind,
    GetOutlookEventRequest, ListInstancesRequest, UpdateOutlookEventRequest, calendar_delta_reply,
};
use serde_json::{Value, json};

use crate::support::{Asked, World, ok};

fn refused(status: u16, code: &str) -> Response {
    let body = json!({"error": {"code": code, "message": "no"}});
    (StatusCode::from_u16(status).expect("a status"), Json(body)).into_response()
}

fn answer(asked: &Asked) -> Response {
    let prefer = asked.headers.get("prefer").and_then(|v| v.to_str().ok()).unwrap_or_default();
    assert!(prefer.contains("IdType=\"ImmutableId\""), "{} {}", asked.method, asked.path);
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let match_is = |tag: &str| asked.headers.get("if-match").is_none_or(|own| own == tag);
    match (asked.method.clone(), path) {
        (Method::GET, "/users/u/calendarView/delta") if query == "$skiptoken=a%2Bb" => {
            ok(json!({"value": [], "@odata.deltaLink": format!("{}{path}?$deltatoken=c", asked.base)}))
        }
        (Method::GET, "/users/u/calendarView/delta") if query == "$deltatoken=gone" => {
            refused(410, "SyncStateNotFound")
        }
        (Method::GET, "/users/u/calendarView/delta") => {
            assert!(query.starts_with("startDateTime=2026-05-01T00:00:00.000Z&endDateTime="), "{query}");
            assert!(!query.contains("$select"), "a view refuses it");
            ok(json!({"value": [{"id": "e1", "subject": "s", "own": 1}, {"subject": "nobody"}],
                "@odata.nextLink": format!("{}{path}?$skiptoken=a%2Bb", asked.base)}))
        }
        (Method::GET, "/users/u/events") => {
            assert!(query.contains("SynclineTransactionId"), "{query}");
            let made = if query.contains("known%27") { json!([{"id": "e9"}]) } else { json!([]) };
            ok(json!({"value": made}))
        }
        (Method::POST, "/users/u/events") => {
            let marked = asked.body["singleValueExtendedProperties"][0]["value"].clone();
            assert_eq!(asked.body["transactionId"], marked);
            match marked.as_str() {
                Some("known" | "lost") => refused(409, "ErrorDuplicateTransactionId"),
                Some("cut") => refused(503, "serviceNotAvailable"),
                _ => (StatusCode::CREATED, Json(json!({"id": "e2", "subject": asked.body["subject"]})))
                    .into_response(),
            }
        }
        (Method::GET, "/users/u/events/e1") => {
            let lists =
                query.contains("exceptionOccurrences,cancelledOccurrences&$expand=exceptionOccurrences");
            ok(json!({"id": "e1", "lists": lists}))
        }
        (Method::GET, "/users/u/events/e1/instances") => ok(json!({"value": [{"id": "o1"}]})),
        (Method::PATCH, "/users/u/events/e1") if match_is("W/\"1\"") => {
            ok(json!({"id": "e1", "subject": "t"}))
        }
        (Method::DELETE, "/users/u/events/e1") if match_is("W/\"1\"") => {
            StatusCode::NO_CONTENT.into_response()
        }
        (Method::PATCH | Method::DELETE, "/users/u/events/e1") => refused(412, "ErrorIrresolvableConflict"),
        _ => refused(404, "ErrorItemNotFound"),
    }
}

fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_default()
}

fn delta(link: &str) -> CalendarDeltaRequest {
    CalendarDeltaRequest {
        user_id: "u".into(),
        link: link.into(),
        from_us: 1_777_593_600_000_000,
        to_us: 1_780_272_000_000_000,
        ..CalendarDeltaRequest::default()
    }
}

#[tokio::test]
async fn a_view_is_walked_and_its_cursor_ends() {
    let world = World::start(&[], |asked| answer(&asked)).await;
    let mut client = world.calendar.clone();
    let first = client.calendar_delta(delta("")).await.expect("a page").into_inner();
    assert_eq!(json_of(&first.events[0])["own"], 1, "whole");
    assert_eq!((first.events.len(), first.poison.len()), (1, 1), "one that is none does not fail its page");
    let Some(calendar_delta_reply::Next::NextLink(next)) = first.next else { panic!("a nextLink") };
    let last = client.calendar_delta(delta(&next)).await.expect("a page").into_inner();
    let Some(calendar_delta_reply::Next::DeltaLink(link)) = last.next else { panic!("a deltaLink") };
    let gone = client.calendar_delta(delta(&link.replace("=c", "=gone"))).await.expect_err("410");
    assert_eq!(from_status(&gone).kind(), FaultKind::Resync);
    let foreign = client.calendar_delta(delta("https://evil.example/v1.0/x")).await.expect_err("foreign");
    assert_eq!(from_status(&foreign).kind(), FaultKind::BadLink);
    let nothing = CalendarDeltaRequest { from_us: 0, ..delta("") };
    client.calendar_delta(nothing).await.expect_err("no window");
}

#[tokio::test]
async fn a_create_is_known_again_by_its_transaction() {
    let world = World::start(&[], |asked| answer(&asked)).await;
    let mut client = world.calendar.clone();
    let create = |transaction: &str| CreateOutlookEventRequest {
        user_id: "u".into(),
        transaction_id: transaction.into(),
        json: br#"{"subject":"s"}"#.to_vec(),
        ..CreateOutlookEventRequest::default()
    };
    let made = client.create_outlook_event(create("new")).await.expect("made").into_inner();
    assert_eq!(json_of(&made.event)["id"], "e2");
    let known = client.create_outlook_event(create("known")).await.expect("known").into_inner();
    assert_eq!(json_of(&known.event)["id"], "e9", "the event that this transaction made");
    let lost = client.create_outlook_event(create("lost")).await.expect_err("nowhere");
    assert_eq!(from_status(&lost).kind(), FaultKind::TryLater);
    let before = world.seen().len();
    let cut = client.create_outlook_event(create("cut")).await.expect_err("unanswered");
    assert_eq!(from_status(&cut).kind(), FaultKind::Ambiguous);
    assert_eq!(world.seen().len(), before + 1, "a create is not repeated here");
    for bad in ["", "it's"] {
        client.create_outlook_event(create(bad)).await.expect_err("an id that could end a filter");
    }
}

#[tokio::test]
async fn versions_are_checked_and_missing_events_are_answers() {
    let world = World::start(&[], |asked| answer(&asked)).await;
    let mut client = world.calendar.clone();
    let update = |id: &str, tag: &str| UpdateOutlookEventRequest {
        user_id: "u".into(),
        event_id: id.into(),
        json: br#"{"subject":"t"}"#.to_vec(),
        if_match: tag.into(),
        ..UpdateOutlookEventRequest::default()
    };
    let changed = client.update_outlook_event(update("e1", "W/\"1\"")).await.expect("changed").into_inner();
    assert_eq!(json_of(&changed.event)["subject"], "t");
    let stale = client.update_outlook_event(update("e1", "W/\"0\"")).await.expect_err("412");
    assert_eq!(from_status(&stale).kind(), FaultKind::Precondition);
    let gone = client.update_outlook_event(update("e3", "")).await.expect_err("404");
    assert_eq!(from_status(&gone).kind(), FaultKind::NotFound);
    let delete = |id: &str, tag: &str| DeleteOutlookEventRequest {
        user_id: "u".into(),
        event_id: id.into(),
        if_match: tag.into(),
        ..DeleteOutlookEventRequest::default()
    };
    let stale = client.delete_outlook_event(delete("e1", "W/\"0\"")).await.expect_err("412");
    assert_eq!(from_status(&stale).kind(), FaultKind::Precondition);
    assert!(client.delete_outlook_event(delete("e1", "")).await.expect("deleted").into_inner().existed);
    assert!(!client.delete_outlook_event(delete("e3", "")).await.expect("gone").into_inner().existed);
    let get = |id: &str, series: bool| GetOutlookEventRequest {
        user_id: "u".into(),
        event_id: id.into(),
        series,
        ..GetOutlookEventRequest::default()
    };
    let plain = client.get_outlook_event(get("e1", false)).await.expect("found").into_inner();
    let whole = client.get_outlook_event(get("e1", true)).await.expect("found").into_inner();
    assert_eq!(
        (&json_of(&plain.event)["lists"], &json_of(&whole.event)["lists"]),
        (&json!(false), &json!(true))
    );
    assert!(
        client.get_outlook_event(get("e3", false)).await.expect("an answer").into_inner().event.is_empty()
    );
    let window = ListInstancesRequest {
        user_id: "u".into(),
        series_master_id: "e1".into(),
        from_us: 1_777_593_600_000_000,
        to_us: 1_780_272_000_000_000,
        ..ListInstancesRequest::default()
    };
    assert_eq!(client.list_instances(window).await.expect("a list").into_inner().events.len(), 1);
}
