//! Schedules: never twice, never silently skipped.

use chrono::{DateTime, TimeDelta, Utc};
use contracts::jobs::{JobPayload, SweepDrives};
use domain::schedule::Missed;
use scheduler::cron::{decide, decide_at};
use serde_json::json;
use store::schedules::{DefaultSchedule, ensure, find, runs, set_active, set_schedule};
use testkit::{Rig, TestDb, eventually, fresh_database};

fn default(cron: &str, active: bool) -> DefaultSchedule {
    DefaultSchedule {
        jobname: "onedrive-sync".to_owned(),
        schedule: cron.to_owned(),
        time_zone: "UTC".to_owned(),
        command: SweepDrives::KIND.to_owned(),
        payload: json!({ "trigger": "schedule" }),
        active,
        missed_policy: Missed::RunOnce,
        jitter_seconds: 0,
        description: String::new(),
    }
}

async fn put(db: &TestDb, company: domain::ids::CompanyId, schedule: &DefaultSchedule) -> bool {
    let mut tx = db.store.tenant(company).await.expect("a transaction");
    let written = ensure(&mut tx, company, schedule).await.expect("a schedule");
    tx.commit().await.expect("a commit");
    written
}

/// Decides at a time of the test's choosing.
async fn at(db: &TestDb, now: DateTime<Utc>) -> (usize, usize) {
    let mut tx = db.store.dispatch().await.expect("a transaction");
    let done = decide_at(&mut tx, now).await.expect("a decision");
    tx.commit().await.expect("a commit");
    (done.enqueued, done.skipped)
}

/// The next full hour plus some seconds.
async fn hour(db: &TestDb) -> DateTime<Utc> {
    let seconds = db
        .number("SELECT extract(epoch FROM date_trunc('hour', now()) + interval '1 hour')::bigint AS n")
        .await;
    DateTime::from_timestamp(seconds, 0).expect("a time")
}

#[tokio::test]
async fn no_occurrence_runs_twice_with_three_schedulers() {
    let db = fresh_database().await;
    for _ in 0..5 {
        let company = db.company().await;
        put(&db, company, &default("* * * * * *", true)).await;
    }
    db.execute("UPDATE schedules SET decided_until = now() - interval '3 seconds'").await;
    let one = async {
        for _ in 0..40 {
            decide(&db.store).await.expect("a decision");
        }
    };
    let (two, three) = (
        async {
            for _ in 0..40 {
                decide(&db.store).await.expect("a decision");
            }
        },
        async {
            for _ in 0..40 {
                decide(&db.store).await.expect("a decision");
            }
        },
    );
    tokio::join!(one, two, three);
    let twice = db.number("SELECT count(*) FROM (SELECT job_id FROM schedule_runs WHERE return_message IS NULL GROUP BY job_id HAVING count(job_id) > 1) d").await;
    assert_eq!(twice, 0);
    let unrecorded = db.number("SELECT count(*) FROM jobs j WHERE NOT EXISTS (SELECT FROM schedule_runs r WHERE r.job_id = j.id)").await;
    assert_eq!(unrecorded, 0);
    let gaps = db.number("SELECT count(*) FROM schedules s WHERE (SELECT count(*) FROM schedule_runs r WHERE r.jobid = s.jobid) <> (SELECT extract(epoch FROM max(occurrence_at) - min(occurrence_at))::bigint + 1 FROM schedule_runs r WHERE r.jobid = s.jobid)").await;
    assert_eq!(gaps, 0, "every second between the first and the last has a row");
}

