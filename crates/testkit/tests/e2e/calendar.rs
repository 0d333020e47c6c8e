//! The five tests of the calendar runbook (section 7), with real processes: no edit is lost, nothing is doubled, and each
//! side follows the other within seconds.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use http::Method;
use serde_json::{Value, json};
use testkit::e2e::caller::Caller;
use testkit::e2e::google::{as_account, consent};
use testkit::e2e::patience::wait_until;
use testkit::e2e::platform::GOOGLE_ACCOUNT;
use testkit::e2e::sql::quote;
use testkit::e2e::{Options, Platform, Tenant};

use crate::support::SOON;

mod limits;
mod policy;
mod servers;
mod split;

/// A platform with a connected calendar whose first enumeration is complete.
struct Calendar {
    platform: Platform,
    tenant: Tenant,
    google: Caller,
    connection: String,
}

impl Calendar {
    async fn connect(options: Options) -> Result<Self> {
        let platform = Platform::start(options.google()).await?;
        let tenant = Tenant::new(&platform, "calendars").await?;
        consent(&platform, &tenant).await?;
        let google = as_account(&platform).await?;
        let bootstrapped = format!(
            "SELECT count(*) FROM google_calendar_connections WHERE company_id = '{}' AND sync_token IS NOT NULL",
            tenant.company
        );
        wait_until(SOON, "the first enumeration is complete", async || {
            Ok(platform.sql.number(&bootstrapped).await? == 1)
        })
        .await?;
        let connections = tenant.api.get("/api/connections").await?;
        let connection = connections["items"][0]["id"].as_str().context("no connection")?.to_owned();
        Ok(Self { platform, tenant, google, connection })
    }

    /// Statements of the application, as its own role would run them.
    async fn app(&self, sql: &str) -> Result<()> {
        self.platform.sql.run(sql).await
    }

    async fn event(&self, id: &str) -> Result<Value> {
        let row = format!("SELECT to_jsonb(e) AS event FROM events e WHERE id = '{id}'");
        let rows = self.platform.sql.rows(&row).await?;
        Ok(rows.into_iter().next().map(|row| row["event"].clone()).unwrap_or_default())
    }

    /// Everything in Google's calendar, cancelled events left out.
    async fn at_google(&self) -> Result<Vec<Value>> {
        let page = self.google.get("/calendars/primary/events?maxResults=2500").await?;
        Ok(page["items"].as_array().cloned().unwrap_or_default())
    }

    async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> Result<bool>) -> Result<Duration> {
        let begun = Instant::now();
        wait_until(SOON, what, async || holds().await).await?;
        println!("{what} after {:?}", begun.elapsed());
        Ok(begun.elapsed())
    }
}

/// Titles at Google, sorted.
async fn titles(calendar: &Calendar) -> Result<Vec<String>> {
    let events = calendar.at_google().await?;
    let mut titles: Vec<String> =
        events.iter().filter_map(|event| event["summary"].as_str().map(str::to_owned)).collect();
    titles.sort_unstable();
    Ok(titles)
}

async fn fault(calendar: &Calendar, method: &str, path: &str, times: u32, fault: Value) -> Result<()> {
    let spec = json!({"provider": "google", "method": method, "path": path, "times": times, "fault": fault});
    calendar.platform.control.post("/faults", &spec).await.map(drop)
}

#[tokio::test]
async fn lost_answers_refusals_and_killed_processes_double_nothing_and_lose_nothing() -> Result<()> {
    let mut calendar = Calendar::connect(Options::default()).await?;
    let company = calendar.tenant.company;
    // Committed at Google, and no answer: twice by status, once by a broken connection; then too much was asked.
    let events = r"/calendar/v3/calendars/[^/]+/events(\?|$)";
    fault(&calendar, "POST", events, 2, json!({"kind": "status_after_commit", "status": 503})).await?;
    fault(&calendar, "POST", events, 1, json!({"kind": "reset", "at": "after_commit"})).await?;
    fault(&calendar, "POST", events, 3, json!({"kind": "status", "status": 429, "retry_after": "1"})).await?;
    let insert = |from: u32, to: u32| {
        format!(
            "INSERT INTO events (company_id, title, start_at, end_at, time_zone)
             SELECT '{company}', 'event ' || lpad(n::text, 3, '0'), '2027-03-01T09:00:00Z'::timestamptz + n * interval '1 hour',
                 '2027-03-01T10:00:00Z'::timestamptz + n * interval '1 hour', 'Europe/Paris'
             FROM generate_series({from}, {to}) n"
        )
    };
    calendar.app(&insert(1, 20)).await?;
    let expected = |most: u32| (1..=most).map(|n| format!("event {n:03}")).collect::<Vec<_>>();
    calendar
        .until(
            "twenty events are at Google, once each",
            async || Ok(titles(&calendar).await? == expected(20)),
        )
        .await?;
    let armed = calendar.platform.control.get("/faults").await?;
    let hits: u64 =
        armed["items"].as_array().into_iter().flatten().filter_map(|fault| fault["hits"].as_u64()).sum();
    ensure!(hits == 6, "not every fault was met: {armed}");
    calendar.app(&insert(21, 60)).await?;
    for process in ["sync-worker-1", "gcal-connector", "scheduler", "sync-worker-1"] {
        chassis::time::pause(Duration::from_millis(300)).await;
        calendar.platform.crash(process).await?;
    }
    calendar.platform.revive().await?;
    calendar
        .until("sixty events are at Google, once each", async || Ok(titles(&calendar).await? == expected(60)))
        .await?;
    // Every token is void: everything is read again, and nothing is doubled or removed.
    calendar.platform.control.post("/google/expire-tokens", &json!({"calendar": GOOGLE_ACCOUNT})).await?;
    let made =
        json!({"summary": "event 061", "start": {"date": "2027-05-01"}, "end": {"date": "2027-05-02"}});
    calendar.google.post("/calendars/primary/events", &made).await?;
    calendar
        .until("the new one arrives through a full enumeration", async || {
            let rows = "SELECT count(*) FROM events WHERE deleted_at IS NULL";
            let full = "SELECT count(*) FROM google_calendar_connections WHERE generation >= 2 AND sync_token IS NOT NULL";
            Ok(calendar.platform.sql.number(rows).await? == 61
                && calendar.platform.sql.number(full).await? == 1)
        })
        .await?;
    ensure!(titles(&calendar).await? == expected(61), "{:?}", titles(&calendar).await?);
    let conflicts = calendar.platform.sql.number("SELECT count(*) FROM sync_conflicts").await?;
    let left = calendar.platform.dead_letters().await?;
    ensure!(conflicts == 0 && left.is_empty(), "{conflicts} conflicts, {left:?}");
    calendar.platform.stop().await
}

