//! E33 to E35, E38, E39 on the wire: quotas, faults, batches, partial answers; and error bodies as published.

use std::fmt::Write as _;

use emulator::DEMO_GOOGLE_ACCOUNT;
use emulator::google::{ApiError, ErrorShape};
use http::Method;
use serde_json::{Value, json};

use crate::stage::event;
use crate::support::exchange;
use crate::wire::{Wire, reason};

#[tokio::test]
async fn e33_quotas_meter_every_call() {
    let wire = Wire::start().await;
    for (status, reason_text) in [(403, "userRateLimitExceeded"), (429, "rateLimitExceeded")] {
        let quota = json!({"quota": {"per_project": 100, "per_user": 5, "status": status}});
        wire.control(Method::PUT, "/google/switches", &quota).await.expect(204);
        wire.control(Method::POST, "/clock", &json!({"advance_seconds": 61})).await.expect(200);
        for _ in 0..5 {
            wire.get("/colors").await.expect(200);
        }
        let refused = wire.get("/colors").await.expect(status);
        assert_eq!(reason(&refused), reason_text);
        assert_eq!(refused.json()["error"]["errors"][0]["domain"], "usageLimits");
    }
    wire.control(Method::PUT, "/google/switches", &json!({})).await.expect(204);
    let pause = json!({"account": DEMO_GOOGLE_ACCOUNT, "seconds": 3600});
    wire.control(Method::POST, "/google/read-only", &pause).await.expect(204);
    assert_eq!(reason(&wire.insert(&event("event1")).await.expect(403)), "quotaExceeded");
    wire.get("/calendars/primary/events").await.expect(200);
    wire.control(Method::POST, "/clock", &json!({"advance_seconds": 3601})).await.expect(200);
    wire.mint(&json!({"provider": "google"})).await;
    wire.emulator.stop().await;
}

#[tokio::test]
async fn e34_a_failed_answer_may_have_been_a_success() {
    let wire = Wire::start().await;
    let arm =
        async |fault: Value| wire.fault(json!({"provider": "google", "times": 1, "fault": fault})).await;
    let there = async |id: &str| wire.get(&format!("/calendars/primary/events/{id}")).await.status;
    arm(json!({"kind": "status", "status": 500})).await;
    let answer = wire.insert(&event("before1")).await.expect(500);
    assert_eq!(reason(&answer), "backendError");
    assert_eq!(there("before1").await, 404);
    arm(json!({"kind": "status_after_commit", "status": 503})).await;
    wire.insert(&event("after1")).await.expect(503);
    assert_eq!(there("after1").await, 200);
    arm(json!({"kind": "reset", "at": "before"})).await;
    let path = "/calendars/primary/events";
    assert!(wire.try_call(Method::POST, path, &[], &event("before2")).await.is_err());
    assert_eq!(there("before2").await, 404);
    arm(json!({"kind": "reset", "at": "after_commit"})).await;
    assert!(wire.try_call(Method::POST, path, &[], &event("after2")).await.is_err());
    assert_eq!(there("after2").await, 200);
    wire.insert(&event("after2")).await.expect(409);
    arm(json!({"kind": "malformed_json"})).await;
    assert!(serde_json::from_slice::<Value>(&wire.get(path).await.expect(200).body).is_err());
    arm(json!({"kind": "gate", "every": 1, "seconds": 60})).await;
    let limited = wire.get(path).await.expect(429);
    assert_eq!((reason(&limited).as_str(), limited.header("retry-after")), ("rateLimitExceeded", "60"));
    wire.get(path).await.expect(429);
    let calls = wire.control(Method::GET, "/calls?provider=google", &Value::Null).await.json();
    let calls = calls["items"].as_array().unwrap();
    assert!(calls.iter().all(|call| call["provider"] == "google"));
    assert!(calls.iter().any(|call| call["status"] == 0 && call["account"] == DEMO_GOOGLE_ACCOUNT));
    assert!(calls.last().unwrap()["inside_throttle_window"].as_bool().unwrap());
    wire.emulator.stop().await;
}

