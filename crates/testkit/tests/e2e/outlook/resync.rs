//! Operators' procedures: state, reset and full, a cursor that Outlook has forgotten, a window that hides nothing.

use anyhow::{Result, ensure};
use http::StatusCode;
use serde_json::{Value, json};
use testkit::e2e::caller::encode;

use super::{BEN, Outlook, day, text};

/// Every row with what a second reading must not change.
async fn rows(outlook: &Outlook) -> Result<Vec<Value>> {
    let rows =
        "SELECT id, title, start_at, end_at, time_zone, recurrence, google_event_id, deleted_at, app_version,
            created_at
         FROM events ORDER BY id";
    outlook.platform.sql.rows(rows).await
}

#[tokio::test]
async fn a_calendar_that_is_read_again_is_as_before() -> Result<()> {
    let outlook = Outlook::connect().await?;
    let api = &outlook.tenant.api;
    for n in 0..30 {
        outlook.make(&format!("theirs {n:02}"), day(5 + n)).await?;
        if n % 3 == 0 {
            outlook.insert(&format!("ours {n:02}"), day(6 + n)).await?;
        }
    }
    outlook
        .until("forty events on both sides", async || {
            let here = outlook.rows("provider_etag IS NOT NULL").await?.len();
            Ok(here == 40 && outlook.listed().await?.len() == 40 && outlook.told().await?)
        })
        .await?;
    outlook.quiet().await?;
    // What leaves the window is no deletion: one that is long past now, and one far ahead.
    outlook.silence().await?;
    let far = super::body("theirs 00", day(700));
    outlook.change(&text(&outlook.find("theirs 00").await?["id"])?, &far).await?;
    let of = json!({"userId": BEN, "resourceType": "events"});
    api.post("/api/sync/delta", &of).await?;
    let moved = "title = 'theirs 00' AND start_at > now() + interval '690 days'";
    outlook.until("it moved here too", async || Ok(outlook.rows(moved).await?.len() == 1)).await?;
    outlook.quiet().await?;
    let state = api.get(&format!("/api/sync/state/{}/events", encode(BEN))).await?;
    ensure!(state["items"] == 40 && state["resources"][0]["has_cursor"] == true, "{state}");

    let before = rows(&outlook).await?;
    let reset = api.post("/api/sync/reset", &of).await?;
    ensure!(reset["cursors"] == 1, "{reset}");
    let unread = api.get(&format!("/api/sync/state/{}/events", encode(BEN))).await?;
    ensure!(unread["resources"][0]["has_cursor"] == false, "{unread}");
    api.post("/api/sync/full", &of).await?;
    outlook.quiet().await?;
    let after = rows(&outlook).await?;
    let differs: Vec<_> = before.iter().zip(&after).filter(|(old, new)| old != new).take(3).collect();
    ensure!(after.len() == before.len() && differs.is_empty(), "{} rows, {differs:?}", after.len());

    // The window is about to end: a new one is enumerated, and nothing is taken for deleted.
    let generation = "SELECT generation FROM google_calendar_connections";
    let walked = outlook.number(generation).await?;
    let ending = format!(
        "UPDATE google_calendar_connections
         SET sync_token = jsonb_set(sync_token::jsonb, '{{window,to}}', '\"{}T00:00:00Z\"')::text",
        day(360)
    );
    outlook.platform.sql.run(&ending).await?;
    api.post("/api/sync/delta", &of).await?;
    outlook.quiet().await?;
    ensure!(outlook.number(generation).await? == walked + 1, "the window did not move");
    let after = rows(&outlook).await?;
    ensure!(after == before, "the window took something with it: {after:?}");

    // The delta link is void, one event is gone and one is new: the enumeration alone finds it.
    outlook.platform.control.post("/microsoft/events/void-tokens", &json!({"user": BEN})).await?;
    outlook.remove(&text(&outlook.find("theirs 07").await?["id"])?).await?;
    outlook.make("meanwhile", day(50)).await?;
    api.post("/api/sync/delta", &of).await?;
    outlook
        .until("an enumeration finds what changed", async || {
            Ok(outlook.has("meanwhile").await? && outlook.rows("title = 'theirs 07'").await?.is_empty())
        })
        .await?;
    outlook.quiet().await?;
    ensure!(outlook.rows("true").await?.len() == 40, "{:?}", rows(&outlook).await?);

    let id = &outlook.connection;
    let calendars = api.get(&format!("/api/connections/{id}/calendars")).await?;
    ensure!(calendars["items"].as_array().is_some_and(|items| items.len() == 1), "{calendars}");
    let ended = api.delete(&format!("/api/connections/{id}")).await?;
    ensure!(ended["state"] == "revoked" && ended["channels_stopped"] == 1, "{ended}");
    let refused = api.call(http::Method::POST, "/api/sync/delta", Some(&of)).await?;
    ensure!(refused.status == StatusCode::NOT_FOUND, "{}", refused.status);
    ensure!(outlook.rows("true").await?.len() == 40, "disconnecting removed events");
    outlook.close().await
}