#[tokio::test]
async fn a_revoked_grant_keeps_the_edits_until_the_calendar_is_connected_again() -> Result<()> {
    let calendar = Calendar::connect(Options::default()).await?;
    let company = calendar.tenant.company;
    calendar.platform.control.post("/google/grants/revoke", &json!({"account": GOOGLE_ACCOUNT})).await?;
    calendar.platform.control.post("/tokens/revoke", &json!({"provider": "google"})).await?;
    calendar
        .app(&format!(
            "INSERT INTO events (company_id, title, start_date, end_date)
             VALUES ('{company}', 'while revoked', '2027-03-01', '2027-03-02')"
        ))
        .await?;
    calendar
        .until("the connection asks for a new consent", async || {
            let asks = "SELECT count(*) FROM google_calendar_connections WHERE state = 'reauth_required'";
            Ok(calendar.platform.sql.number(asks).await? == 1)
        })
        .await?;
    calendar
        .until("the edit is kept", async || {
            let kept =
                "SELECT count(*) FROM google_calendar_sync_queue WHERE status IN ('parked', 'pending')";
            Ok(calendar.platform.sql.number(kept).await? == 1)
        })
        .await?;
    consent(&calendar.platform, &calendar.tenant).await?;
    let calendar = Calendar { google: as_account(&calendar.platform).await?, ..calendar };
    calendar
        .until("the edit arrives after the new consent", async || {
            Ok(titles(&calendar).await? == ["while revoked"])
        })
        .await?;
    calendar.platform.stop().await
}

#[tokio::test]
async fn series_and_their_exceptions_go_both_ways() -> Result<()> {
    let calendar = Calendar::connect(Options::default()).await?;
    let (company, id) = (calendar.tenant.company, "0b5b6f0e-2222-4222-8333-444444444444");
    calendar
        .app(&format!(
            "INSERT INTO events (id, company_id, title, start_at, end_at, time_zone, recurrence)
             VALUES ('{id}', '{company}', 'Stand-up', '2027-03-01T08:00:00Z', '2027-03-01T08:15:00Z', 'Europe/Paris',
                 '{{RRULE:FREQ=DAILY;COUNT=40}}')"
        ))
        .await?;
    calendar.until("the series is at Google", async || Ok(titles(&calendar).await? == ["Stand-up"])).await?;
    let google_id = calendar.event(id).await?["google_event_id"].as_str().context("an id")?.to_owned();
    // At Google one occurrence gets another title and one is cancelled; the clocks change in between.
    let instances = calendar.google.get(&format!("/calendars/primary/events/{google_id}/instances")).await?;
    let instances = instances["items"].as_array().context("occurrences")?.clone();
    ensure!(instances.len() == 40, "{}", instances.len());
    let id_of = |n: usize| instances[n]["id"].as_str().unwrap_or_default().to_owned();
    let changed = format!("/calendars/primary/events/{}", id_of(30));
    calendar.google.expect(Method::PATCH, &changed, Some(&json!({"summary": "Review"}))).await?;
    calendar.google.delete(&format!("/calendars/primary/events/{}", id_of(2))).await?;
    calendar
        .until("the exceptions are rows", async || {
            let rows = format!(
                "SELECT count(*) FROM events WHERE recurring_event_id = {} AND (title = 'Review' OR deleted_at IS NOT NULL)",
                quote(&google_id)
            );
            Ok(calendar.platform.sql.number(&rows).await? == 2)
        })
        .await?;
    // The application moves the exception, and cancels an occurrence that was none before.
    calendar
        .app(&format!(
            "UPDATE events SET location = 'Room 2' WHERE title = 'Review';
             INSERT INTO events (company_id, title, series_event_id, original_start, deleted_at)
             VALUES ('{company}', 'Stand-up', '{id}', '2027-03-06T08:00:00Z', now())"
        ))
        .await?;
    calendar
        .until("both edits are at Google", async || {
            let review = calendar.google.get(&changed).await?;
            let cancelled = calendar.google.get(&format!("/calendars/primary/events/{}", id_of(5))).await?;
            Ok(review["location"] == "Room 2" && cancelled["status"] == "cancelled")
        })
        .await?;
    // The end of the series ends its exceptions.
    calendar.app(&format!("UPDATE events SET deleted_at = now() WHERE id = '{id}'")).await?;
    calendar
        .until("nothing is left on either side", async || {
            let rows = "SELECT count(*) FROM events WHERE deleted_at IS NULL";
            Ok(titles(&calendar).await?.is_empty() && calendar.platform.sql.number(rows).await? == 0)
        })
        .await?;
    calendar.platform.stop().await
}

