//! "This and following" over REST: both parts, and the exceptions that go along.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::calendar::{meeting, member, path, queue, with_etag};
use super::{Answer, World};

/// Nine days from 1 July at 10:00 in Paris, with exceptions on the 2nd, the 4th (cancelled), the 5th and the 6th.
async fn series(world: &World) -> Answer {
    let mut series = meeting();
    series["recurrence"] = json!(["RRULE:FREQ=DAILY;COUNT=9"]);
    let made = world.post("/api/events", Some(series)).await;
    let occurrences = format!("{}/occurrences", path(&made));
    for exception in [
        json!({ "original_start": "2026-07-02T08:00:00Z", "title": "Early" }),
        json!({ "original_start": "2026-07-04T08:00:00Z", "cancelled": true }),
        json!({ "original_start": "2026-07-05T08:00:00Z", "title": "Late" }),
        json!({ "original_start": "2026-07-06T08:00:00Z", "start_at": "2026-07-06T15:00:00Z",
            "end_at": "2026-07-06T16:00:00Z" }),
    ] {
        let made = world.post(&occurrences, Some(exception)).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    }
    made
}

async fn split(world: &World, series: &Answer, body: Value) -> Answer {
    with_etag(world, Method::POST, &format!("{}/split", path(series)), "*", Some(body)).await
}

async fn exceptions(world: &World, series: &Value) -> Vec<Value> {
    let id = series["id"].as_str().expect("an id");
    let query = format!(
        "SELECT original_start, title, location, start_at, deleted_at IS NOT NULL AS gone FROM events
         WHERE series_event_id = '{id}' ORDER BY original_start"
    );
    world.db.rows(&query).await
}

#[tokio::test]
async fn this_and_following_makes_two_series_and_later_exceptions_go_along() {
    let world = member().await;
    let made = series(&world).await;
    let body = json!({ "original_start": "2026-07-03T10:00:00+02:00", "title": "New", "location": "Room 9" });
    let done = split(&world, &made, body).await;
    assert_eq!(done.status, StatusCode::CREATED, "{done:?}");
    let (first, second) = (&done.body["series"], &done.body["following"]);
    assert_eq!(first["recurrence"], json!(["RRULE:FREQ=DAILY;UNTIL=20260703T075959Z"]));
    assert_eq!((&first["title"], &first["start_at"]), (&json!("Meeting"), &json!("2026-07-01T08:00:00Z")));
    assert_eq!(second["recurrence"], json!(["RRULE:FREQ=DAILY;COUNT=7"]));
    assert_eq!((&second["title"], &second["start_at"]), (&json!("New"), &json!("2026-07-03T08:00:00Z")));
    assert_eq!(second["attendees"], json!([{ "email": "zoe@example.com", "x": 1 }]), "whole objects");
    assert_eq!(done.headers["location"], format!("/api/events/{}", second["id"].as_str().expect("an id")));
    assert_eq!((done.body["moved"].as_array().map(Vec::len), &done.body["dropped"]), (Some(3), &json!([])));
    let moved = exceptions(&world, second).await;
    assert_eq!(moved.len(), 3);
    assert_eq!(
        (&moved[0]["original_start"], &moved[0]["gone"]),
        (&json!("2026-07-04T08:00:00Z"), &json!(true))
    );
    assert_eq!((&moved[1]["title"], &moved[1]["location"]), (&json!("Late"), &json!("Room 9")), "{moved:?}");
    assert_eq!((&moved[2]["title"], &moved[2]["location"]), (&json!("New"), &json!("Room 9")), "{moved:?}");
    let kept = exceptions(&world, first).await;
    let gone: Vec<bool> = kept.iter().map(|row| row["gone"] == true).collect();
    assert_eq!(gone, [false, true, true, true], "the early one stays: {kept:?}");
    let audited = world.db.rows("SELECT details FROM audit_events WHERE action = 'event.split'").await;
    assert_eq!(audited[0]["details"]["moved"], 3);
    assert_eq!(queue(&world).await.len(), 9, "every row has one entry");
}

#[tokio::test]
async fn exceptions_follow_a_series_that_moves() {
    let world = member().await;
    let made = series(&world).await;
    // Two hours later, and two occurrences fewer.
    let body = json!({
        "original_start": "2026-07-03T08:00:00Z", "start_at": "2026-07-03T10:00:00Z",
        "end_at": "2026-07-03T11:00:00Z", "recurrence": ["RRULE:FREQ=DAILY;COUNT=3"],
    });
    let done = split(&world, &made, body).await;
    assert_eq!(done.status, StatusCode::CREATED, "{done:?}");
    assert_eq!(done.body["dropped"].as_array().map(Vec::len), Some(1), "the one of the 6th: {done:?}");
    let moved = exceptions(&world, &done.body["following"]).await;
    let places: Vec<&Value> = moved.iter().map(|row| &row["original_start"]).collect();
    assert_eq!(places, ["2026-07-04T10:00:00Z", "2026-07-05T10:00:00Z"]);
    assert_eq!(moved[1]["title"], "Late");
    let at = moved[1]["start_at"].as_str().expect("a time");
    assert!(at.starts_with("2026-07-05T10:00:00"), "it moved with its series: {at}");
}

#[tokio::test]
async fn a_split_names_what_is_wrong_and_changes_nothing() {
    let world = member().await;
    let made = series(&world).await;
    let before = world.db.rows("SELECT id, app_version, deleted_at FROM events ORDER BY id").await;
    for (body, field, said) in [
        (json!({ "original_start": "2026-07-03T08:00:01Z" }), "original_start", "2026-07-03T08:00:01Z"),
        (json!({ "original_start": "2026-07-10T08:00:00Z" }), "original_start", "no occurrence"),
        (json!({ "original_start": "2026-07-01T08:00:00Z" }), "original_start", "series itself"),
        (json!({ "original_start": "tomorrow" }), "original_start", "tomorrow"),
        (json!({ "original_start": "2026-07-03T08:00:00Z", "recurrence": [] }), "recurrence", "recurs"),
        (json!({ "original_start": "2026-07-03T08:00:00Z", "time_zone": "Mars/Phobos" }), "time_zone", ""),
        (json!({ "original_start": "2026-07-03T08:00:00Z", "titel": "x" }), "titel", ""),
    ] {
        let refused = split(&world, &made, body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{refused:?}");
        let error = &refused.body["errors"][0];
        assert_eq!(error["field"], field, "{refused:?}");
        assert!(error["message"].as_str().is_some_and(|message| message.contains(said)), "{error}");
    }
    let path = format!("{}/split", path(&made));
    let body = json!({ "original_start": "2026-07-03T08:00:00Z" });
    let stale = with_etag(&world, Method::POST, &path, "\"1-0\"", Some(body.clone())).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED, "{stale:?}");
    let blind = world.post(&path, Some(body)).await;
    assert_eq!(blind.status, StatusCode::PRECONDITION_REQUIRED, "{blind:?}");
    let after = world.db.rows("SELECT id, app_version, deleted_at FROM events ORDER BY id").await;
    assert_eq!(before, after);
}
