//! Schedules under hard conditions: clocks that jump, processes that die, rollouts, jobs that do not keep up.

use chassis::config::{Env, FromEnv};
use chrono::{DateTime, TimeDelta, Utc};
use contracts::jobs::{EnsureDriveSubscription, EnsureSubscription, JobPayload, SweepDrives};
use domain::ids::CompanyId;
use domain::schedule::Missed;
use job_runtime::{Handlers, Outcome};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use scheduler::SchedulerConfig;
use scheduler::cron::decide_at;
use serde_json::{Value, json};
use store::jobs::NewJob;
use store::schedules::{DefaultSchedule, Triggered, ensure, find, set_active, settle, trigger};
use sync_worker::housekeeping::{CleanExpiredChannelsHandler, CleanQueueHandler, RenewChannelsHandler};
use testkit::{Rig, TestDb, eventually, fresh_database, scripted};

fn default(name: &str, cron: &str) -> DefaultSchedule {
    DefaultSchedule {
        jobname: name.to_owned(),
        description: String::new(),
        schedule: cron.to_owned(),
        time_zone: "Europe/Paris".to_owned(),
        command: SweepDrives::KIND.to_owned(),
        payload: json!({ "trigger": "schedule" }),
        active: true,
        missed_policy: Missed::RunOnce,
        jitter_seconds: 0,
    }
}

async fn put(db: &TestDb, company: CompanyId, schedule: &DefaultSchedule) -> bool {
    let mut tx = db.store.tenant(company).await.expect("a transaction");
    let written = ensure(&mut tx, company, schedule).await.expect("a schedule");
    tx.commit().await.expect("a commit");
    written
}

/// Puts the schedules' beginning to this moment.
async fn begin(db: &TestDb, at: DateTime<Utc>) {
    db.execute(&format!("UPDATE schedules SET decided_until = '{at}', next_run_at = NULL")).await;
}

