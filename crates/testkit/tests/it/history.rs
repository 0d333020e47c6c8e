//! Finished jobs leave by dropping weekly partitions, and nobody waits for that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use contracts::jobs::{SweepDrives, Trigger};
use domain::ids::{CompanyId, JobId};
use scheduler::housekeeping::history;
use serde_json::json;
use store::Store;
use store::jobs::{ClaimOutcome, NewJob, claim, enqueue, succeed};
use testkit::{TestDb, fresh_database};

/// Jobs that finished so many days ago.
async fn finished(db: &TestDb, company: CompanyId, days: i32, number: i32) {
    db.execute(&format!(
        "INSERT INTO jobs (id, company_id, kind, version, queue, payload, state, max_attempts, run_at,
             attempt_seconds, finished_at)
         SELECT gen_random_uuid(), '{company}', 'maintenance.sweep_drives', 1, 'jobs.maintenance', '{{}}',
             'succeeded', 1, now(), 60, now() - interval '{days} days'
         FROM generate_series(1, {number})"
    ))
    .await;
}

/// A weekly partition that was made so many weeks ago.
async fn old_partition(db: &TestDb, weeks: i32) {
    db.execute(&format!(
        "DO $$ DECLARE
             begins timestamptz := date_trunc('week', now(), 'UTC') - {weeks} * interval '168 hours';
             part text := 'jobs_finished_' || to_char(begins AT TIME ZONE 'UTC', 'YYYYMMDD');
         BEGIN
             EXECUTE format('CREATE TABLE %I PARTITION OF jobs_finished FOR VALUES FROM (%L) TO (%L)',
                 part, begins, begins + interval '168 hours');
             PERFORM protect_tenant_table(part::regclass, true);
         END $$"
    ))
    .await;
}

async fn partitions(db: &TestDb) -> i64 {
    db.number(
        "SELECT count(*) FROM pg_inherits WHERE inhparent = 'jobs_finished'::regclass
             AND inhrelid <> 'jobs_finished_rest'::regclass",
    )
    .await
}

async fn kept(db: &TestDb) -> i64 {
    db.number("SELECT count(*) FROM jobs_finished").await
}

/// A job from its row to its end; how long its last transaction took.
async fn finish_one(store: &Store, company: CompanyId) -> Duration {
    let mut tx = store.tenant(company).await.expect("a transaction");
    let job = NewJob::new(company, &SweepDrives { trigger: Trigger::Manual }, "test").expect("a payload");
    let id = enqueue(&mut tx, job).await.expect("a job").id();
    let ClaimOutcome::Claimed(claimed) =
        claim(&mut tx, company, JobId(id.uuid()), 0, chassis::ids::new_id(), 60).await.expect("an answer")
    else {
        panic!("a job that nobody else knows is ours to claim");
    };
    tx.commit().await.expect("a commit");
    let begun = Instant::now();
    let mut tx = store.tenant(company).await.expect("a transaction");
    succeed(&mut tx, &claimed.fence, &json!(null)).await.expect("an end");
    tx.commit().await.expect("a commit");
    begun.elapsed()
}

#[tokio::test]
async fn purging_drops_exactly_the_old_weeks_and_may_be_repeated() {
    let db = fresh_database().await;
    let company = db.company().await;
    for weeks in [8, 3, 2] {
        old_partition(&db, weeks).await;
        finished(&db, company, weeks * 7, 3).await;
    }
    // Outside every partition: one too old, one not.
    finished(&db, company, 40, 1).await;
    finished(&db, company, 33, 1).await;
    history(&db.store, 35).await.expect("a round");
    assert_eq!(kept(&db).await, 7, "two weeks of three, and the young one of the rest");
    assert_eq!(partitions(&db).await, 7, "two old weeks, this one and four ahead");
    history(&db.store, 35).await.expect("another round");
    assert_eq!((kept(&db).await, partitions(&db).await), (7, 7), "nothing is left to do");

    finish_one(&db.store, company).await;
    assert_eq!(db.number("SELECT count(*) FROM jobs_finished_rest").await, 1, "this week has a partition");
    let open = db
        .rows(
            "SELECT relname FROM pg_class WHERE relname LIKE 'jobs\\_finished\\_%' AND relkind = 'r'
                 AND NOT (relrowsecurity AND relforcerowsecurity)",
        )
        .await;
    assert!(open.is_empty(), "partitions without row-level security: {open:?}");
    let other = db.company().await;
    let mut tx = db.store.tenant(other).await.expect("a transaction");
    let seen = store::jobs::list(&mut tx, company, &store::jobs::JobFilter::default(), 10).await;
    assert_eq!(seen.expect("a query").len(), 0, "another company sees nothing of it");
}