#[tokio::test]
async fn e35_a_token_dies_between_two_pages() {
    let mut wire = Wire::start().await;
    for number in 0..5 {
        wire.insert(&event(&format!("event{number}"))).await.expect(200);
    }
    let path = "/calendars/primary/events?maxResults=2";
    wire.fault(json!({"provider": "google", "path": "/events\\?", "after": 1, "times": 1,
        "fault": {"kind": "status", "status": 401}}))
        .await;
    let first = wire.get(path).await.expect(200).json();
    let next = format!("{path}&pageToken={}", first["nextPageToken"].as_str().unwrap());
    assert_eq!(reason(&wire.get(&next).await.expect(401)), "authError");
    wire.get(&next).await.expect(200);
    wire.control(Method::POST, "/tokens/revoke", &json!({"provider": "google"})).await.expect(204);
    wire.get(&next).await.expect(401);
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", wire.refresh.as_str())];
    let given = wire.token_endpoint(&refresh).await.expect(200).json();
    given["access_token"].as_str().unwrap().clone_into(&mut wire.token);
    wire.get(&next).await.expect(200);
    wire.emulator.stop().await;
}

#[tokio::test]
async fn e06_e02_faults_of_pages_reach_lists() {
    let wire = Wire::start().await;
    for number in 0..3 {
        wire.insert(&event(&format!("event{number}"))).await.expect(200);
    }
    let path = "/calendars/primary/events";
    wire.fault(json!({"provider": "google", "path": "/events", "times": 1, "fault": {"kind": "empty_page"}}))
        .await;
    let empty = wire.get(path).await.expect(200).json();
    assert!(empty["items"] == json!([]) && empty["nextPageToken"].is_string());
    let page = json!({"calendar": DEMO_GOOGLE_ACCOUNT, "page": 1});
    wire.control(Method::POST, "/google/expire-tokens", &page).await.expect(204);
    let first = wire.get(&format!("{path}?maxResults=2")).await.expect(200).json();
    let next = format!("{path}?maxResults=2&pageToken={}", first["nextPageToken"].as_str().unwrap());
    assert_eq!(reason(&wire.get(&next).await.expect(410)), "fullSyncRequired");
    let state = wire.control(Method::GET, "/state?provider=google", &Value::Null).await.expect(200).json();
    assert_eq!(state["calendars"][0]["events"].as_array().unwrap().len(), 3);
    wire.control(Method::POST, "/reset", &Value::Null).await.expect(204);
    let state = wire.control(Method::GET, "/state?provider=google", &Value::Null).await.expect(200).json();
    assert_eq!(state["calendars"][0]["events"], json!([]));
    wire.get(path).await.expect(401);
    wire.emulator.stop().await;
}

#[tokio::test]
async fn e38_a_batch_has_one_outcome_for_each_part() {
    let wire = Wire::start().await;
    wire.insert(&event("event1")).await.expect(200);
    let bearer = format!("Bearer {}", wire.token);
    let send = async |parts: &[String]| {
        let mut body = String::new();
        for (number, part) in parts.iter().enumerate() {
            let _ = write!(
                body,
                "--edge\r\nContent-Type: application/http\r\nContent-ID: <b + {number}>\r\n\r\n{part}\r\n"
            );
        }
        body.push_str("--edge--\r\n");
        let headers =
            [("authorization", bearer.as_str()), ("content-type", "multipart/mixed; boundary=\"edge\"")];
        exchange(Method::POST, &wire.url("/batch/calendar/v3"), &headers, body).await.unwrap()
    };
    let json_body = event("event2").to_string();
    let answer = send(&[
        "GET /calendar/v3/calendars/primary/events/event1 HTTP/1.1\r\n\r\n".to_owned(),
        format!(
            "POST /calendar/v3/calendars/primary/events HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{json_body}",
            json_body.len()
        ),
        "DELETE /calendar/v3/calendars/primary/events/none1 HTTP/1.1\r\n\r\n".to_owned(),
    ])
    .await
    .expect(200);
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("HTTP/1.1")).collect();
    assert_eq!(lines, ["HTTP/1.1 200 OK", "HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found"]);
    assert!(text.contains("Content-ID: <response-b + 2>"));
    wire.get("/calendars/primary/events/event2").await.expect(200);
    let many: Vec<String> = vec!["GET /calendar/v3/colors HTTP/1.1\r\n\r\n".to_owned(); 51];
    send(&many).await.expect(400);
    // Each part is metered as a request.
    let quota = json!({"quota": {"per_project": 3, "per_user": 3, "status": 429}});
    wire.control(Method::PUT, "/google/switches", &quota).await.expect(204);
    let text = send(&many[..5]).await.expect(200).body;
    assert_eq!(String::from_utf8_lossy(&text).matches("HTTP/1.1 429").count(), 2);
    wire.emulator.stop().await;
}