#[tokio::test]
async fn missed_occurrences_have_a_reason_and_one_run() {
    let db = fresh_database().await;
    let company = db.company().await;
    put(&db, company, &default("0 * * * *", true)).await;
    let now = hour(&db).await + TimeDelta::hours(5) + TimeDelta::minutes(20);
    assert_eq!(at(&db, now).await, (1, 5));
    assert_eq!(at(&db, now).await, (0, 0), "decided is decided");
    assert_eq!(at(&db, now - TimeDelta::hours(3)).await, (0, 0), "also after the clock jumped back");
    let mut tx = db.store.tenant(company).await.expect("a transaction");
    let all = runs(&mut tx, company, "onedrive-sync", 10).await.expect("runs");
    assert_eq!((all[0].status.as_str(), all[0].job_state.as_deref()), ("enqueued", Some("queued")));
    assert!(
        all[1..].iter().all(|run| run.status == "skipped" && run.reason.as_deref() == Some("superseded"))
    );
}

#[tokio::test]
async fn a_disabled_schedule_skips_with_its_reason_and_does_not_catch_up() {
    let db = fresh_database().await;
    let company = db.company().await;
    put(&db, company, &default("0 * * * *", false)).await;
    let now = hour(&db).await + TimeDelta::minutes(1);
    assert_eq!(at(&db, now).await, (0, 1));
    let reasons = db.rows("SELECT status, reason FROM schedule_runs").await;
    assert_eq!(reasons, [json!({ "status": "skipped", "reason": "paused" })]);
    let mut tx = db.store.tenant(company).await.expect("a transaction");
    assert!(set_active(&mut tx, company, "onedrive-sync", true, "me").await.expect("switched"));
    tx.commit().await.expect("a commit");
    assert_eq!(at(&db, now).await, (0, 0));
    assert_eq!(at(&db, now + TimeDelta::hours(1)).await, (1, 0));
}

#[tokio::test]
async fn a_rollout_with_another_value_wins_and_a_restart_does_not() {
    let db = fresh_database().await;
    let company = db.company().await;
    assert!(put(&db, company, &default("0 */6 * * *", true)).await);
    let mut tx = db.store.tenant(company).await.expect("a transaction");
    assert!(set_active(&mut tx, company, "onedrive-sync", false, "me").await.expect("switched"));
    assert!(
        set_schedule(&mut tx, company, "onedrive-sync", ("0 3 * * *", "Europe/Paris"), "me")
            .await
            .expect("changed")
    );
    tx.commit().await.expect("a commit");
    assert!(!put(&db, company, &default("0 */6 * * *", true)).await, "a restart");
    assert!(put(&db, company, &default("0 */2 * * *", true)).await, "a rollout");
    let mut tx = db.store.tenant(company).await.expect("a transaction");
    let stored = find(&mut tx, company, "onedrive-sync").await.expect("a query").expect("a schedule");
    assert_eq!((stored.schedule.as_str(), stored.time_zone.as_str()), ("0 */2 * * *", "Europe/Paris"));
    assert!(!stored.active, "the switch was not part of the rollout");
}

#[tokio::test]
async fn a_schedule_that_cannot_be_read_is_recorded_as_invalid() {
    let db = fresh_database().await;
    let company = db.company().await;
    put(&db, company, &default("every day", true)).await;
    let unknown =
        DefaultSchedule { jobname: "b".into(), command: "nobody.knows".into(), ..default("0 * * * *", true) };
    put(&db, company, &unknown).await;
    assert_eq!(at(&db, hour(&db).await).await, (0, 2));
    assert_eq!(db.number("SELECT count(*) FROM schedule_runs WHERE reason = 'invalid'").await, 2);
    assert_eq!(db.number("SELECT count(*) FROM schedules WHERE next_run_at IS NULL").await, 0);
}

#[tokio::test]
async fn schedules_of_the_environment_reach_every_company_and_run() {
    let rig = Rig::new().await;
    let process = rig.place().scheduler(vec![default("* * * * * *", true)]);
    eventually("an occurrence is enqueued", async || {
        (rig.db.number("SELECT count(*) FROM schedule_runs WHERE status = 'enqueued'").await > 0)
            .then_some(())
    })
    .await;
    process.drain().await;
}