async fn decide(db: &TestDb, now: DateTime<Utc>) -> (usize, usize) {
    let mut tx = db.store.dispatch().await.expect("a transaction");
    let done = decide_at(&mut tx, now).await.expect("a decision");
    tx.commit().await.expect("a commit");
    (done.enqueued, done.skipped)
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

/// Ends the jobs that wait, so that the next occurrence has one of its own.
async fn jobs_end(db: &TestDb) {
    db.execute("WITH gone AS (DELETE FROM jobs_live RETURNING *)
        INSERT INTO jobs (id, company_id, kind, version, queue, payload, dedupe_key, state, max_attempts, run_at,
            attempt_seconds, finished_at, result)
        SELECT id, company_id, kind, version, queue, payload, dedupe_key, 'succeeded', max_attempts, run_at,
            attempt_seconds, clock_timestamp(), '{\"drives\": 0}' FROM gone").await;
}

#[tokio::test]
async fn nights_of_the_changing_clock_have_one_row_each() {
    let db = fresh_database().await;
    let company = db.company().await;
    put(&db, company, &default("nightly", "30 2 * * *")).await;
    begin(&db, at("2027-03-26T12:00:00Z")).await;
    for hour in 0..(4 * 24) {
        decide(&db, at("2027-03-26T12:00:10Z") + TimeDelta::hours(hour)).await;
        jobs_end(&db).await;
    }
    let spring = db.rows("SELECT occurrence_at::text AS at, reason FROM schedule_runs ORDER BY 1").await;
    let rows: Vec<(&str, &str)> =
        spring.iter().filter_map(|r| Some((r["at"].as_str()?, r["reason"].as_str()?))).collect();
    // Decided hourly, the ones on the half hour are made up for; the one after the gap lies on the hour.
    assert_eq!(
        rows,
        [
            ("2027-03-27 01:30:00+00", "catch_up"),
            ("2027-03-28 01:00:00+00", "dst_gap"),
            ("2027-03-29 00:30:00+00", "catch_up"),
            ("2027-03-30 00:30:00+00", "catch_up"),
        ]
    );
}

#[tokio::test]
async fn clocks_jump_and_processes_die_and_no_occurrence_runs_twice() {
    let seed = std::env::var("SCHEDULE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(11_u64);
    println!("SCHEDULE_SEED={seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let db = fresh_database().await;
    let company = db.company().await;
    for (name, cron, policy) in [
        ("a", "*/7 * * * *", Missed::RunOnce),
        ("b", "*/5 2-4 * * *", Missed::Skip),
        ("c", "*/20 * * * * *", Missed::RunOnce),
    ] {
        put(&db, company, &DefaultSchedule { missed_policy: policy, ..default(name, cron) }).await;
    }
    let first = at("2026-10-24T22:00:00Z");
    begin(&db, first).await;
    let (mut now, mut latest) = (first, first);
    for _ in 0..60 {
        now += match dice.random_range(0..10) {
            // The clock is put back, or jumps ahead.
            0 => TimeDelta::seconds(-dice.random_range(1..7200)),
            1 => TimeDelta::seconds(dice.random_range(3600..20_000)),
            _ => TimeDelta::seconds(dice.random_range(1..200)),
        };
        if dice.random_bool(0.2) {
            // A scheduler that dies before it commits; its locks are gone when the others look.
            let mut tx = db.store.dispatch().await.expect("a transaction");
            decide_at(&mut tx, now).await.expect("a decision");
            tx.rollback().await.expect("a rollback");
        }
        // Two at a time, whose clocks need not agree.
        let other = now + TimeDelta::seconds(dice.random_range(0..3));
        tokio::join!(decide(&db, now), decide(&db, other));
        latest = latest.max(other);
        decide(&db, latest).await;
        if dice.random_bool(0.5) {
            jobs_end(&db).await;
        }
    }
    let twice = "SELECT count(*) FROM (SELECT FROM schedule_runs WHERE status = 'enqueued'
                     GROUP BY job_id HAVING count(*) > 1) d";
    assert_eq!(db.number(twice).await, 0, "a job serves one occurrence");
    let orphans =
        "SELECT count(*) FROM jobs j WHERE NOT EXISTS (SELECT FROM schedule_runs r WHERE r.job_id = j.id)";
    assert_eq!(db.number(orphans).await, 0, "every job has its occurrence");
    for (name, cron) in [("a", "*/7 * * * *"), ("b", "*/5 2-4 * * *"), ("c", "*/20 * * * * *")] {
        let expected = domain::schedule::CronExpr::parse(cron, "Europe/Paris")
            .expect("a schedule")
            .occurrences(first, latest, 1_000_000);
        let covered = db
            .number(&format!(
                "SELECT sum(covers)::bigint FROM schedule_runs JOIN schedules USING (jobid) WHERE jobname = '{name}'"
            ))
            .await;
        assert_eq!(
            usize::try_from(covered).expect("a number"),
            expected.len(),
            "{name}: every occurrence has its row"
        );
        let silent = db.number(&format!("SELECT count(*) FROM schedule_runs JOIN schedules USING (jobid) WHERE jobname = '{name}' AND reason IS NULL")).await;
        assert_eq!(silent, 0, "{name}: every row has its reason");
    }
    let back = db.number("SELECT count(*) FROM schedules WHERE decided_until < (SELECT max(occurrence_at) FROM schedule_runs r WHERE r.jobid = schedules.jobid)").await;
    assert_eq!(back, 0, "what is decided stays decided");
}

#[tokio::test]
async fn a_jump_of_a_month_is_one_run_and_a_bounded_number_of_rows() {
    let db = fresh_database().await;
    let company = db.company().await;
    put(&db, company, &default("minutely", "*/10 * * * *")).await;
    let first = at("2026-11-02T00:00:00Z");
    begin(&db, first).await;
    let month = first + TimeDelta::days(30) + TimeDelta::seconds(5);
    let (enqueued, skipped) = decide(&db, month).await;
    assert_eq!((enqueued, skipped), (1, 30 * 144 - 1));
    assert_eq!(db.number("SELECT count(*) FROM schedule_runs").await, 101);
    let rest = db.rows("SELECT covers, reason, return_message FROM schedule_runs WHERE covers > 1").await;
    assert_eq!(
        (&rest[0]["covers"], &rest[0]["reason"]),
        (&json!(30 * 144 - 100), &json!("superseded")),
        "{rest:?}"
    );
    assert!(
        rest[0]["return_message"].as_str().is_some_and(|m| m.starts_with("4220 occurrences from 2026-11-02")),
        "{rest:?}"
    );

    // The clock is put right: nothing runs again, and the operator can begin anew at once.
    assert_eq!(decide(&db, first + TimeDelta::hours(1)).await, (0, 0));
    assert_eq!(db.number("SELECT count(*) FROM schedule_runs").await, 101);
    let mut tx = db.store.tenant(company).await.expect("a transaction");
    for active in [false, true] {
        assert!(set_active(&mut tx, company, "minutely", active, "me").await.expect("switched"));
    }
    let stored = find(&mut tx, company, "minutely").await.expect("a query").expect("a schedule");
    tx.commit().await.expect("a commit");
    assert!(stored.decided_until < month, "begun anew at {}", stored.decided_until);
}

#[tokio::test]
async fn jitter_delays_the_job_by_what_every_scheduler_computes() {
    let db = fresh_database().await;
    let company = db.company().await;
    put(&db, company, &DefaultSchedule { jitter_seconds: 600, ..default("spread", "0 * * * *") }).await;
    let hour =
        db.number("SELECT extract(epoch FROM date_trunc('hour', now()) + interval '2 hours')::bigint").await;
    let hour = DateTime::from_timestamp(hour, 0).expect("a time");
    begin(&db, hour - TimeDelta::minutes(1)).await;
    // A first scheduler decides and dies; the second says the same.
    let mut tx = db.store.dispatch().await.expect("a transaction");
    decide_at(&mut tx, hour).await.expect("a decision");
    let mut other = db.store.tenant(company).await.expect("a transaction");
    let jobid = find(&mut other, company, "spread").await.expect("a query").expect("a schedule").jobid;
    drop((tx, other));
    assert_eq!(decide(&db, hour + TimeDelta::seconds(1)).await, (1, 0));
    let share = domain::schedule::share(jobid, hour, std::time::Duration::from_mins(10));
    let due = hour + TimeDelta::from_std(share).expect("a span");
    let rows =
        db.rows("SELECT state, round(extract(epoch FROM run_at) * 1000)::bigint AS at FROM jobs").await;
    assert_eq!(rows[0]["state"], "scheduled");
    assert_eq!(rows[0]["at"], due.timestamp_millis());
}

#[tokio::test]
async fn an_occurrence_whose_predecessor_still_waits_is_an_overlap() {
    let db = fresh_database().await;
    let company = db.company().await;
    put(&db, company, &default("busy", "0 * * * *")).await;
    begin(&db, at("2026-06-01T00:30:00Z")).await;
    assert_eq!(decide(&db, at("2026-06-01T01:00:01Z")).await, (1, 0));
    assert_eq!(decide(&db, at("2026-06-01T02:00:01Z")).await, (0, 1));
    jobs_end(&db).await;
    let mut tx = db.store.dispatch().await.expect("a transaction");
    assert_eq!(settle(&mut tx, 100).await.expect("settled"), 1);
    assert_eq!(settle(&mut tx, 100).await.expect("settled"), 0);
    tx.commit().await.expect("a commit");
    assert_eq!(decide(&db, at("2026-06-01T03:00:01Z")).await, (1, 0));
    let rows = db.rows("SELECT status, reason, end_time IS NOT NULL AS over, return_message FROM schedule_runs ORDER BY occurrence_at").await;
    assert_eq!(
        rows,
        [
            json!({ "status": "succeeded", "reason": "due", "over": true, "return_message": "{\"drives\": 0}" }),
            json!({ "status": "skipped", "reason": "overlap", "over": true,
                "return_message": "the job of an earlier occurrence was still waiting, and serves this one" }),
            json!({ "status": "enqueued", "reason": "due", "over": false, "return_message": null }),
        ]
    );
}

#[tokio::test]
async fn a_double_click_triggers_once() {
    let db = fresh_database().await;
    let company = db.company().await;
    put(&db, company, &default("nightly", "30 2 * * *")).await;
    let click = async || {
        let mut tx = db.store.tenant(company).await.expect("a transaction");
        let done = trigger(&mut tx, company, "nightly", "me").await.expect("a query").expect("a schedule");
        tx.commit().await.expect("a commit");
        match done {
            Triggered::New(job) => (job, true),
            Triggered::Coalesced(job) => (job, false),
            Triggered::Invalid(error) => panic!("{error}"),
        }
    };
    let (one, two) = tokio::join!(click(), click());
    assert_eq!(one.0, two.0, "both get the same job");
    assert!(one.1 != two.1, "one of them made it");
    assert_eq!(db.number("SELECT count(*) FROM jobs").await, 1);
    jobs_end(&db).await;
    assert!(!click().await.1, "a click a moment after the job ended");
    db.execute("UPDATE schedule_runs SET occurrence_at = occurrence_at - interval '10 seconds'").await;
    assert!(click().await.1, "another request later");
    assert_eq!(db.number("SELECT count(*) FROM schedule_runs WHERE reason = 'manual'").await, 2);
}

fn config(pairs: &[(&str, &str)]) -> Vec<DefaultSchedule> {
    let base = [("DATABASE_URL", "postgres://x@localhost/x")];
    let mut env = Env::from_pairs(base.iter().chain(pairs).copied());
    let config = SchedulerConfig::from_env(&mut env);
    env.finish().expect("a sound environment");
    config.schedules
}

#[tokio::test]
async fn every_switch_of_the_environment_takes_effect_on_rollout_alone() {
    let db = fresh_database().await;
    let company = db.company().await;
    let roll_out = async |pairs: &[(&str, &str)]| {
        for schedule in config(pairs) {
            put(&db, company, &schedule).await;
        }
    };
    let shown = async |name: &str| {
        let rows = db
            .rows(&format!("SELECT schedule, active, time_zone FROM schedules WHERE jobname = '{name}'"))
            .await;
        (rows[0]["schedule"].as_str().expect("text").to_owned(), rows[0]["active"] == Value::Bool(true))
    };
    roll_out(&[]).await;
    assert_eq!(shown("onedrive-sync").await, ("0 */6 * * *".to_owned(), true));
    assert_eq!(shown("sweep-drives").await, ("*/15 * * * *".to_owned(), true));
    // An operator changes everything.
    db.execute("UPDATE schedules SET schedule = '1 1 * * *', active = NOT active").await;
    roll_out(&[]).await;
    assert_eq!(shown("onedrive-sync").await, ("1 1 * * *".to_owned(), false), "a restart changes nothing");
    assert_eq!(shown("sweep-drives").await, ("1 1 * * *".to_owned(), false));
    // One variable after the other: each changes what it names and nothing else.
    roll_out(&[("SYNC_INTERVAL_MINUTES", "30")]).await;
    assert_eq!(shown("sweep-drives").await, ("*/30 * * * *".to_owned(), false));
    assert_eq!(shown("onedrive-sync").await, ("1 1 * * *".to_owned(), false));
    roll_out(&[("SYNC_INTERVAL_MINUTES", "30"), ("ONEDRIVE_SYNC_SCHEDULE", "0 */4 * * *")]).await;
    assert_eq!(shown("onedrive-sync").await, ("0 */4 * * *".to_owned(), false));
    let off = [
        ("SYNC_INTERVAL_MINUTES", "30"),
        ("ONEDRIVE_SYNC_SCHEDULE", "0 */4 * * *"),
        ("ONEDRIVE_SYNC_ENABLED", "false"),
    ];
    roll_out(&off).await;
    db.execute("UPDATE schedules SET active = true").await;
    roll_out(&off).await;
    assert!(shown("onedrive-sync").await.1, "the operator's switch stays");
    roll_out(&off[..2]).await;
    roll_out(&off).await;
    assert!(!shown("onedrive-sync").await.1, "off, on and off again over rollouts");
}

#[tokio::test]
async fn realtime_switched_off_reaches_the_door_and_the_worker() {
    let base = [("DATABASE_URL", "postgres://x@localhost/x"), ("JWT_SECRET", "long enough for anybody here")];
    for (text, expected) in [("false", false), ("true", true)] {
        let pairs = || base.iter().copied().chain([("ENABLE_REALTIME_SYNC", text)]);
        let mut env = Env::from_pairs(pairs());
        assert_eq!(webhook_ingress::IngressConfig::from_env(&mut env).realtime, expected);
        let mut env = Env::from_pairs(pairs());
        assert_eq!(sync_worker::config::DocumentsConfig::from_env(&mut env).realtime, expected);
    }
    // Nobody is asked for a subscription: the connector of this worker does not exist.
    let rig = Rig::new().await;
    let config = sync_worker::config::DocumentsConfig {
        connector_url: "http://127.0.0.1:9".to_owned(),
        taxonomy: domain::taxonomy::Taxonomy::default(),
        realtime: false,
        batch_items: 200,
    };
    let calendars = sync_worker::config::CalendarConfig { connector_url: config.connector_url.clone() };
    let worker = rig.worker(sync_worker::handlers(&config, &calendars).expect("an address"));
    let scheduler = rig.scheduler();
    let ensure = EnsureDriveSubscription { drive_id: "b!d".to_owned() };
    rig.enqueue(NewJob::new(rig.company, &ensure, "test").expect("a payload")).await;
    let skipped = eventually("the job ends", async || {
        rig.db.rows("SELECT result ->> 'skipped' AS why FROM jobs WHERE state = 'succeeded'").await.pop()
    })
    .await;
    assert_eq!(skipped["why"], "ENABLE_REALTIME_SYNC is false");
    scheduler.drain().await;
    worker.drain().await;
}

#[tokio::test]
async fn what_passed_before_a_rollout_belongs_to_the_schedule_before_it() {
    let rig = Rig::new().await;
    put(&rig.db, rig.company, &default("s", "0 0 1 1 *")).await;
    // The old schedule was due a second ago, while no scheduler ran.
    rig.db
        .execute("UPDATE schedules SET schedule = '* * * * * *', decided_until = now() - interval '3 seconds', next_run_at = now() - interval '2 seconds'")
        .await;
    let process = rig.place().scheduler(vec![default("s", "0 0 2 1 *")]);
    eventually("the rollout is applied", async || {
        (rig.db.number("SELECT count(*) FROM schedules WHERE schedule = '0 0 2 1 *'").await == 1)
            .then_some(())
    })
    .await;
    process.drain().await;
    let ran = rig
        .db
        .number("SELECT count(*) FROM schedule_runs WHERE status = 'enqueued' AND job_id IS NOT NULL")
        .await;
    assert_eq!(ran, 1, "the missed occurrence was made up for");
}

#[tokio::test]
async fn the_seeds_queries_run_and_say_what_the_runbook_means() {
    let db = fresh_database().await;
    let company = db.company().await;
    for schedule in config(&[]) {
        put(&db, company, &schedule).await;
    }
    let jobs = db
        .rows("SELECT jobid, jobname, schedule, command FROM schedules WHERE jobname LIKE '%google-calendar%' ORDER BY jobname")
        .await;
    let names: Vec<_> = jobs.iter().map(|job| (job["jobname"].as_str(), job["schedule"].as_str())).collect();
    assert_eq!(
        names,
        [
            (Some("cleanup-google-calendar-sync-queue"), Some("0 2 * * *")),
            (Some("process-google-calendar-sync-queue"), Some("*/5 * * * *")),
            (Some("renew-google-calendar-webhooks"), Some("0 3 * * *")),
            (Some("sync-google-calendar-incremental"), Some("*/15 * * * *")),
        ]
    );
    let four =
        db.rows("SELECT schedule FROM schedules WHERE jobname = 'cleanup-expired-google-webhooks'").await;
    assert_eq!(four, [json!({ "schedule": "0 4 * * *" })]);
    let mut tx = db.store.tenant(company).await.expect("a transaction");
    trigger(&mut tx, company, "renew-google-calendar-webhooks", "me")
        .await
        .expect("a query")
        .expect("a schedule");
    tx.commit().await.expect("a commit");
    let runs = db
        .rows(
            "SELECT * FROM schedule_runs
             WHERE jobid = (SELECT jobid FROM schedules WHERE jobname = 'renew-google-calendar-webhooks')
             ORDER BY start_time DESC LIMIT 5",
        )
        .await;
    assert_eq!(runs.len(), 1);
    for column in ["jobid", "status", "return_message", "start_time", "end_time"] {
        assert!(runs[0].get(column).is_some(), "a column of cron.job_run_history: {column}");
    }
}

#[tokio::test]
async fn the_nightly_jobs_do_their_work() {
    let rig = Rig::new().await;
    let company = rig.company;
    rig.db
        .execute(&format!(
            "INSERT INTO drives (company_id, drive_id, enabled)
             VALUES ('{company}', 'b!soon', true), ('{company}', 'b!long', true), ('{company}', 'b!none', true),
                 ('{company}', 'b!off', false);
             INSERT INTO microsoft_subscriptions (id, company_id, subscription_id, resource_type, resource_id,
                 client_state_sha256, expires_at, state, updated_at)
             VALUES (gen_random_uuid(), '{company}', 's1', 'drive', 'b!soon', '', now() + interval '5 hours', 'active', now()),
                 (gen_random_uuid(), '{company}', 's2', 'drive', 'b!long', '', now() + interval '9 days', 'active', now()),
                 (gen_random_uuid(), '{company}', 's3', 'drive', 'b!off', '', now() - interval '9 days', 'active', now()),
                 (gen_random_uuid(), '{company}', NULL, 'drive', 'b!off', '', NULL, 'removed', now() - interval '9 days'),
                 (gen_random_uuid(), '{company}', NULL, 'drive', 'b!off', '', NULL, 'pending', now());
             INSERT INTO idempotency_keys (company_id, key, request_hash, status, body, created_at)
             VALUES ('{company}', 'old', '', 200, '{{}}', now() - interval '40 days'),
                 ('{company}', 'new', '', 200, '{{}}', now());
             INSERT INTO webhook_receipts (id, company_id, provider, result, body, received_at)
             VALUES (gen_random_uuid(), '{company}', 'microsoft', 'accepted', '{{}}', now() - interval '40 days')"
        ))
        .await;
    for schedule in config(&[]) {
        put(&rig.db, company, &schedule).await;
    }
    let handlers = Handlers::new()
        .with(CleanQueueHandler)
        .with(RenewChannelsHandler)
        .with(CleanExpiredChannelsHandler)
        .with(scripted::<EnsureSubscription, _, _>(async |_, _| Ok(Outcome::Done(json!("asked")))));
    let (worker, scheduler) = (rig.worker(handlers), rig.scheduler());
    let mut tx = rig.db.store.tenant(company).await.expect("a transaction");
    for name in [
        "cleanup-google-calendar-sync-queue",
        "renew-google-calendar-webhooks",
        "cleanup-expired-google-webhooks",
    ] {
        trigger(&mut tx, company, name, "me").await.expect("a query").expect("a schedule");
    }
    tx.commit().await.expect("a commit");
    eventually("the runs are settled", async || {
        (rig.db.number("SELECT count(*) FROM schedule_runs WHERE status = 'succeeded'").await == 3)
            .then_some(())
    })
    .await;
    let renewed = rig
        .db
        .rows(&format!(
            "SELECT payload ->> 'resource_id' AS drive FROM jobs WHERE kind = '{}' ORDER BY 1",
            EnsureSubscription::KIND
        ))
        .await;
    assert_eq!(renewed, [json!({ "drive": "b!none" }), json!({ "drive": "b!soon" })]);
    assert_eq!(
        rig.db.number("SELECT count(*) FROM microsoft_subscriptions").await,
        3,
        "what ended long ago is gone"
    );
    assert_eq!(rig.db.rows("SELECT key FROM idempotency_keys").await, [json!({ "key": "new" })]);
    assert_eq!(rig.db.number("SELECT count(*) FROM webhook_receipts").await, 0);
    scheduler.drain().await;
    worker.drain().await;
}

#[tokio::test]
async fn schedulers_die_and_come_back_and_every_second_has_its_row() {
    let rig = Rig::new().await;
    put(&rig.db, rig.company, &default("secondly", "* * * * * *")).await;
    let mut processes = vec![rig.scheduler(), rig.scheduler(), rig.scheduler()];
    for round in 1..=3 {
        eventually("occurrences are decided", async || {
            (rig.db.number("SELECT count(*) FROM schedule_runs").await > round * 2).then_some(())
        })
        .await;
        processes.remove(0).stop().await;
        processes.push(rig.scheduler());
    }
    for process in processes {
        process.drain().await;
    }
    let gaps = "SELECT count(*) FROM schedules s WHERE (SELECT sum(covers) FROM schedule_runs r WHERE r.jobid = s.jobid)
        <> (SELECT extract(epoch FROM max(occurrence_at) - min(occurrence_at))::bigint + 1 FROM schedule_runs r
            WHERE r.jobid = s.jobid)";
    assert_eq!(rig.db.number(gaps).await, 0);
    let whole = rig.db.rows("SELECT extract(epoch FROM occurrence_at) AS at FROM schedule_runs").await;
    assert!(whole.iter().all(|row| row["at"].as_f64().is_some_and(|at| at.fract() == 0.0)));
}
