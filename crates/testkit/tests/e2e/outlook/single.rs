//! Single events.

use anyhow::{Result, ensure};
use http::Method;
use serde_json::json;

use super::{Outlook, day, text};

#[tokio::test]
async fn edits_and_deletions_go_both_ways() -> Result<()> {
    let outlook = Outlook::connect().await?;
    let id = outlook.insert("from us", day(10)).await?;
    outlook.until("our event is at Outlook", async || Ok(outlook.find("from us").await?.is_object())).await?;
    let ours = outlook.find("from us").await?;
    ensure!(ours["originalStartTimeZone"] == "Europe/Paris" && ours["transactionId"].is_string(), "{ours}");
    let made = outlook.make("from them", day(11)).await?;
    outlook.until("their event is here by push", async || outlook.has("from them").await).await?;
    let theirs = outlook.rows("title = 'from them'").await?.remove(0);
    ensure!(theirs["description"] == "cake & tea" && theirs["time_zone"] == "Europe/Paris", "{theirs}");
    ensure!(theirs["last_update_source"] == "microsoft", "{theirs}");

    outlook.change(&text(&ours["id"])?, &json!({"subject": "edited there"})).await?;
    outlook.until("an edit there is here by push", async || outlook.has("edited there").await).await?;
    let path = format!("/api/events/{}", text(&theirs["id"])?);
    outlook.tenant.api.matching(Method::PATCH, &path, "*", &json!({"location": "Room 7"})).await?;
    outlook
        .until("an edit here is there", async || {
            Ok(outlook.find("from them").await?["location"]["displayName"] == "Room 7")
        })
        .await?;
    // Both sides edit another field of the same event before either hears of it: both edits stay.
    outlook.silence().await?;
    outlook.change(&text(&made["id"])?, &json!({"showAs": "free"})).await?;
    outlook.tenant.api.matching(Method::PATCH, &path, "*", &json!({"title": "renamed"})).await?;
    outlook
        .until("both edits survive on both sides", async || {
            let (there, here) = (outlook.find("renamed").await?, outlook.rows("title = 'renamed'").await?);
            Ok(there["showAs"] == "free"
                && here.first().is_some_and(|row| row["transparency"] == "transparent"))
        })
        .await?;

    // Nobody tells: the sweep finds it.
    outlook.change(&text(&ours["id"])?, &json!({"subject": "found by sweep"})).await?;
    outlook.quiet().await?;
    ensure!(!outlook.has("found by sweep").await?, "something told of it");
    outlook.tenant.api.post("/api/calendar/sync", &json!({})).await?;
    outlook.until("the edit is here by sweep", async || outlook.has("found by sweep").await).await?;

    outlook.platform.sql.run(&format!("DELETE FROM events WHERE id = '{id}'")).await?;
    outlook
        .until("a deletion here is there", async || Ok(outlook.find("found by sweep").await?.is_null()))
        .await?;
    outlook.remove(&text(&made["id"])?).await?;
    outlook.tenant.api.post("/api/calendar/sync", &json!({})).await?;
    outlook.until("a deletion there is here", async || Ok(outlook.rows("true").await?.is_empty())).await?;
    outlook.until("nothing waits", async || outlook.told().await).await?;
    outlook.close().await
}

#[tokio::test]
async fn a_lost_answer_doubles_nothing_and_what_cannot_be_said_waits() -> Result<()> {
    let outlook = Outlook::connect().await?;
    let arm = async |fault: serde_json::Value| {
        let spec = json!({"provider": "microsoft", "method": "POST", "path": "/events$", "times": 1, "fault": fault});
        outlook.platform.control.post("/faults", &spec).await.map(drop)
    };
    for (title, fault) in [
        ("cut", json!({"kind": "reset", "at": "after_commit"})),
        ("answered by 503", json!({"kind": "status_after_commit", "status": 503})),
    ] {
        arm(fault).await?;
        outlook.insert(title, day(20)).await?;
        outlook
            .until("an answer was lost", async || {
                let linked = format!("title = '{title}' AND provider_etag IS NOT NULL");
                Ok(outlook.told().await? && outlook.rows(&linked).await?.len() == 1)
            })
            .await?;
    }
    let there = outlook.listed().await?;
    ensure!(there.len() == 2, "{there:?}");
    let armed = outlook.platform.control.get("/faults").await?;
    let hits: u64 =
        armed["items"].as_array().into_iter().flatten().filter_map(|fault| fault["hits"].as_u64()).sum();
    ensure!(hits == 2, "not every fault was met: {armed}");

    let fifth = json!({"title": "fifth", "start_at": format!("{}T09:00:00Z", day(21)),
        "end_at": format!("{}T09:10:00Z", day(21)), "time_zone": "Europe/Paris", "recurrence": ["RRULE:FREQ=MONTHLY;BYDAY=5MO;COUNT=3"]});
    let id = text(&outlook.tenant.api.post("/api/events", &fifth).await?["id"])?;
    let parked = format!(
        "SELECT count(*) FROM google_calendar_sync_queue
         WHERE event_id = '{id}' AND status = 'parked' AND error_message LIKE '%Outlook cannot repeat%'"
    );
    outlook
        .until("a rule without a pattern is parked", async || Ok(outlook.number(&parked).await? == 1))
        .await?;
    let path = format!("/api/events/{id}");
    let daily = json!({"recurrence": ["RRULE:FREQ=DAILY;COUNT=3"]});
    outlook.tenant.api.matching(Method::PATCH, &path, "*", &daily).await?;
    outlook
        .until("it is there once it can be said", async || {
            Ok(outlook.find("fifth").await?["recurrence"]["range"]["numberOfOccurrences"] == 3)
        })
        .await?;
    outlook.close().await
}

#[tokio::test]
async fn killed_processes_double_nothing_and_lose_nothing() -> Result<()> {
    let mut outlook = Outlook::connect().await?;
    let company = outlook.tenant.company;
    let insert = format!(
        "INSERT INTO events (company_id, title, start_at, end_at, time_zone)
         SELECT '{company}', 'event ' || lpad(n::text, 3, '0'), '{0}T09:00:00Z'::timestamptz + n * interval '1 hour',
             '{0}T10:00:00Z'::timestamptz + n * interval '1 hour', 'Europe/Paris'
         FROM generate_series(1, 60) n",
        day(30)
    );
    outlook.platform.sql.run(&insert).await?;
    for process in ["sync-worker-1", "graph-connector", "scheduler", "sync-worker-1"] {
        chassis::time::pause(std::time::Duration::from_millis(300)).await;
        outlook.platform.crash(process).await?;
    }
    outlook.platform.revive().await?;
    let expected: Vec<String> = (1..=60).map(|n| format!("event {n:03}")).collect();
    outlook
        .until("sixty events are at Outlook, once each", async || {
            let mut there: Vec<String> =
                outlook.listed().await?.iter().map(|event| text(&event["subject"])).collect::<Result<_>>()?;
            there.sort();
            Ok(there == expected && outlook.told().await?)
        })
        .await?;
    outlook.quiet().await?;
    ensure!(outlook.rows("true").await?.len() == 60, "rows were doubled or lost");
    ensure!(outlook.number("SELECT count(*) FROM sync_conflicts").await? == 0, "nobody edited anything");
    outlook.close().await
}
