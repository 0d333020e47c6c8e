//! Jobs that calendars cause: pushes of app writes within a second, sweeps, renewals and clean-ups.

use std::time::{Duration, Instant};

use contracts::jobs::{
    CleanExpiredChannels, CleanQueue, JobPayload, PullCalendar, PushCalendar, PushCalendars, RenewChannels,
    SweepCalendars, Trigger, WatchCalendar,
};
use job_runtime::{Handlers, Outcome};
use serde_json::json;
use store::admin;
use store::jobs::NewJob;
use sync_worker::housekeeping::{CleanExpiredChannelsHandler, CleanQueueHandler, RenewChannelsHandler};
use sync_worker::maintenance::{PushCalendarsHandler, SweepCalendarsHandler};
use testkit::{Rig, eventually, scripted};
use uuid::Uuid;

/// Connects a calendar; answers the connection.
async fn calendar(rig: &Rig, id: &str, state: &str, capability: &str) -> Uuid {
    let (account, connection, company) = (chassis::ids::new_id(), chassis::ids::new_id(), rig.company);
    rig.db
        .execute(&format!(
            "INSERT INTO calendar_accounts (id, company_id, subject) VALUES ('{account}', '{company}', '{id}');
             INSERT INTO google_calendar_connections
                 (id, company_id, account_id, calendar_id, state, push_capability, created_at)
                 VALUES ('{connection}', '{company}', '{account}', '{id}', '{state}', '{capability}',
                     now() - interval '1 hour')"
        ))
        .await;
    connection
}

/// A channel of a calendar that ends in some hours.
async fn channel(rig: &Rig, connection: Uuid, state: &str, hours: i64) {
    let company = rig.company;
    rig.db
        .execute(&format!(
            "INSERT INTO google_calendar_webhooks
                 (id, company_id, connection_id, calendar_id, channel_id, token_sha256, state, updated_at,
                  expiration_timestamp)
             VALUES (gen_random_uuid(), '{company}', '{connection}', 'c', gen_random_uuid(), '\\x00', '{state}',
                 now() - interval '9 days', extract(epoch FROM now() + interval '{hours} hours') * 1000)"
        ))
        .await;
}

/// A statement of the application.
async fn app(rig: &Rig, sql: &str) {
    let mut tx = rig.db.store.tenant(rig.company).await.expect("a transaction");
    admin::execute_in(&mut tx, sql).await.expect("a statement");
    tx.commit().await.expect("a commit");
}

/// Connections that have a job of this kind.
async fn asked(rig: &Rig, kind: &str) -> Vec<String> {
    let sql = format!("SELECT payload ->> 'connection_id' AS c FROM jobs WHERE kind = '{kind}' ORDER BY 1");
    rig.db.rows(&sql).await.iter().map(|row| row["c"].as_str().expect("an id").to_owned()).collect()
}

