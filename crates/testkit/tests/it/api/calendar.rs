//! Events over REST: what is written, refused, and queued for the calendar.

use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use web::auth::Role;

use super::{Answer, World, token};

/// A world whose caller `user-1` is a member of the company.
pub async fn member() -> World {
    let world = World::new().await;
    let company = world.company;
    world
        .db
        .execute(&format!(
            "INSERT INTO company_users (company_id, user_id, role) VALUES ('{company}', 'user-1', 'admin')"
        ))
        .await;
    world
}

pub async fn with_etag(world: &World, method: Method, path: &str, etag: &str, body: Option<Value>) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {}", token(world.company, Role::Operator)))
        .header("if-match", etag)
        .header("content-type", "application/json")
        .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())));
    world.send(request.expect("a request")).await
}

pub fn path(answer: &Answer) -> String {
    format!("/api/events/{}", answer.body["id"].as_str().expect("an id"))
}

pub async fn queue(world: &World) -> Vec<Value> {
    world.db.rows("SELECT action, status FROM google_calendar_sync_queue ORDER BY created_at").await
}

pub fn meeting() -> Value {
    json!({
        "title": "Meeting", "location": "Room 1", "start_at": "2026-07-01T10:00:00+02:00",
        "end_at": "2026-07-01T11:00:00+02:00", "time_zone": "Europe/Paris",
        "attendees": [{ "email": "zoe@example.com", "x": 1 }],
        "reminders": { "useDefault": false, "overrides": [{ "method": "popup", "minutes": 10 }] },
    })
}

