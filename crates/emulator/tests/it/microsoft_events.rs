//! Events of Outlook: one per transaction, conflicts by tag, delta over a window.

use http::Method;
use serde_json::{Value, json};

use crate::subscriptions::{Receiver, request, subscribe};
use crate::support::Stage;

const EVENTS: &str = "/users/ada@example.org/events";
const VIEW: &str = "/users/ada@example.org/calendarView/delta?startDateTime=2026-05-01T00:00:00Z&endDateTime=2026-06-01T00:00:00Z";

fn event(subject: &str, day: &str) -> Value {
    let at = |hour: u32| json!({"dateTime": format!("{day}T{hour:02}:00:00"), "timeZone": "Europe/Paris"});
    json!({"subject": subject, "start": at(9), "end": at(10), "transactionId": subject})
}

async fn make(stage: &Stage, subject: &str, day: &str) -> Value {
    stage.send(Method::POST, EVENTS, event(subject, day).to_string()).await.expect(201).json()
}

#[tokio::test]
async fn a_transaction_makes_one_event() {
    let stage = Stage::generated(0).await;
    let first = make(&stage, "one", "2026-05-04").await;
    assert_eq!(make(&stage, "one", "2026-05-04").await["id"], first["id"]);
    let at = format!("{EVENTS}/{}", first["id"].as_str().unwrap());
    let stale = [("if-match", "W/\"other\"")];
    let patch = r#"{"subject":"two"}"#;
    stage.try_send(Method::PATCH, &at, &stale, patch).await.unwrap().expect(412);
    let tag = first["@odata.etag"].as_str().unwrap();
    let good = [("if-match", tag)];
    let changed = stage.try_send(Method::PATCH, &at, &good, patch).await.unwrap().expect(200).json();
    assert_ne!(changed["@odata.etag"], first["@odata.etag"]);
    let backwards = json!({"start": first["end"], "end": first["start"]}).to_string();
    stage.send(Method::PATCH, &at, backwards).await.expect(400);
    stage.send(Method::DELETE, &at, "").await.expect(204);
    stage.get(&at).await.expect(404);
    stage.emulator.stop().await;
}

#[tokio::test]
async fn delta_is_of_a_window() {
    let stage = Stage::generated(0).await;
    let inside = make(&stage, "inside", "2026-05-04").await;
    make(&stage, "outside", "2026-07-04").await;
    let (first, link) = stage.round(VIEW).await;
    assert_eq!((first.len(), &first[0]["id"]), (1, &inside["id"]));
    let phantom = make(&stage, "phantom", "2026-08-04").await;
    stage.send(Method::DELETE, &format!("{EVENTS}/{}", inside["id"].as_str().unwrap()), "").await.expect(204);
    let (changed, link) = stage.round(&link).await;
    assert_eq!(changed.len(), 2);
    assert_eq!(changed[0]["id"], phantom["id"], "never known, reported as removed");
    assert!(changed.iter().all(|one| one["@removed"]["reason"] == "deleted"));
    assert_eq!(stage.round(&link).await.0, [] as [Value; 0]);
    stage.get(&format!("{VIEW}&$select=subject")).await.expect(400);
    let body = r#"{"user":"ada@example.org"}"#;
    stage.control(Method::POST, "/microsoft/events/void-tokens", body).await.expect(204);
    assert_eq!(stage.get(&link).await.expect(410).code(), "SyncStateNotFound");
    stage.emulator.stop().await;
}

#[tokio::test]
async fn events_ring() {
    let stage = Stage::generated(0).await;
    let mut receiver = Receiver::start().await;
    let mut body = request(&receiver.url, 60);
    (body["resource"], body["changeType"]) =
        (json!("users/ada@example.org/events"), json!("created,deleted"));
    subscribe(&stage, &body).await.expect(201);
    let made = make(&stage, "rings", "2026-05-04").await;
    let told = receiver.next().await["value"][0].clone();
    assert_eq!(told["resourceData"]["id"], made["id"]);
    assert_eq!(told["resourceData"]["@odata.type"], "#Microsoft.Graph.Event");
    receiver.end().await;
    stage.emulator.stop().await;
}