fn sorted(ids: &[Uuid]) -> Vec<String> {
    let mut ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn an_app_write_is_pushed_within_a_second() {
    let rig = Rig::new().await;
    let connection = calendar(&rig, "a@example.com", "active", "push").await;
    calendar(&rig, "revoked@example.com", "revoked", "push").await;
    let pushed =
        Handlers::new().with(scripted::<PushCalendar, _, _>(async |_, _| Ok(Outcome::Done(json!(1)))));
    let (worker, scheduler) = (rig.worker(pushed), rig.scheduler());
    // Once everything runs and nothing is to do.
    app(&rig, "INSERT INTO events (title, start_date, end_date) VALUES ('a', '2026-01-01', '2026-01-02')")
        .await;
    eventually("the first push", async || (rig.count("succeeded").await == 1).then_some(())).await;
    let mut slowest = Duration::ZERO;
    for round in 0..5 {
        rig.db
            .execute("DELETE FROM google_calendar_sync_queue; DELETE FROM jobs_finished; UPDATE events SET link = NULL")
            .await;
        let begun = Instant::now();
        app(&rig, &format!("UPDATE events SET title = 'round {round}'")).await;
        eventually("the push", async || (rig.count("succeeded").await >= 1).then_some(())).await;
        slowest = slowest.max(begun.elapsed());
    }
    println!("slowest push after {} ms", slowest.as_millis());
    assert!(slowest < Duration::from_secs(5), "even on a busy machine: {slowest:?}");
    let job = &rig.db.rows("SELECT * FROM jobs WHERE kind = 'calendar.push'").await[0];
    assert_eq!(job["dedupe_key"], format!("calendar.push:{connection}"));
    assert_eq!(job["resource_key"], format!("calendar:{connection}"));
    assert_eq!(job["priority"], 9, "somebody waits for it");
    worker.drain().await;
    scheduler.drain().await;
}

#[tokio::test]
async fn writes_that_no_calendar_takes_wait_without_jobs() {
    let rig = Rig::new().await;
    let connection = calendar(&rig, "a@example.com", "reauth_required", "push").await;
    app(&rig, "INSERT INTO events (title) VALUES ('a')").await;
    assert_eq!(scheduler::exports::queue(&rig.db.store).await.expect("a step"), 0);
    assert!(asked(&rig, PushCalendar::KIND).await.is_empty());
    rig.db.execute("UPDATE google_calendar_connections SET state = 'active'").await;
    for _ in 0..2 {
        assert_eq!(scheduler::exports::queue(&rig.db.store).await.expect("a step"), 1);
    }
    assert_eq!(asked(&rig, PushCalendar::KIND).await, sorted(&[connection]), "the second coalesces");
    // Of two companies, each has its own.
    let other = rig.db.company().await;
    let (account, theirs) = (chassis::ids::new_id(), chassis::ids::new_id());
    rig.db
        .execute(&format!(
            "INSERT INTO calendar_accounts (id, company_id, subject) VALUES ('{account}', '{other}', 'x');
             INSERT INTO google_calendar_connections (id, company_id, account_id, calendar_id)
                 VALUES ('{theirs}', '{other}', '{account}', 'theirs@example.com');
             INSERT INTO events (company_id, title) VALUES ('{other}', 'theirs')"
        ))
        .await;
    assert_eq!(scheduler::exports::queue(&rig.db.store).await.expect("a step"), 2);
    let owners = rig.db.number("SELECT count(DISTINCT company_id) FROM jobs").await;
    assert_eq!(owners, 2);
}

#[tokio::test]
async fn the_scheduled_jobs_of_calendars_do_their_work() {
    let rig = Rig::new().await;
    let long = calendar(&rig, "long@example.com", "active", "push").await;
    let soon = calendar(&rig, "soon@example.com", "active", "push").await;
    let none = calendar(&rig, "none@example.com", "active", "push").await;
    let poll = calendar(&rig, "poll@example.com", "active", "poll").await;
    let gone = calendar(&rig, "gone@example.com", "gone", "gone").await;
    channel(&rig, long, "active", 200).await;
    channel(&rig, soon, "active", 5).await;
    channel(&rig, none, "active", -1).await;
    channel(&rig, none, "failed", -300).await;
    channel(&rig, gone, "stopped", -300).await;
    channel(&rig, gone, "orphaned", 100).await;
    app(&rig, "INSERT INTO events (title) VALUES ('a')").await;
    rig.db
        .execute(&format!(
            "INSERT INTO google_calendar_sync_queue (company_id, event_id, action, status, completed_at)
             VALUES ('{0}', gen_random_uuid(), 'create', 'completed', now() - interval '40 days'),
                 ('{0}', gen_random_uuid(), 'create', 'completed', now()),
                 ('{0}', gen_random_uuid(), 'create', 'failed', NULL)",
            rig.company
        ))
        .await;
    let mut tx = rig.db.store.dispatch().await.expect("a transaction");
    assert_eq!(store::calendar::webhooks::without_channel(&mut tx).await.expect("a query"), 1, "an alert");
    drop(tx);
    let new = |job: store::Result<NewJob>| rig.enqueue(job.expect("a job"));
    let company = rig.company;
    new(NewJob::new(company, &SweepCalendars { trigger: Trigger::Sweep }, "me")).await;
    new(NewJob::new(company, &PushCalendars {}, "me")).await;
    new(NewJob::new(company, &CleanQueue { days: 30 }, "me")).await;
    new(NewJob::new(company, &CleanExpiredChannels { days: 7 }, "me")).await;
    let handlers = Handlers::new()
        .with(SweepCalendarsHandler)
        .with(PushCalendarsHandler)
        .with(CleanQueueHandler)
        .with(RenewChannelsHandler)
        .with(CleanExpiredChannelsHandler);
    let config = job_runtime::RuntimeConfig {
        queues: Some(vec![contracts::jobs::Queue::Maintenance]),
        concurrency: 4,
        lease_seconds: 6,
    };
    let (worker, scheduler) = (rig.worker_with(handlers, config), rig.scheduler());
    eventually("the jobs are done", async || (rig.count("succeeded").await == 4).then_some(())).await;
    assert_eq!(asked(&rig, PullCalendar::KIND).await, sorted(&[long, soon, none, poll]));
    assert_eq!(asked(&rig, WatchCalendar::KIND).await, sorted(&[none]), "what the night cannot wait for");
    let pushes = asked(&rig, PushCalendar::KIND).await;
    assert_eq!(pushes, sorted(&[long, soon, none, poll]), "an event of no calendar yet: each is asked");
    new(NewJob::new(company, &RenewChannels { within_hours: 36 }, "me")).await;
    eventually("channels are renewed", async || (rig.count("succeeded").await == 5).then_some(())).await;
    assert_eq!(asked(&rig, WatchCalendar::KIND).await, sorted(&[soon, none]));
    let left = rig.db.rows("SELECT status FROM google_calendar_sync_queue ORDER BY status").await;
    assert_eq!(left.len(), 3, "completed long ago has gone: {left:?}");
    let channels = rig.db.rows("SELECT state FROM google_calendar_webhooks ORDER BY state").await;
    let states: Vec<_> = channels.iter().map(|row| row["state"].as_str().expect("a state")).collect();
    assert_eq!(states, ["active", "active", "active", "orphaned"], "one that still fires is remembered");
    worker.drain().await;
    scheduler.drain().await;
}