#[tokio::test]
async fn a_large_rest_is_fenced_before_a_partition_is_attached_and_then_drains() {
    let db = fresh_database().await;
    let company = db.company().await;
    finished(&db, company, 20, 12_000).await;
    let mut steps = Vec::new();
    loop {
        let mut tx = db.store.dispatch().await.expect("a transaction");
        let step = store::purge::extend_history(&mut tx, 4).await.expect("a step");
        tx.commit().await.expect("a commit");
        match step {
            Some(step) => steps.push(step.split(' ').next().unwrap_or_default().to_owned()),
            None => break,
        }
    }
    assert_eq!(steps, ["fenced", "validated", "attached"].repeat(4), "four weeks ahead, without a long lock");
    let fences =
        "SELECT count(*) FROM pg_constraint WHERE conrelid = 'jobs_finished_rest'::regclass AND contype = 'c'
                      AND conname LIKE '%elsewhere'";
    assert_eq!(db.number(fences).await, 0, "no fence is left behind");
    history(&db.store, 10).await.expect("a round");
    assert_eq!(kept(&db).await, 0, "the rest drained in bounded steps");
    history(&db.store, 10).await.expect("a round");
    assert_eq!(partitions(&db).await, 5, "this week has its partition as well");
}

#[tokio::test]
async fn finishing_goes_on_while_history_is_made_dropped_and_read() {
    let db = fresh_database().await;
    let company = db.company().await;
    for weeks in 10..20 {
        old_partition(&db, weeks).await;
        finished(&db, company, weeks * 7, 200).await;
    }
    // A report that reads the history and does not end.
    let mut report = db.store.tenant(company).await.expect("a transaction");
    store::jobs::list(&mut report, company, &store::jobs::JobFilter::default(), 1).await.expect("rows");
    let over = Arc::new(AtomicBool::new(false));
    let finishing = async {
        let mut longest = Duration::ZERO;
        let mut number = 0;
        while !over.load(Ordering::Relaxed) || number < 50 {
            longest = longest.max(finish_one(&db.store, company).await);
            number += 1;
        }
        (number, longest)
    };
    let keeping = async {
        let blocked = history(&db.store, 30).await.expect_err("the report holds a lock");
        assert!(blocked.contains("partition"), "{blocked}");
        drop(report);
        history(&db.store, 30).await.expect("a round");
        over.store(true, Ordering::Relaxed);
    };
    let ((number, longest), ()) = tokio::join!(finishing, keeping);
    println!("{number} jobs finished meanwhile, the slowest in {longest:?}");
    assert!(longest < Duration::from_secs(2), "a job took {longest:?} to finish");
    assert_eq!(kept(&db).await, number, "every job is in the history, the old ones are gone");
}

#[tokio::test]
async fn nobody_but_the_dispatch_role_may_drop_history() {
    let db = fresh_database().await;
    for call in ["extend_job_history(1)", "drop_job_history(1)"] {
        let refused = store::admin::rows(&db.app_url, &format!("SELECT {call} AS did")).await;
        let refused = refused.expect_err("the application role is refused");
        assert!(chassis::telemetry::chain(&refused).contains("permission denied"), "{refused:?}");
    }
    let mut tx = db.store.dispatch().await.expect("a transaction");
    assert!(store::purge::drop_history(&mut tx, 0).await.is_err(), "the present cannot be dropped");
    let pinned = db
        .number(
            "SELECT count(*) FROM pg_proc WHERE proname IN ('extend_job_history', 'drop_job_history')
                 AND prosecdef AND 'search_path=pg_catalog, public, pg_temp' = ANY (proconfig)",
        )
        .await;
    assert_eq!(pinned, 2, "functions of the owner with a search path of their own");
}

#[tokio::test]
async fn what_else_has_an_age_leaves_too() {
    let db = fresh_database().await;
    let company = db.company().await;
    db.execute(&format!(
        "INSERT INTO schedules (company_id, jobname, schedule, command) VALUES ('{company}', 's', '0 * * * *', 'x');
         INSERT INTO schedule_runs (jobid, occurrence_at, company_id, status, reason, start_time)
         SELECT jobid, now() - n * interval '20 days', company_id, 'skipped', 'missed', now() - n * interval '20 days'
         FROM schedules, generate_series(2, 5) n;
         INSERT INTO webhook_receipts (id, company_id, provider, result, body, received_at)
         SELECT gen_random_uuid(), CASE n WHEN 3 THEN NULL ELSE '{company}'::uuid END, 'microsoft',
             CASE n WHEN 3 THEN 'unknown' ELSE 'accepted' END, '{{}}', now() - n * interval '20 days'
         FROM generate_series(1, 3) n;
         INSERT INTO broker_dead_letters (id, routing_key, reason, headers, body, archived_at)
         VALUES (gen_random_uuid(), 'x', 'rejected', '{{}}', '', now() - interval '60 days')"
    ))
    .await;
    history(&db.store, 30).await.expect("a round");
    assert_eq!(db.number("SELECT count(*) FROM schedule_runs").await, 1, "the newest of a schedule stays");
    assert_eq!(db.number("SELECT count(*) FROM webhook_receipts").await, 1);
    assert_eq!(db.number("SELECT count(*) FROM broker_dead_letters").await, 0);
}