#[tokio::test]
async fn an_event_is_written_changed_and_deleted_with_its_version() {
    let world = member().await;
    let made = world.post("/api/events?sendUpdates=all", Some(meeting())).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let path = path(&made);
    assert_eq!(made.headers["location"], *path);
    assert_eq!(queue(&world).await, [json!({ "action": "create", "status": "pending" })]);
    let got = world.get(&path).await;
    assert_eq!(got.body["start_at"], "2026-07-01T08:00:00Z", "{got:?}");
    assert_eq!(got.body["attendees"], json!([{ "email": "zoe@example.com", "x": 1 }]), "whole objects");
    let first = got.headers["etag"].to_str().expect("text").to_owned();
    assert_eq!(got.body["etag"], first);

    let change = json!({ "title": "Moved", "location": null });
    let blind = world.call(Role::Operator, Method::PATCH, &path, Some(change.clone())).await;
    assert_eq!(blind.status, StatusCode::PRECONDITION_REQUIRED, "{blind:?}");
    let changed = with_etag(&world, Method::PATCH, &path, &first, Some(change.clone())).await;
    assert_eq!((changed.status, &changed.body["title"]), (StatusCode::OK, &json!("Moved")), "{changed:?}");
    assert_eq!((&changed.body["location"], &changed.body["end_at"]), (&Value::Null, &got.body["end_at"]));
    let stale = with_etag(&world, Method::PATCH, &path, &first, Some(change)).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(stale.body["etag"], changed.body["etag"]);
    let row = &world.db.rows("SELECT send_updates, user_id, last_update_source FROM events").await[0];
    assert_eq!(
        *row,
        json!({ "send_updates": "all", "user_id": "user-1", "last_update_source": "app" }),
        "the guests do not know yet: what was asked for stays"
    );
    // From a time to days.
    let days = json!({ "start_date": "2026-07-01", "end_date": "2026-07-03", "sendUpdates": "none" });
    let days = with_etag(&world, Method::PATCH, &path, "*", Some(days)).await;
    assert_eq!((&days.body["all_day"], &days.body["start_at"]), (&json!(true), &Value::Null), "{days:?}");
    assert_eq!(queue(&world).await.len(), 1, "coalesced");

    world
        .db
        .execute(
            "UPDATE events SET google_calendar_id = 'c', google_event_id = 'e', last_update_source = 'app'",
        )
        .await;
    let gone = with_etag(&world, Method::DELETE, &path, &first, None).await;
    assert_eq!(gone.status, StatusCode::PRECONDITION_FAILED);
    let gone = with_etag(&world, Method::DELETE, &path, "\"other\", *", None).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{gone:?}");
    assert_eq!(world.get(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(with_etag(&world, Method::DELETE, &path, "*", None).await.status, StatusCode::NOT_FOUND);
    assert_eq!(queue(&world).await, [json!({ "action": "delete", "status": "pending" })]);
    let actions = world.db.rows("SELECT action, actor FROM audit_events ORDER BY occurred_at, id").await;
    let actions: Vec<_> = actions.iter().map(|row| row["action"].as_str().expect("text")).collect();
    assert_eq!(actions, ["event.create", "event.change", "event.change", "event.delete"]);
}

#[tokio::test]
async fn what_the_provider_would_refuse_is_refused_by_name() {
    let world = member().await;
    let with = |name: &str, value: Value| {
        let mut body = meeting();
        body[name] = value;
        body
    };
    let same = json!({ "email": "A@example.com" });
    for (body, field) in [
        (with("colour", json!(1)), "colour"),
        (with("start_at", json!("2026-07-01T12:00:00Z")), "end_at"),
        (with("start_at", json!("2026-07-01T12:00:00")), "start_at"),
        (with("start_at", Value::Null), "start_at"),
        (with("end_date", json!("2026-07-01")), "start_date"),
        (json!({ "title": "never" }), "start_at"),
        (json!({ "start_date": "2026-07-01", "end_date": "2026-07-01" }), "end_date"),
        (with("time_zone", json!("Mars/Phobos")), "time_zone"),
        (with("time_zone", json!("+02:00")), "time_zone"),
        (with("recurrence", json!(["RRULE:COUNT=3"])), "recurrence[0]"),
        (with("recurrence", json!(["RRULE:FREQ=DAILY", "DTSTART:20260701T080000Z"])), "recurrence[1]"),
        (with("recurrence", json!(["RRULE:FREQ=DAILY;COUNT=2;UNTIL=20260801"])), "recurrence[0]"),
        (with("recurrence", json!(["EXDATE:20260701T080000Z"])), "recurrence"),
        (with("attendees", json!([same, { "email": "a@example.com" }])), "attendees[1].email"),
        (with("attendees", json!([{ "displayName": "Zoe" }])), "attendees[0].email"),
        (with("reminders", json!({ "useDefault": true, "x": 1 })), "reminders.x"),
        (
            with("reminders", json!({ "overrides": [{ "method": "popup", "minutes": 40321 }] })),
            "reminders.overrides[0]",
        ),
        (with("visibility", json!("secret")), "visibility"),
        (with("sendUpdates", json!("everyone")), "sendUpdates"),
        (with("connection_id", json!(chassis::ids::new_id())), "connection_id"),
        (with("title", json!("x".repeat(1025))), "title"),
    ] {
        let refused = world.post("/api/events", Some(body.clone())).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {refused:?}");
        assert_eq!(refused.body["errors"][0]["field"], field, "{refused:?}");
    }
    let query = world.post("/api/events?sendUpdates=some", Some(meeting())).await;
    assert_eq!(query.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(queue(&world).await.is_empty());
}

#[tokio::test]
async fn events_are_their_users_alone() {
    let world = member().await;
    let company = world.company;
    world
        .db
        .execute(&format!(
            "INSERT INTO events (company_id, user_id, title, start_at, end_at)
             VALUES ('{company}', 'somebody', 'theirs', now(), now())"
        ))
        .await;
    let theirs = &world.db.rows("SELECT id FROM events").await[0]["id"];
    let theirs = format!("/api/events/{}", theirs.as_str().expect("an id"));
    assert_eq!(world.get(&theirs).await.status, StatusCode::NOT_FOUND);
    for method in [Method::PATCH, Method::DELETE] {
        let body = (method == Method::PATCH).then(|| json!({ "title": "mine" }));
        assert_eq!(with_etag(&world, method, &theirs, "*", body).await.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(world.get("/api/events").await.body["items"], json!([]));
    let viewer = world.call(Role::Viewer, Method::POST, "/api/events", Some(meeting())).await;
    assert_eq!(viewer.status, StatusCode::FORBIDDEN);
    world.db.execute("DELETE FROM company_users").await;
    let stranger = world.post("/api/events", Some(meeting())).await;
    assert_eq!((stranger.status, &stranger.body["code"]), (StatusCode::FORBIDDEN, &json!("forbidden")));
}

#[tokio::test]
async fn events_are_listed_by_their_beginning_in_a_window() {
    let world = member().await;
    for (title, start, end) in [
        ("third", "2026-07-03T08:00:00Z", "2026-07-03T09:00:00Z"),
        ("first", "2026-07-01T08:00:00Z", "2026-07-01T09:00:00Z"),
    ] {
        let body = json!({ "title": title, "start_at": start, "end_at": end });
        assert_eq!(world.post("/api/events", Some(body)).await.status, StatusCode::CREATED);
    }
    let days = json!({ "title": "second", "start_date": "2026-07-02", "end_date": "2026-07-03" });
    world.post("/api/events", Some(days)).await;
    let series = json!({
        "title": "series", "start_date": "2026-06-01", "end_date": "2026-06-02", "recurrence": ["RRULE:FREQ=DAILY"],
    });
    world.post("/api/events", Some(series)).await;
    let titles = |answer: &Answer| {
        let items = answer.body["items"].as_array().expect("items");
        items.iter().map(|item| item["title"].as_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = world.get(&format!("/api/events?limit=1{cursor}")).await;
        seen.extend(titles(&page));
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["series", "first", "second", "third"]);
    let window = world.get("/api/events?from=2026-07-02T00:00:00Z&to=2026-07-03T00:00:00Z").await;
    assert_eq!(titles(&window), ["series", "second"]);
}

#[tokio::test]
async fn one_occurrence_of_a_series_is_changed_or_cancelled_once() {
    let world = member().await;
    let mut series = meeting();
    series["recurrence"] = json!(["RRULE:FREQ=DAILY;COUNT=9"]);
    let made = world.post("/api/events", Some(series)).await;
    let path = format!("{}/occurrences", path(&made));
    let change = json!({ "original_start": "2026-07-03T10:00:00+02:00", "title": "This one" });
    let exception = world.post(&path, Some(change.clone())).await;
    assert_eq!(exception.status, StatusCode::CREATED, "{exception:?}");
    for (name, value) in [
        ("title", json!("This one")),
        ("location", json!("Room 1")),
        ("start_at", json!("2026-07-03T08:00:00Z")),
        ("end_at", json!("2026-07-03T09:00:00Z")),
        ("original_start", json!("2026-07-03T08:00:00Z")),
        ("series_event_id", made.body["id"].clone()),
        ("recurrence", json!([])),
    ] {
        assert_eq!(exception.body[name], value, "{name}: {exception:?}");
    }
    let again = world.post(&path, Some(change)).await;
    assert_eq!((again.status, &again.body["code"]), (StatusCode::CONFLICT, &json!("occurrence_exists")));
    assert_eq!(again.body["event_id"], exception.body["id"]);
    let cancel = json!({ "original_start": "2026-07-04T08:00:00Z", "cancelled": true });
    let cancelled = world.post(&path, Some(cancel)).await;
    assert_eq!(cancelled.status, StatusCode::CREATED, "{cancelled:?}");
    assert!(cancelled.body["deleted_at"].is_string());
    let actions: Vec<_> = queue(&world).await.iter().map(|row| row["action"].clone()).collect();
    assert_eq!(actions, ["create", "create", "delete"], "although Google has none of them yet");
    let copied = world.db.rows("SELECT copied FROM events WHERE copied IS NOT NULL").await;
    assert_eq!(copied.len(), 2);
    let copied: domain::calendar::event::Event =
        serde_json::from_value(copied[0]["copied"].clone()).expect("a canonical event");
    assert_eq!(
        (copied.title.as_deref(), copied.recurrence.len()),
        (Some("Meeting"), 0),
        "as the series has it"
    );
    for (body, field) in [
        (json!({ "original_start": "2026-07-05" }), "original_start"),
        (json!({ "original_start": "2026-06-30T08:00:00Z" }), "original_start"),
        (json!({ "original_start": "2026-07-05T08:00:01Z" }), "original_start"),
        (json!({ "original_start": "2026-07-10T08:00:00Z" }), "original_start"),
        (
            json!({ "original_start": "2026-07-05T08:00:00Z", "recurrence": ["RRULE:FREQ=DAILY"] }),
            "recurrence",
        ),
        (json!({ "original_start": "2026-07-05T08:00:00Z", "titel": "x" }), "titel"),
        (json!({ "title": "x" }), "original_start"),
    ] {
        let refused = world.post(&path, Some(body)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{refused:?}");
        assert_eq!(refused.body["errors"][0]["field"], field, "{refused:?}");
    }
    let single = world.post("/api/events", Some(meeting())).await;
    let none = format!("/api/events/{}/occurrences", single.body["id"].as_str().expect("an id"));
    let none = world.post(&none, Some(json!({ "original_start": "2026-07-01T08:00:00Z" }))).await;
    assert_eq!((none.status, &none.body["code"]), (StatusCode::CONFLICT, &json!("not_a_series")));
}