#[tokio::test]
async fn the_five_tests_of_the_runbook() -> Result<()> {
    let calendar = Calendar::connect(Options::default()).await?;
    let (company, id) = (calendar.tenant.company, "0b5b6f0e-1111-4222-8333-444444444444");

    // 1: an event of the application goes to Google.
    calendar
        .app(&format!(
            "INSERT INTO events (id, company_id, title, start_at, end_at, time_zone)
             VALUES ('{id}', '{company}', 'Site visit', '2027-03-01T09:00:00Z', '2027-03-01T10:00:00Z', 'Europe/Paris')"
        ))
        .await?;
    calendar
        .until("app to Google: created", async || {
            Ok(calendar.at_google().await?.iter().any(|event| event["summary"] == "Site visit"))
        })
        .await?;
    calendar
        .until("the row knows its Google id, and nothing waits", async || {
            let waiting = "SELECT count(*) FROM google_calendar_sync_queue WHERE status <> 'completed'";
            let event = calendar.event(id).await?;
            Ok(event["google_event_id"].is_string() && calendar.platform.sql.number(waiting).await? == 0)
        })
        .await?;
    let event = calendar.event(id).await?;
    ensure!(event["last_update_source"] == "app", "{event}");
    let google_id = event["google_event_id"].as_str().context("an id")?.to_owned();

    // 2: a change at Google comes back.
    let changed = json!({"summary": "Site visit, moved"});
    let path = format!("/calendars/primary/events/{google_id}");
    calendar.google.expect(Method::PATCH, &path, Some(&changed)).await?;
    calendar
        .until("Google to app: changed", async || {
            let event = calendar.event(id).await?;
            Ok(event["title"] == "Site visit, moved" && event["last_update_source"] == "google")
        })
        .await?;

    // 4: a change of the application goes to Google, and Google's other fields stay.
    calendar.google.expect(Method::PATCH, &path, Some(&json!({"location": "Lyon"}))).await?;
    calendar.app(&format!("UPDATE events SET title = 'Final title' WHERE id = '{id}'")).await?;
    calendar
        .until("both edits are on both sides", async || {
            let (event, google) = (calendar.event(id).await?, calendar.google.get(&path).await?);
            Ok(event["title"] == "Final title"
                && event["location"] == "Lyon"
                && google["summary"] == "Final title"
                && google["location"] == "Lyon")
        })
        .await?;

    // 3: a deletion at Google comes back as one.
    calendar.google.delete(&path).await?;
    calendar
        .until("Google to app: deleted", async || Ok(!calendar.event(id).await?["deleted_at"].is_null()))
        .await?;

    // 5: nothing is doubled, and an event that is made at Google comes once.
    let made =
        json!({"summary": "Made at Google", "start": {"date": "2027-05-01"}, "end": {"date": "2027-05-02"}});
    calendar.google.post("/calendars/primary/events", &made).await?;
    let there = format!("SELECT count(*) FROM events WHERE title = {} AND all_day", quote("Made at Google"));
    calendar
        .until("Google to app: created", async || Ok(calendar.platform.sql.number(&there).await? == 1))
        .await?;
    let doubles = "SELECT count(*) FROM (SELECT 1 FROM events WHERE google_event_id IS NOT NULL
        GROUP BY google_calendar_id, google_event_id HAVING count(*) > 1) d";
    ensure!(calendar.platform.sql.number(doubles).await? == 0, "doubles");
    // A deletion of the application.
    calendar.app("UPDATE events SET deleted_at = now() WHERE title = 'Made at Google'").await?;
    calendar.until("app to Google: deleted", async || Ok(calendar.at_google().await?.is_empty())).await?;
    ensure!(!calendar.connection.is_empty());
    let left = calendar.platform.dead_letters().await?;
    ensure!(left.is_empty(), "{left:?}");
    calendar.platform.stop().await
}
