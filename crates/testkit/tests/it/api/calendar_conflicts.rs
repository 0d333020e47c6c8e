//! Conflicts, push channels and syncs of calendars over REST.

use chrono::{DateTime, Utc};
use domain::calendar::event::{Field, Moment, When};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use store::calendar::conflicts::{NewConflict, record};
use uuid::Uuid;
use web::auth::Role;

use super::World;
use super::calendar::member;

async fn event(world: &World) -> Uuid {
    let body = json!({
        "title": "app", "start_at": "2026-07-01T08:00:00Z", "end_at": "2026-07-01T09:00:00Z", "time_zone": "UTC",
        "attendees": [{ "email": "al@example.com" }],
    });
    let made = world.post("/api/events", Some(body)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    world
        .db
        .execute(
            "UPDATE events SET google_calendar_id = 'c', google_event_id = id::text, last_update_source = 'google';
             UPDATE google_calendar_sync_queue SET status = 'completed'",
        )
        .await;
    made.body["id"].as_str().expect("an id").parse().expect("an id")
}

/// A collision of a field; answers its path.
async fn conflict(
    world: &World,
    event: Uuid,
    field: &str,
    app: &Value,
    provider: &Value,
    kept: &str,
) -> String {
    let mut tx = world.db.store.tenant(world.company).await.expect("a transaction");
    let new = NewConflict {
        event_id: event,
        connection_id: None,
        calendar_id: Some("c"),
        google_event_id: Some("e"),
        field,
        base: None,
        app: Some(app),
        provider: Some(provider),
        kept,
        policy: "newest_wins",
    };
    let id = record(&mut tx, world.company, &new).await.expect("a row");
    tx.commit().await.expect("a commit");
    format!("/api/sync/conflicts/{id}/resolve")
}

#[tokio::test]
async fn the_value_that_lost_can_be_kept_after_all() {
    let world = member().await;
    let event = event(&world).await;
    let path = format!("/api/events/{event}");
    let at = |text: &str| {
        Moment::at(text.parse::<DateTime<Utc>>().expect("a time"), "Europe/Paris".parse().expect("a zone"))
    };
    let when = When::Timed { start: at("2026-08-01T08:00:00Z"), end: at("2026-08-01T09:30:00Z") };
    let guest = json!({ "email": "Zoe@example.com", "responseStatus": "accepted" });
    for (field, value, shown, expected) in [
        (Field::Title.as_str(), json!("provider"), "title", json!("provider")),
        (Field::When.as_str(), json!(when), "end_at", json!("2026-08-01T09:30:00Z")),
        (
            "attendees/zoe@example.com",
            guest.clone(),
            "attendees",
            json!([{ "email": "al@example.com" }, guest]),
        ),
        ("attendees/al@example.com", Value::Null, "attendees", json!([guest])),
        (Field::Free.as_str(), json!(true), "transparency", json!("transparent")),
        (
            Field::Reminders.as_str(),
            json!({ "own": [["popup", 5]] }),
            "reminders",
            json!({ "useDefault": false, "overrides": [{ "method": "popup", "minutes": 5 }] }),
        ),
        (Field::Recurrence.as_str(), json!(["RRULE:FREQ=DAILY"]), "recurrence", json!(["RRULE:FREQ=DAILY"])),
    ] {
        world.db.execute("UPDATE google_calendar_sync_queue SET status = 'completed'").await;
        let resolve = conflict(&world, event, field, &json!(null), &value, "app").await;
        let open = world.get("/api/sync/conflicts").await;
        assert_eq!(open.body["items"][0]["field"], field, "{open:?}");
        let done = world.post(&resolve, Some(json!({ "keep": "provider", "reason": "it is right" }))).await;
        assert_eq!(
            (done.status, &done.body["state"]),
            (StatusCode::OK, &json!("resolved")),
            "{field}: {done:?}"
        );
        assert_eq!((&done.body["kept"], &done.body["resolved_by"]), (&json!("provider"), &json!("user-1")));
        assert_eq!(world.get(&path).await.body[shown], expected, "{field}");
        let queued = "SELECT count(*) FROM google_calendar_sync_queue WHERE status = 'pending'";
        assert_eq!(world.db.number(queued).await, 1, "{field}: the calendar follows");
        let again = world.post(&resolve, Some(json!({ "keep": "provider" }))).await;
        assert_eq!((again.status, &again.body["code"]), (StatusCode::CONFLICT, &json!("already_resolved")));
    }
    assert_eq!(world.get("/api/sync/conflicts").await.body["items"], json!([]));
    let all = world.get("/api/sync/conflicts?state=resolved").await;
    assert_eq!(all.body["items"].as_array().map(Vec::len), Some(7));
    let viewer = world.call(Role::Viewer, Method::GET, "/api/sync/conflicts", None).await;
    assert_eq!(viewer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_stands_can_stay_and_a_deletion_can_win_after_all() {
    let world = member().await;
    let event = event(&world).await;
    let stays = conflict(&world, event, "title", &json!("app"), &json!("provider"), "app").await;
    assert_eq!(world.post(&stays, Some(json!({ "keep": "app" }))).await.status, StatusCode::OK);
    let waiting = "SELECT count(*) FROM google_calendar_sync_queue WHERE status = 'pending'";
    assert_eq!(world.db.number(waiting).await, 0, "nothing to write");
    let wrong = world.post(&stays, Some(json!({ "keep": "both" }))).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong:?}");
    let deletion = conflict(&world, event, "existence", &json!("edited"), &json!(null), "app").await;
    assert_eq!(world.post(&deletion, Some(json!({ "keep": "provider" }))).await.status, StatusCode::OK);
    assert_eq!(world.get(&format!("/api/events/{event}")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.db.number(waiting).await, 1);
    // An edit that went down with its event comes back with it.
    let edit = conflict(&world, event, "title", &json!("kept"), &json!(null), "provider").await;
    assert_eq!(world.post(&edit, Some(json!({ "keep": "app" }))).await.status, StatusCode::OK);
    assert_eq!(world.get(&format!("/api/events/{event}")).await.body["title"], "kept");
    world.db.execute("DELETE FROM events").await;
    let gone = conflict(&world, event, "title", &json!("x"), &json!(null), "provider").await;
    let refused = world.post(&gone, Some(json!({ "keep": "app" }))).await;
    assert_eq!((refused.status, &refused.body["code"]), (StatusCode::CONFLICT, &json!("event_gone")));
    let none = format!("/api/sync/conflicts/{}/resolve", chassis::ids::new_id());
    assert_eq!(world.post(&none, Some(json!({ "keep": "app" }))).await.status, StatusCode::NOT_FOUND);
}

/// Two calendars, one of them revoked, with a channel each: one that lasts, and one that ended.
async fn calendars(world: &World) -> (Uuid, Uuid) {
    let company = world.company;
    let (account, one, two) = (chassis::ids::new_id(), chassis::ids::new_id(), chassis::ids::new_id());
    world
        .db
        .execute(&format!(
            "INSERT INTO calendar_accounts (id, company_id, subject) VALUES ('{account}', '{company}', '117');
             INSERT INTO google_calendar_connections (id, company_id, account_id, calendar_id, state)
                 VALUES ('{one}', '{company}', '{account}', 'one@example.com', 'active'),
                     ('{two}', '{company}', '{account}', 'two@example.com', 'revoked');
             INSERT INTO google_calendar_webhooks (id, company_id, connection_id, calendar_id, channel_id,
                 token_sha256, state, expiration_timestamp, created_at, updated_at)
             VALUES (gen_random_uuid(), '{company}', '{one}', 'one@example.com', 'ch1', '\\x00', 'active',
                     extract(epoch FROM now() + interval '5 hours') * 1000, now() - interval '2 hours', now()),
                 (gen_random_uuid(), '{company}', '{two}', 'two@example.com', 'ch2', '\\x00', 'stopped',
                     extract(epoch FROM now() - interval '9 days') * 1000, now(), now() - interval '9 days');
             INSERT INTO microsoft_subscriptions (id, company_id, subscription_id, resource_type, resource_id,
                 client_state_sha256, expires_at, state, created_at)
             VALUES (gen_random_uuid(), '{company}', 's1', 'drive', 'b!d', '', now(), 'active',
                 now() - interval '1 hour')"
        ))
        .await;
    (one, two)
}

#[tokio::test]
async fn push_channels_of_all_providers_are_listed_renewed_and_forgotten() {
    let world = member().await;
    let (one, _) = calendars(&world).await;
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = world.get(&format!("/api/webhooks?limit=1{cursor}")).await;
        for item in page.body["items"].as_array().expect("items") {
            seen.push((item["provider"].clone(), item["subscription_id"].clone()));
        }
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let expected = [("google", "ch2"), ("microsoft", "s1"), ("google", "ch1")];
    assert_eq!(seen, expected.map(|(provider, id)| (json!(provider), json!(id))));
    let operator = world.call(Role::Operator, Method::POST, "/api/webhooks/renew", None).await;
    assert_eq!(operator.status, StatusCode::FORBIDDEN);
    let early = world.post("/api/webhooks/renew", Some(json!({ "within_hours": 4 }))).await;
    assert_eq!((early.status, &early.body["calendars"]), (StatusCode::ACCEPTED, &json!(0)), "{early:?}");
    let renewing = world.post("/api/webhooks/renew", None).await;
    assert_eq!(
        (&renewing.body["calendars"], &renewing.body["drives"]),
        (&json!(1), &json!(0)),
        "{renewing:?}"
    );
    let job = &world.db.rows("SELECT kind, payload FROM jobs").await[0];
    assert_eq!(*job, json!({ "kind": "calendar.watch", "payload": { "connection_id": one } }));
    let cleaned = world.post("/api/webhooks/cleanup", None).await;
    assert_eq!((cleaned.status, &cleaned.body["removed"]), (StatusCode::OK, &json!(1)), "{cleaned:?}");
    assert_eq!(world.db.number("SELECT count(*) FROM google_calendar_webhooks").await, 1);
    let wrong = world.post("/api/webhooks/cleanup", Some(json!({ "days": -1 }))).await;
    assert_eq!(wrong.body["errors"][0]["field"], "days");
}

#[tokio::test]
async fn calendars_are_synchronised_on_demand() {
    let world = member().await;
    let (one, two) = calendars(&world).await;
    let all = world.post("/api/calendar/sync", None).await;
    assert_eq!(
        (all.status, all.body["jobs"].as_array().map(Vec::len)),
        (StatusCode::ACCEPTED, Some(1)),
        "{all:?}"
    );
    let again = world.post("/api/calendar/sync", Some(json!({ "connection_id": one }))).await;
    assert_eq!(again.body, all.body, "the jobs that wait serve it");
    let full = world.post("/api/calendar/sync", Some(json!({ "connection_id": one, "full": true }))).await;
    assert_ne!(full.body["jobs"][0]["pull_job"], all.body["jobs"][0]["pull_job"]);
    assert_eq!(full.body["jobs"][0]["push_job"], all.body["jobs"][0]["push_job"]);
    let revoked = world.post("/api/calendar/sync", Some(json!({ "connection_id": two }))).await;
    assert_eq!((revoked.status, &revoked.body["code"]), (StatusCode::CONFLICT, &json!("not_active")));
    let none =
        world.post("/api/calendar/sync", Some(json!({ "connection_id": chassis::ids::new_id() }))).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
}
