//! A calendar of 20,000 events and 2,000 edits of the application, at a latency of 50 ms and with Google's quotas on:
//! each beside what the provider allows at best, and beside the raw cost of the rows in the database.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use domain::calendar::quota::USER_PER_MINUTE;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use outbound::Method;
use serde_json::{Value, json};
use testkit::e2e::caller::Caller;
use testkit::e2e::patience::wait_until;
use testkit::e2e::platform::GOOGLE_ACCOUNT;
use testkit::e2e::{Platform, Tenant, google};

use crate::report::Report;
use crate::{copy, setup};

/// Latency of every answer of the provider.
const LATENCY_MS: u64 = 50;
/// Changes at the provider whose way into the database is timed.
const CHANGES: usize = 100;
/// Requests that make the calendar before anything is measured.
const TOGETHER: usize = 16;

fn number(name: &str, default: u32) -> Result<u32> {
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => text.parse().with_context(|| format!("{name}={text}")),
        _ => Ok(default),
    }
}

/// Measures; `BENCH_CALENDAR_EVENTS` and `BENCH_CALENDAR_EDITS` change the counts.
pub async fn measure(report: &mut Report) -> Result<()> {
    let events = number("BENCH_CALENDAR_EVENTS", 20_000)?;
    let edits = number("BENCH_CALENDAR_EDITS", 2_000)?.min(events);
    let options = setup::options(1).google().env("ENABLE_REALTIME_SYNC", "true");
    let platform = Platform::start(options).await?;
    let tenant = Tenant::new(&platform, "calendar bench").await?;
    let calendar = google::as_account(&platform).await?;
    fill(&calendar, events).await?;
    let quota = json!({"quota": {"per_user": USER_PER_MINUTE}});
    platform.control.put("/google/switches", &quota).await?;
    let delay = json!({"provider": "google", "path": "/calendar/v3/", "times": null,
        "fault": {"kind": "delay", "ms": LATENCY_MS}});
    platform.control.post("/faults", &delay).await?;

    first(report, &platform, &tenant, events).await?;
    push(report, &platform, edits).await?;
    changes(report, &platform, &calendar).await?;
    platform.stop().await
}

async fn fill(calendar: &Caller, events: u32) -> Result<()> {
    stream::iter(0..events)
        .map(|n| async move {
            let at = chrono::DateTime::<chrono::Utc>::UNIX_EPOCH
                + chrono::TimeDelta::minutes(30_000_000 + i64::from(n) * 15);
            let body = json!({
                "summary": format!("event {n}"), "description": "Minutes of the last meeting are attached.",
                "start": {"dateTime": at}, "end": {"dateTime": at + chrono::TimeDelta::minutes(30)},
                "attendees": [{"email": format!("guest{}@example.com", n % 50)}],
            });
            calendar.post("/calendars/primary/events", &body).await.map(drop)
        })
        .buffer_unordered(TOGETHER)
        .try_collect()
        .await
}

async fn until(platform: &Platform, what: &str, query: &str, wanted: i64) -> Result<f64> {
    let begun = Instant::now();
    wait_until(setup::LONG, what, async || Ok(platform.sql.number(query).await? == wanted)).await?;
    Ok(begun.elapsed().as_secs_f64())
}

async fn first(report: &mut Report, platform: &Platform, tenant: &Tenant, events: u32) -> Result<()> {
    let (_, before) = platform.calls(i64::MAX).await?;
    google::consent(platform, tenant).await?;
    let complete = "SELECT count(*) FROM google_calendar_connections WHERE sync_token IS NOT NULL";
    let seconds = until(platform, "the first enumeration", complete, 1).await?;
    let (_, after) = platform.calls(i64::MAX).await?;
    let folder = std::env::temp_dir();
    let raw = copy::table(platform.sql.url(), &folder, "events", "google_event_id IS NOT NULL").await?;
    let calls = u32::try_from(after - before)?;
    let waiting = f64::from(calls) * Duration::from_millis(LATENCY_MS).as_secs_f64();
    report.note(
        format!("first enumeration of {events} events"),
        format!("{seconds:.2} s, {:.0} events/s", f64::from(events) / seconds),
    );
    report.note(
        format!("    share of the provider's limit ({calls} answers of {LATENCY_MS} ms)"),
        format!("{:.0} %", 100.0 * waiting / seconds),
    );
    report.note("    share of raw COPY of the same rows", format!("{:.0} %", 100.0 * raw / seconds));
    Ok(())
}

async fn push(report: &mut Report, platform: &Platform, edits: u32) -> Result<()> {
    // A full minute's budget, as after any quiet minute.
    chassis::time::pause(Duration::from_secs(61)).await;
    let edit = format!(
        "UPDATE events SET title = title || ', changed', last_update_source = 'app'
         WHERE id IN (SELECT id FROM events WHERE google_event_id IS NOT NULL ORDER BY id LIMIT {edits})"
    );
    platform.sql.run(&edit).await?;
    let waiting = "SELECT count(*) FROM google_calendar_sync_queue WHERE status <> 'completed'";
    let seconds = until(platform, "the edits are at Google", waiting, 0).await?;
    let raw = {
        let begun = Instant::now();
        let update = format!(
            "UPDATE events SET title = title, last_update_source = 'google'
             WHERE id IN (SELECT id FROM events WHERE google_event_id IS NOT NULL ORDER BY id LIMIT {edits})"
        );
        platform.sql.run(&update).await?;
        begun.elapsed().as_secs_f64()
    };
    // The first minute's budget goes at once, one call after the other; then the window slides.
    let (budget, latency) = (f64::from(USER_PER_MINUTE), Duration::from_millis(LATENCY_MS).as_secs_f64());
    let least =
        (f64::from(edits) * latency).max((f64::from(edits) / budget).ceil().max(1.0).mul_add(60.0, -60.0));
    report.note(
        format!("{edits} edits of the application to Google"),
        format!("{seconds:.1} s, {:.1} edits/s", f64::from(edits) / seconds),
    );
    report.note(
        format!("    share of the provider's limit (quota {USER_PER_MINUTE}/min, {LATENCY_MS} ms a call)"),
        format!("{:.0} %", 100.0 * least / seconds),
    );
    report.note("    share of one UPDATE of the same rows", format!("{:.1} %", 100.0 * raw / seconds));
    Ok(())
}

async fn changes(report: &mut Report, platform: &Platform, calendar: &Caller) -> Result<()> {
    let page = calendar.get("/calendars/primary/events?maxResults=250").await?;
    let ids: Vec<&str> = page["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|event| event["id"].as_str())
        .take(CHANGES)
        .collect();
    let mut taken = Vec::with_capacity(ids.len());
    for (n, id) in ids.iter().enumerate() {
        let title = format!("change {n}");
        let body: Value = json!({"summary": title});
        calendar.expect(Method::PATCH, &format!("/calendars/primary/events/{id}"), Some(&body)).await?;
        let there = format!("SELECT count(*) FROM events WHERE title = '{title}'");
        taken.push(until(platform, "a change is in the database", &there, 1).await?);
    }
    taken.sort_by(f64::total_cmp);
    let at = |percent: usize| taken.get((taken.len() * percent / 100).min(taken.len().saturating_sub(1)));
    let shown = |percent: usize| at(percent).map_or_else(String::new, |seconds| format!("{seconds:.2}"));
    report.note(
        format!("change at the provider to database, {} changes, account {GOOGLE_ACCOUNT}", taken.len()),
        format!("p50 {} s, p95 {} s, p99 {} s", shown(50), shown(95), shown(99)),
    );
    Ok(())
}
