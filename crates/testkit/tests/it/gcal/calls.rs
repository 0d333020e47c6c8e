//! Calls through a connection: what travels, what comes back as which fault.

use contracts::fault::from_status;
use contracts::gcal::v1 as pb;
use contracts::graph::v1::FaultKind;
use serde_json::json;
use tonic::Status;

use super::google::reason;
use super::world::World;

fn kind<T: std::fmt::Debug>(outcome: Result<T, Status>) -> FaultKind {
    from_status(&outcome.expect_err("a fault")).kind()
}

#[tokio::test]
async fn events_travel_as_google_sent_them() {
    let world = World::new().await;
    let connection = world.connect().await;
    let page = world.client().list_events(world.list(&connection)).await.expect("a page").into_inner();
    assert_eq!((page.events[0].id.as_str(), page.events[0].etag.as_str()), ("abcde", "\"1\""));
    assert_eq!(page.next_sync_token, "s1");
    let request = pb::ListEventsRequest { sync_token: "s1".into(), ..world.list(&connection) };
    world.client().list_events(request).await.expect("a page");
    let query = world.google.state().seen.last().expect("a call").query.clone();
    let get = |name: &str| query.get(name).map(String::as_str);
    assert_eq!(
        (get("syncToken"), get("singleEvents"), get("showDeleted")),
        (Some("s1"), Some("false"), Some("true"))
    );
    let inserted =
        world.client().insert_event(world.insert(&connection)).await.expect("an event").into_inner();
    assert_eq!(inserted.event.expect("an event").etag, "\"2\"");
    world.client().patch_event(world.patch(&connection, "\"2\"")).await.expect("an event");
    let last = world.google.state().seen.last().expect("a call").clone();
    assert_eq!(last.if_match.as_deref(), Some("\"2\""));
    assert_eq!(last.query.get("sendUpdates").map(String::as_str), Some("none"), "nobody is mailed unasked");
    assert_eq!(last.line, "PATCH /calendar/v3/calendars/anna@example.com/events/abcde");
}

#[tokio::test]
async fn each_refusal_is_a_fault_of_its_own() {
    let world = World::with(&[("GOOGLE_BREAKER_FAILURES", "50")]).await;
    let connection = world.connect().await;
    let script = |line: &str, status: u16, why: &str| {
        let (status, body) = reason(status, why);
        world.google.state().scripted.push((line.to_owned(), status, body));
    };
    script("POST /calendar", 409, "duplicate");
    assert_eq!(kind(world.client().insert_event(world.insert(&connection)).await), FaultKind::Duplicate);
    script("PATCH", 412, "conditionNotMet");
    assert_eq!(
        kind(world.client().patch_event(world.patch(&connection, "x")).await),
        FaultKind::Precondition
    );
    script("POST /calendar", 500, "backendError");
    let before = world.google.calls("POST /calendar");
    let lost = world.client().insert_event(world.insert(&connection)).await;
    let fault = from_status(&lost.expect_err("may have landed"));
    assert_eq!((fault.kind(), fault.http_status), (FaultKind::Ambiguous, 500));
    assert!(fault.body.contains("backendError"), "the whole body for whoever has to find out");
    assert_eq!(world.google.calls("POST /calendar") - before, 1, "never repeated");
    script("GET /calendar", 410, "fullSyncRequired");
    let request = pb::ListEventsRequest { sync_token: "old".into(), ..world.list(&connection) };
    assert_eq!(kind(world.client().list_events(request.clone()).await), FaultKind::Resync);
    script("GET /calendar", 400, "invalid");
    assert_eq!(kind(world.client().list_events(request).await), FaultKind::Resync);
    let get = pb::GetEventRequest {
        context: world.context(),
        connection_id: connection.clone(),
        event_id: "gone".into(),
    };
    script("GET /calendar", 404, "notFound");
    assert!(world.client().get_event(get).await.expect("an answer").into_inner().event.is_none());
    let delete = pb::DeleteEventRequest {
        context: world.context(),
        connection_id: connection.clone(),
        event_id: "abcde".into(),
        ..pb::DeleteEventRequest::default()
    };
    script("DELETE", 410, "deleted");
    let deleted = world.client().delete_event(delete.clone()).await.expect("an answer").into_inner();
    assert_eq!((deleted.existed, deleted.http_status), (false, 410));
    assert!(world.client().delete_event(delete).await.expect("an answer").into_inner().existed);
    script("PATCH", 403, "forbiddenForNonOrganizer");
    assert_eq!(kind(world.client().patch_event(world.patch(&connection, "")).await), FaultKind::Forbidden);
    assert_eq!(world.value("SELECT state FROM calendar_accounts").await, json!("active"));
}

#[tokio::test]
async fn a_used_up_quota_parks_the_accounts_writes_and_leaves_its_reads() {
    let world = World::new().await;
    let connection = world.connect().await;
    let (status, body) = reason(403, "quotaExceeded");
    world.google.state().scripted.push(("POST /calendar".into(), status, body));
    let refused = world.client().insert_event(world.insert(&connection)).await.expect_err("hours of silence");
    let fault = from_status(&refused);
    assert_eq!((fault.kind(), fault.retry_after_ms), (FaultKind::Quota, 7_200_000));
    let calls = world.google.state().seen.len();
    let other = world.another(&[]).await;
    let refused = other.client.clone().patch_event(world.patch(&connection, "")).await.expect_err("parked");
    let fault = from_status(&refused);
    assert_eq!(fault.kind(), FaultKind::Quota);
    assert!((7_100_000..=7_200_000).contains(&fault.retry_after_ms), "{}", fault.retry_after_ms);
    assert_eq!(world.google.state().seen.len(), calls, "no replica hammers it");
    world.client().list_events(world.list(&connection)).await.expect("reads go on");
}

#[tokio::test]
async fn the_accounts_budget_is_kept() {
    // 10 a minute: one at once, nine a minute flow back.
    let world =
        World::with(&[("GOOGLE_USER_REQUESTS_PER_MINUTE", "10"), ("GOOGLE_THROTTLE_MAX_WAIT_SECONDS", "1")])
            .await;
    let connection = world.connect().await;
    world.client().list_events(world.list(&connection)).await.expect("the burst");
    let calls = world.google.state().seen.len();
    let refused = world.client().list_events(world.list(&connection)).await.expect_err("over the budget");
    let fault = from_status(&refused);
    assert_eq!(fault.kind(), FaultKind::Throttled);
    assert!((1_000..8_000).contains(&fault.retry_after_ms), "{}", fault.retry_after_ms);
    assert_eq!(world.google.state().seen.len(), calls);
}
