//! Law 10: what a complete enumeration does not show is ended only within the company's limits, or by a person.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use testkit::e2e::Options;
use testkit::e2e::platform::GOOGLE_ACCOUNT;

use super::Calendar;

async fn alive(calendar: &Calendar) -> Result<i64> {
    calendar.platform.sql.number("SELECT count(*) FROM events WHERE deleted_at IS NULL").await
}

/// Deletes events at Google without a trace: no message, no tombstone, and every token void.
async fn vanish(calendar: &Calendar, titles: &[String]) -> Result<()> {
    let control = &calendar.platform.control;
    let silence = json!({"provider": "google", "times": null,
        "fault": {"kind": "notification", "action": "drop", "share": 1.0}});
    let silence = control.post("/faults", &silence).await?;
    for event in calendar.at_google().await? {
        if titles.iter().any(|title| event["summary"] == title.as_str()) {
            let id = event["id"].as_str().context("an id")?;
            calendar.google.delete(&format!("/calendars/primary/events/{id}")).await?;
        }
    }
    let forget = json!({"calendar": GOOGLE_ACCOUNT, "older_than_seconds": -60});
    control.post("/google/forget-tombstones", &forget).await?;
    control.post("/google/expire-tokens", &json!({"calendar": GOOGLE_ACCOUNT})).await?;
    control.delete(&format!("/faults/{}", silence["id"].as_str().context("a fault's id")?)).await?;
    Ok(())
}

/// Makes an event at Google, whose message brings the next run.
async fn make(calendar: &Calendar, title: &str) -> Result<()> {
    let made = json!({"summary": title, "start": {"date": "2027-05-01"}, "end": {"date": "2027-05-02"}});
    calendar.google.post("/calendars/primary/events", &made).await.map(drop)
}

async fn parked(calendar: &Calendar) -> Result<Vec<Value>> {
    let runs = calendar.tenant.api.get("/api/sync/parked?state=pending").await?;
    Ok(runs["items"].as_array().cloned().unwrap_or_default())
}

#[tokio::test]
async fn a_full_resync_that_would_end_too_much_waits_for_a_person() -> Result<()> {
    let calendar = Calendar::connect(Options::default()).await?;
    let limits = json!({"mass_change": {"share": 0.1, "minimum": 5}});
    calendar.tenant.api.put("/api/sync/config", &limits).await?;
    let title = |n: u32| format!("event {n:02}");
    for n in 1..=40 {
        make(&calendar, &title(n)).await?;
    }
    calendar.until("forty rows", async || Ok(alive(&calendar).await? == 40)).await?;

    // Few enough: they end without a question.
    vanish(&calendar, &(1..=4).map(title).collect::<Vec<_>>()).await?;
    make(&calendar, "event 41").await?;
    calendar.until("four rows end", async || Ok(alive(&calendar).await? == 37)).await?;
    ensure!(parked(&calendar).await?.is_empty(), "four are less than the minimum");

    // Too many: the run stores what it saw, and asks.
    vanish(&calendar, &(5..=14).map(title).collect::<Vec<_>>()).await?;
    make(&calendar, "event 42").await?;
    calendar.until("a run is parked", async || Ok(parked(&calendar).await?.len() == 1)).await?;
    let run = parked(&calendar).await?.remove(0);
    ensure!(run["source"] == "google_calendar" && run["would_delete"] == 10, "{run}");
    calendar.until("what it saw is stored", async || Ok(alive(&calendar).await? == 38)).await?;

    // Refused: everything stays, and the same question is not asked again.
    let id = run["id"].as_str().context("an id")?;
    calendar.tenant.api.post(&format!("/api/sync/parked/{id}/reject"), &json!({})).await?;
    calendar.platform.control.post("/google/expire-tokens", &json!({"calendar": GOOGLE_ACCOUNT})).await?;
    make(&calendar, "event 43").await?;
    calendar.until("the next enumeration is stored", async || Ok(alive(&calendar).await? == 39)).await?;
    calendar
        .until("it is complete", async || {
            let complete = "SELECT count(*) FROM google_calendar_connections WHERE sync_token IS NOT NULL";
            Ok(calendar.platform.sql.number(complete).await? == 1)
        })
        .await?;
    ensure!(parked(&calendar).await?.is_empty() && alive(&calendar).await? == 39);

    // More than was refused: it asks again, and agreed it ends exactly those.
    vanish(&calendar, &(15..=20).map(title).collect::<Vec<_>>()).await?;
    make(&calendar, "event 44").await?;
    calendar.until("another run is parked", async || Ok(parked(&calendar).await?.len() == 1)).await?;
    let run = parked(&calendar).await?.remove(0);
    ensure!(run["would_delete"] == 16, "{run}");
    let id = run["id"].as_str().context("an id")?;
    calendar.tenant.api.post(&format!("/api/sync/parked/{id}/approve"), &json!({})).await?;
    calendar.until("sixteen rows end", async || Ok(alive(&calendar).await? == 24)).await?;
    let rows = "SELECT title FROM events WHERE deleted_at IS NULL ORDER BY title";
    let left: Vec<String> = (21..=44).map(title).collect();
    let found = calendar.platform.sql.rows(rows).await?;
    let found: Vec<&str> = found.iter().filter_map(|row| row["title"].as_str()).collect();
    ensure!(found == left, "{found:?}");
    ensure!(parked(&calendar).await?.is_empty());
    calendar.platform.stop().await
}