async fn weekly(stage: &Stage) -> Value {
    let at =
        |hour: u32| json!({"dateTime": format!("2026-05-04T{hour:02}:00:00"), "timeZone": "Europe/Paris"});
    let body = json!({"subject": "weekly", "start": at(9), "end": at(10), "recurrence": {
        "pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["monday"]},
        "range": {"type": "numbered", "startDate": "2026-05-04", "numberOfOccurrences": 4}}});
    stage.send(Method::POST, EVENTS, body.to_string()).await.expect(201).json()
}

#[tokio::test]
async fn a_series_has_occurrences_and_exceptions() {
    let stage = Stage::generated(0).await;
    let master = weekly(&stage).await;
    assert_eq!(
        (&master["type"], &master["start"]["dateTime"]),
        (&json!("seriesMaster"), &json!("2026-05-04T07:00:00.0000000"))
    );
    let (first, link) = stage.round(VIEW).await;
    let kinds: Vec<&str> = first.iter().filter_map(|one| one["type"].as_str()).collect();
    assert_eq!(kinds, ["seriesMaster", "occurrence", "occurrence", "occurrence", "occurrence"]);
    assert!(first[1]["subject"].is_null(), "occurrences are told in part");
    let at = format!("{EVENTS}/{}", master["id"].as_str().unwrap());
    let window = "startDateTime=2026-05-11T00:00:00Z&endDateTime=2026-05-19T00:00:00Z";
    let two = stage.get(&format!("{at}/instances?{window}")).await.expect(200).json();
    assert_eq!(two["value"].as_array().map(Vec::len), Some(2));
    let path = |n: usize| format!("{EVENTS}/{}", two["value"][n]["id"].as_str().unwrap());
    let moved = json!({"subject": "moved", "start": {"dateTime": "2026-05-12T09:00:00", "timeZone": "Europe/Paris"},
        "end": {"dateTime": "2026-05-12T10:00:00", "timeZone": "Europe/Paris"}});
    let exception = stage.send(Method::PATCH, &path(0), moved.to_string()).await.expect(200).json();
    assert_eq!(
        (&exception["type"], &exception["originalStart"]),
        (&json!("exception"), &json!("2026-05-11T07:00:00Z"))
    );
    stage.send(Method::DELETE, &path(1), "").await.expect(204);
    let (changed, _) = stage.round(&link).await;
    assert_eq!((changed.len(), &changed[0]["subject"]), (2, &json!("moved")));
    assert_eq!(changed[1]["@removed"]["reason"], "deleted");
    let lists = "$select=subject,exceptionOccurrences,cancelledOccurrences&$expand=exceptionOccurrences";
    let whole = stage.get(&format!("{at}?{lists}")).await.expect(200).json();
    assert_eq!(whole["exceptionOccurrences"][0]["subject"], "moved");
    let gone = format!("OID.{}.2026-05-18", master["id"].as_str().unwrap());
    assert_eq!(whole["cancelledOccurrences"], json!([gone]));
    stage.get(&path(1)).await.expect(404);
    let another = json!({"recurrence": {"pattern": {"type": "daily", "interval": 1},
        "range": {"type": "endDate", "startDate": "2026-05-04", "endDate": "2026-05-06"}}});
    stage.send(Method::PATCH, &at, another.to_string()).await.expect(200);
    let whole = stage.get(&format!("{at}?{lists}")).await.expect(200).json();
    assert_eq!(whole["exceptionOccurrences"], json!([]), "another rule ends the exceptions");
    stage.emulator.stop().await;
}

#[tokio::test]
async fn an_event_is_found_by_its_mark() {
    let stage = Stage::generated(0).await;
    let mut body = event("marked", "2026-05-04");
    body["singleValueExtendedProperties"] = json!([{"id": "String {0} Name X", "value": "7"}]);
    stage.send(Method::POST, EVENTS, body.to_string()).await.expect(201);
    make(&stage, "other", "2026-05-04").await;
    let filter = |value: &str| {
        format!(
            "{EVENTS}?$filter=singleValueExtendedProperties/Any(ep:%20ep/id%20eq%20'String%20%7B0%7D%20Name%20X'%20and%20ep/value%20eq%20'{value}')"
        )
    };
    let found = stage.get(&filter("7")).await.expect(200).json();
    assert_eq!(
        (found["value"].as_array().map(Vec::len), &found["value"][0]["subject"]),
        (Some(1), &json!("marked"))
    );
    assert_eq!(stage.get(&filter("8")).await.expect(200).json()["value"], json!([]));
    stage.emulator.stop().await;
}