#[tokio::test]
async fn e39_partial_answers_and_conditional_gets() {
    let wire = Wire::start().await;
    let made = wire.insert(&event("event1")).await.expect(200);
    assert_eq!(made.header("etag"), made.json()["etag"].as_str().unwrap());
    let page =
        wire.get("/calendars/primary/events?fields=items(id,start/dateTime),nextSyncToken").await.json();
    assert_eq!(page["items"], json!([{"id": "event1", "start": {"dateTime": "2026-11-25T10:00:00+01:00"}}]));
    assert!(page["nextSyncToken"].is_string() && page.get("kind").is_none());
    wire.get("/calendars/primary/events?fields=items(").await.expect(400);
    let path = "/calendars/primary/events/event1";
    let same = [("if-none-match", made.header("etag"))];
    wire.try_call(Method::GET, path, &same, &Value::Null).await.unwrap().expect(304);
    let stale = [("if-match", "\"1\"")];
    let refused =
        wire.try_call(Method::PATCH, path, &stale, &json!({"summary": "x"})).await.unwrap().expect(412);
    assert_eq!(reason(&refused), "conditionNotMet");
    wire.emulator.stop().await;
}

/// Error bodies are those that were published; the file is read in place.
#[test]
fn errors_are_written_as_published() {
    let folder = std::env::var("SYNCLINE_FIXTURES")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/fixtures").to_owned());
    let Ok(text) = std::fs::read_to_string(format!("{folder}/gcal/google-errors.json")) else {
        println!("skipped: no {folder}/gcal/google-errors.json; set SYNCLINE_FIXTURES");
        return;
    };
    let published: Value = serde_json::from_str(&text).unwrap();
    let known = [
        ("authError", 401),
        ("userRateLimitExceeded", 403),
        ("notFound", 404),
        ("duplicate", 409),
        ("fullSyncRequired", 410),
        ("conditionNotMet", 412),
        ("rateLimitExceeded429", 429),
        ("backendError", 500),
    ];
    for (name, status) in known {
        let body = ApiError::of_status(status).body(ErrorShape::Legacy);
        assert_eq!(body, published["documented"][name]["body"], "{name}");
    }
}

#[tokio::test]
async fn the_page_shows_and_edits_and_is_closed_to_other_origins() {
    let wire = Wire::start().await;
    let page = exchange(Method::GET, &wire.url("/"), &[], "").await.unwrap().expect(200);
    assert!(page.header("content-type").starts_with("text/html"));
    let calendars =
        exchange(Method::GET, &wire.url("/ui/calendars"), &[], "").await.unwrap().expect(200).json();
    assert_eq!(calendars["items"][0]["id"], DEMO_GOOGLE_ACCOUNT);
    let events = wire.url(&format!("/ui/events?calendar={DEMO_GOOGLE_ACCOUNT}"));
    // A fault meant for the provider's callers is not used up by the page, which asks every second.
    wire.fault(json!({"provider": "google", "times": 1, "fault": {"kind": "status", "status": 500}})).await;
    let made = exchange(Method::POST, &events, &[], event("event1").to_string()).await.unwrap().expect(200);
    let one = wire.url(&format!("/ui/events/event1?calendar={DEMO_GOOGLE_ACCOUNT}"));
    let foreign = [("origin", "https://evil.example.org")];
    exchange(Method::DELETE, &one, &foreign, "").await.unwrap().expect(403);
    let change = json!({"summary": "By hand"}).to_string();
    let changed = exchange(Method::PATCH, &one, &[], change).await.unwrap().expect(200).json();
    assert_ne!(changed["etag"], made.json()["etag"]);
    wire.get("/calendars/primary/events/event1").await.expect(500);
    let calls = wire.control(Method::GET, "/calls?provider=google", &Value::Null).await.json();
    assert_eq!(calls["items"].as_array().unwrap().len(), 1, "the page is not in the ledger");
    assert_eq!(wire.get("/calendars/primary/events/event1").await.json()["summary"], "By hand");
    exchange(Method::DELETE, &one, &[], "").await.unwrap().expect(200);
    let list = exchange(Method::GET, &events, &[], "").await.unwrap().expect(200).json();
    assert_eq!(list["items"], json!([]));
    wire.emulator.stop().await;
}
