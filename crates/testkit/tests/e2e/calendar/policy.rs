//! The company's conflict policy: whose value of a field that both sides edited stays, and where the other one is kept.

use anyhow::{Context as _, Result, ensure};
use http::Method;
use serde_json::json;
use testkit::e2e::Options;
use testkit::e2e::sql::quote;

use super::{Calendar, titles};

/// Both sides rename one event while no worker runs; the title that is left on both.
async fn clash(calendar: &mut Calendar, policy: &str, winner: &str) -> Result<()> {
    calendar.tenant.api.put("/api/sync/config", &json!({ "conflict_policy": policy })).await?;
    let (before, ours, theirs) =
        (format!("before {policy}"), format!("ours {policy}"), format!("theirs {policy}"));
    let company = calendar.tenant.company;
    calendar
        .app(&format!(
            "INSERT INTO events (company_id, title, start_at, end_at, time_zone)
             VALUES ('{company}', {}, '2027-03-01T09:00:00Z', '2027-03-01T10:00:00Z', 'Europe/Paris')",
            quote(&before)
        ))
        .await?;
    let settled = format!(
        "SELECT count(*) FROM events WHERE title = {} AND google_event_id IS NOT NULL
             AND NOT EXISTS (SELECT FROM google_calendar_sync_queue WHERE status <> 'completed')",
        quote(&before)
    );
    calendar
        .until("the event is at Google and nothing is due", async || {
            Ok(titles(calendar).await?.contains(&before)
                && calendar.platform.sql.number(&settled).await? == 1)
        })
        .await?;
    calendar.platform.crash("sync-worker-1").await?;
    let events = calendar.at_google().await?;
    let event = events.iter().find(|event| event["summary"] == before.as_str()).context("the event")?;
    let id = event["id"].as_str().context("an id")?.to_owned();
    let path = format!("/calendars/primary/events/{id}");
    calendar.google.expect(Method::PATCH, &path, Some(&json!({ "summary": theirs }))).await?;
    calendar
        .app(&format!("UPDATE events SET title = {} WHERE title = {}", quote(&ours), quote(&before)))
        .await?;
    calendar.platform.revive().await?;
    let (left, lost) = if winner == "app" { (&ours, &theirs) } else { (&theirs, &ours) };
    let row = format!("SELECT count(*) FROM events WHERE title = {}", quote(left));
    calendar
        .until("both sides have the title that the policy chose", async || {
            let google = titles(calendar).await?;
            Ok(google.contains(left)
                && !google.contains(lost)
                && calendar.platform.sql.number(&row).await? == 1)
        })
        .await?;
    let kept = calendar
        .platform
        .sql
        .rows("SELECT field, app_value, provider_value, kept, policy FROM sync_conflicts ORDER BY id DESC LIMIT 1")
        .await?;
    let expected = json!({
        "field": "title", "app_value": ours, "provider_value": theirs, "kept": winner, "policy": policy,
    });
    ensure!(kept == [expected.clone()], "{kept:?} is not {expected}");
    Ok(())
}

#[tokio::test]
async fn the_companys_policy_decides_and_the_other_value_is_kept() -> Result<()> {
    let mut calendar = Calendar::connect(Options::default()).await?;
    clash(&mut calendar, "app_wins", "app").await?;
    clash(&mut calendar, "provider_wins", "provider").await?;
    calendar.platform.stop().await
}
