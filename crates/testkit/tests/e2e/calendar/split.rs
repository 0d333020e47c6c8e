//! "This and following", made by the application and followed by Google, and by people at Google afterwards.

use anyhow::{Context as _, Result, ensure};
use http::Method;
use serde_json::{Value, json};
use testkit::e2e::Options;

use super::Calendar;

async fn instances(calendar: &Calendar, master: &str) -> Result<Vec<Value>> {
    let path = format!("/calendars/primary/events/{master}/instances?showDeleted=true");
    let page = calendar.google.get(&path).await?;
    Ok(page["items"].as_array().cloned().unwrap_or_default())
}

#[tokio::test]
async fn this_and_following_goes_both_ways() -> Result<()> {
    let calendar = Calendar::connect(Options::default()).await?;
    let company = calendar.tenant.company;
    let member = format!(
        "INSERT INTO company_users (company_id, user_id, role) VALUES ('{company}', 'tester', 'admin')
         ON CONFLICT DO NOTHING"
    );
    calendar.app(&member).await?;
    let api = &calendar.tenant.api;
    let series = json!({
        "title": "Stand-up", "start_at": "2027-03-22T08:00:00Z", "end_at": "2027-03-22T08:15:00Z",
        "time_zone": "Europe/Paris", "recurrence": ["RRULE:FREQ=DAILY;COUNT=20"],
    });
    let id = api.post("/api/events", &series).await?["id"].as_str().context("an id")?.to_owned();
    // The clocks change on the 28th: nine in Paris is seven in UTC from then on.
    let path = format!("/api/events/{id}/occurrences");
    api.post(&path, &json!({"original_start": "2027-03-24T08:00:00Z", "title": "Early"})).await?;
    api.post(&path, &json!({"original_start": "2027-03-30T07:00:00Z", "title": "Late"})).await?;
    api.post(&path, &json!({"original_start": "2027-03-31T07:00:00Z", "cancelled": true})).await?;
    calendar
        .until("series and exceptions are at Google", async || {
            let waiting = "SELECT count(*) FROM google_calendar_sync_queue WHERE status <> 'completed'";
            Ok(calendar.platform.sql.number(waiting).await? == 0 && calendar.at_google().await?.len() == 4)
        })
        .await?;

    let split = json!({"original_start": "2027-03-26T08:00:00Z", "title": "Stand-up, new"});
    let parts = api.matching(Method::POST, &format!("/api/events/{id}/split"), "*", &split).await?;
    let following = parts["following"]["id"].as_str().context("an id")?.to_owned();
    let first = calendar.event(&id).await?["google_event_id"].as_str().context("an id")?.to_owned();
    calendar
        .until("the first part ends at Google", async || {
            let titles: Vec<Value> =
                instances(&calendar, &first).await?.iter().map(|one| one["summary"].clone()).collect();
            Ok(titles == ["Stand-up", "Stand-up", "Early", "Stand-up"])
        })
        .await?;
    calendar
        .until("the second part is at Google", async || {
            let waiting = "SELECT count(*) FROM google_calendar_sync_queue WHERE status <> 'completed'";
            Ok(calendar.event(&following).await?["google_event_id"].is_string()
                && calendar.platform.sql.number(waiting).await? == 0)
        })
        .await?;
    let second = calendar.event(&following).await?["google_event_id"].as_str().context("an id")?.to_owned();
    let occurrences = instances(&calendar, &second).await?;
    ensure!(occurrences.len() == 16, "{occurrences:?}");
    let late = &occurrences[4];
    ensure!(late["summary"] == "Late" && late["start"]["dateTime"] == "2027-03-30T09:00:00+02:00", "{late}");
    ensure!(occurrences[5]["status"] == "cancelled", "{}", occurrences[5]);

    // A person changes the moved exception at Google: the application's row follows.
    let path = format!("/calendars/primary/events/{}", late["id"].as_str().context("an id")?);
    calendar.google.expect(Method::PATCH, &path, Some(&json!({"location": "Lyon"}))).await?;
    let row = format!(
        "SELECT count(*) FROM events
         WHERE series_event_id = '{following}' AND title = 'Late' AND location = 'Lyon' AND deleted_at IS NULL"
    );
    calendar
        .until("the edit reaches the row", async || Ok(calendar.platform.sql.number(&row).await? == 1))
        .await?;
    let doubled = "SELECT count(*) FROM (SELECT 1 FROM events WHERE google_event_id IS NOT NULL
        GROUP BY google_calendar_id, google_event_id HAVING count(*) > 1) d";
    let left = calendar.platform.dead_letters().await?;
    ensure!(calendar.platform.sql.number(doubled).await? == 0 && left.is_empty(), "{left:?}");
    let conflicts = calendar.platform.sql.number("SELECT count(*) FROM sync_conflicts").await?;
    ensure!(conflicts == 0, "{conflicts} conflicts");
    calendar.platform.stop().await
}
