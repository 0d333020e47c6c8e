//! Claims in batches: what one transaction does with many bells, and who comes first.

use std::sync::{Arc, Mutex};

use chassis::ids::new_id;
use contracts::jobs::{SweepDrives, Trigger};
use domain::ids::{CompanyId, JobId};
use job_runtime::{Handlers, RuntimeConfig};
use serde_json::json;
use store::jobs::Heartbeat::{Alive, Busy, CancelRequested, Lost};
use store::jobs::{ClaimOutcome, Claimed, NewJob, claim_many, enqueue_many, heartbeat_many};
use testkit::{Rig, TestDb, eventually, fresh_database, scripted};

use crate::support::{effect, end, leave_effect, sweep, until};

async fn put(db: &TestDb, jobs: Vec<NewJob>) -> Vec<JobId> {
    let company = jobs[0].company;
    let mut tx = db.store.tenant(company).await.expect("a transaction");
    let ids = enqueue_many(&mut tx, jobs).await.expect("jobs").iter().map(|job| job.id()).collect();
    tx.commit().await.expect("a commit");
    ids
}

fn job(company: CompanyId) -> NewJob {
    NewJob::new(company, &SweepDrives { trigger: Trigger::Manual }, "test").expect("a payload")
}

async fn claim(db: &TestDb, bells: &[(JobId, i64)]) -> Claimed {
    let mut tx = db.store.dispatch().await.expect("a transaction");
    let claimed = claim_many(&mut tx, bells, new_id(), 30).await.expect("an answer");
    tx.commit().await.expect("a commit");
    claimed
}

fn first_bells(ids: &[JobId]) -> Vec<(JobId, i64)> {
    ids.iter().map(|id| (*id, 0)).collect()
}

fn jobs_of(claimed: &Claimed) -> Vec<JobId> {
    let mut jobs: Vec<JobId> = claimed.claims.iter().map(|claim| claim.fence.job).collect();
    jobs.sort_unstable_by_key(|job| job.uuid());
    jobs
}

fn why(claimed: &Claimed, job: JobId) -> &'static str {
    claimed.rest.iter().find(|(id, _)| *id == job).map_or("not answered", |(_, outcome)| outcome.label())
}

#[tokio::test]
async fn one_batch_answers_every_kind_of_bell() {
    let db = fresh_database().await;
    let (company, other) = (db.company().await, db.company().await);
    let plain = put(&db, vec![job(company), job(company)]).await;
    let foreign = put(&db, vec![job(other)]).await;
    let lined = put(&db, vec![job(company).resource("r"), job(company).resource("r")]).await;
    let mut late = job(company);
    late.deadline = Some(chrono::DateTime::UNIX_EPOCH);
    let rest = put(&db, vec![late, job(company), job(company)]).await;
    let (expired, cancelled, stale) = (rest[0], rest[1], rest[2]);
    db.execute(&format!("UPDATE jobs_live SET cancel_requested = true WHERE id = '{cancelled}'")).await;
    db.execute(&format!("UPDATE jobs_live SET epoch = 4 WHERE id = '{stale}'")).await;
    db.execute("DELETE FROM outbox").await;
    let gone = JobId(new_id());
    let mut bells = first_bells(&plain);
    bells.extend(first_bells(&foreign));
    // The second in line rings first, and one bell comes twice.
    bells.extend([(lined[1], 0), (lined[0], 0), (plain[0], 0)]);
    bells.extend([(expired, 0), (cancelled, 0), (stale, 3), (gone, 0)]);

    let claimed = claim(&db, &bells).await;
    let mut expected = [plain.clone(), foreign, vec![lined[0]]].concat();
    expected.sort_unstable_by_key(|job| job.uuid());
    assert_eq!(jobs_of(&claimed), expected);
    assert!(claimed.claims.iter().all(|c| c.fence.epoch == 1 && c.attempt == 1 && c.waited_seconds >= 0.0));
    let of_other = claimed.claims.iter().filter(|c| c.fence.company == other).count();
    assert_eq!(of_other, 1, "each in its own company");
    let answers = [lined[1], expired, cancelled, stale, gone].map(|job| why(&claimed, job));
    assert_eq!(answers, ["waiting", "expired", "cancelled", "stale", "gone"]);
    let states = db.rows("SELECT state, count(*) AS n FROM jobs GROUP BY 1 ORDER BY 1").await;
    assert_eq!(
        states,
        [
            json!({ "state": "cancelled", "n": 1 }),
            json!({ "state": "dead", "n": 1 }),
            json!({ "state": "queued", "n": 2 }),
            json!({ "state": "running", "n": 4 }),
        ]
    );
    // Again: nothing is claimed twice.
    assert_eq!(claim(&db, &bells).await.claims.len(), 0);
    assert_eq!(db.number("SELECT count(*) FROM outbox").await, 0, "nobody had to be rung again");
}

#[tokio::test]
async fn a_job_that_someone_else_writes_is_rung_again_and_not_waited_for() {
    let db = fresh_database().await;
    let company = db.company().await;
    let ids = put(&db, vec![job(company).dedupe("k"), job(company)]).await;
    db.execute("DELETE FROM outbox").await;
    let mut slow = db.store.tenant(company).await.expect("a transaction");
    // A request that coalesces into the first job, and whose transaction stays open.
    enqueue_many(&mut slow, vec![job(company).dedupe("k")]).await.expect("coalesced");
    let claimed = claim(&db, &first_bells(&ids)).await;
    assert_eq!((jobs_of(&claimed), why(&claimed, ids[0])), (vec![ids[1]], "locked"));
    slow.commit().await.expect("a commit");
    let rung = db.rows("SELECT job_id, queue, priority FROM outbox").await;
    assert_eq!(rung, [json!({ "job_id": ids[0].uuid(), "queue": "jobs.maintenance", "priority": 5 })]);
    assert_eq!(jobs_of(&claim(&db, &first_bells(&ids[..1])).await), [ids[0]]);
}

#[tokio::test]
async fn an_urgent_job_takes_the_place_of_one_that_has_not_waited_long() {
    let db = fresh_database().await;
    let company = db.company().await;
    let ids = put(&db, (0..4).map(|_| job(company)).collect()).await;
    let sweeping = put(&db, vec![job(company).priority(0)]).await;
    let urgent = [
        job(company).priority(9),
        // Its resource is in use: not now.
        job(company).priority(9).resource("busy"),
        // Second in its line.
        job(company).priority(8).resource("line"),
        job(company).priority(9).resource("line"),
    ];
    let mut holder = put(&db, vec![job(company).resource("busy")]).await;
    assert_eq!(claim(&db, &first_bells(&holder)).await.claims.len(), 1);
    let urgent = put(&db, urgent.into()).await;
    db.execute("DELETE FROM outbox").await;

    // Old enough not to wait for anybody.
    db.execute(&format!(
        "UPDATE jobs_live SET queued_at = now() - interval '31 seconds' WHERE id = '{}'",
        ids[0]
    ))
    .await;
    let claimed = claim(&db, &first_bells(&[ids.clone(), sweeping.clone()].concat())).await;
    let mut expected = vec![ids[0], ids[1], ids[2], urgent[0], urgent[3]];
    expected.sort_unstable_by_key(|job| job.uuid());
    assert_eq!(jobs_of(&claimed), expected, "as many as bells; the least urgent and the newest gave way");
    assert_eq!((why(&claimed, sweeping[0]), why(&claimed, ids[3])), ("displaced", "displaced"));
    let mut rung: Vec<String> = vec![sweeping[0].to_string(), ids[3].to_string()];
    rung.sort();
    let rows = db.rows("SELECT job_id FROM outbox ORDER BY job_id::text").await;
    assert_eq!(rows.iter().map(|row| row["job_id"].as_str().unwrap_or_default()).collect::<Vec<_>>(), rung);

    // When all have waited for long, nobody gives way.
    holder = put(&db, vec![job(company), job(company).priority(9)]).await;
    db.execute("UPDATE jobs_live SET queued_at = now() - interval '31 seconds' WHERE state = 'queued'").await;
    assert_eq!(jobs_of(&claim(&db, &first_bells(&holder[..1])).await), [holder[0]]);
}

#[tokio::test]
async fn a_person_does_not_wait_behind_hundreds_of_bells() {
    let rig = Rig::new().await;
    let mut tx = rig.db.store.tenant(rig.company).await.expect("a transaction");
    enqueue_many(&mut tx, (0..300).map(|_| sweep(&rig)).collect()).await.expect("jobs");
    tx.commit().await.expect("a commit");
    let (broker, process) = rig.bare_broker();
    let publisher = broker.publisher();
    while scheduler::relay::round(&rig.db.store, &publisher).await.expect("a round").confirmed > 0 {}
    let urgent = rig.enqueue(sweep(&rig).priority(9)).await.id();
    // Its own bell is not even published.
    rig.db.execute("DELETE FROM outbox").await;
    rig.db.execute("UPDATE jobs_live SET queued_at = clock_timestamp()").await;

    let order = Arc::new(Mutex::new(Vec::new()));
    let seen = order.clone();
    let handlers = Handlers::new().with(scripted::<SweepDrives, _, _>(move |_, job| {
        seen.lock().expect("a list").push(job.job());
        async move { leave_effect(&job).await }
    }));
    let config = RuntimeConfig { queues: None, concurrency: 4, lease_seconds: 30 };
    let worker = rig.worker_with(handlers, config);
    eventually("the first jobs start", async || (order.lock().expect("a list").len() >= 8).then_some(()))
        .await;
    let place = order.lock().expect("a list").iter().position(|job| *job == urgent);
    assert!(place.is_some_and(|place| place < 4), "the urgent job started as number {place:?}");
    // Whoever gave way is rung again, and nobody is forgotten.
    let scheduler = rig.scheduler();
    until(&rig, "succeeded", 301).await;
    assert_eq!(rig.count("scheduled").await, 301);
    end([worker, scheduler, process]).await;
}

#[tokio::test]
async fn a_job_that_cannot_be_claimed_takes_no_neighbour_along() {
    let rig = Rig::new().await;
    let ids = put(&rig.db, (0..20).map(|_| sweep(&rig)).collect()).await;
    let poisoned = ids[7];
    rig.db
        .execute(&format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                 $$BEGIN RAISE EXCEPTION 'this row is broken'; END$$;
             CREATE TRIGGER refuse BEFORE UPDATE ON jobs_live FOR EACH ROW
                 WHEN (new.state = 'running' AND new.id = '{poisoned}') EXECUTE FUNCTION refuse()"
        ))
        .await;
    let processes = [rig.scheduler(), rig.worker(effect())];
    until(&rig, "succeeded", 19).await;
    let archived = eventually("the bell is archived", async || {
        rig.db.rows("SELECT DISTINCT job_id, reason FROM broker_dead_letters").await.pop()
    })
    .await;
    assert_eq!(archived, json!({ "job_id": poisoned.uuid(), "reason": "rejected" }));
    assert_eq!(rig.count("queued").await, 1, "the ledger still has it");
    end(processes).await;
}

#[tokio::test]
async fn one_beat_extends_every_lease_and_tells_who_was_cancelled_or_lost() {
    let db = fresh_database().await;
    let company = db.company().await;
    let jobs = vec![job(company).resource("r"), job(company), job(company), job(company)];
    let ids = put(&db, jobs).await;
    assert_eq!(claim(&db, &first_bells(&ids)).await.claims.len(), 4);
    let (kept, cancelled, lost, busy) = (ids[0], ids[1], ids[2], ids[3]);
    db.execute("UPDATE jobs_live SET lease_expires_at = now() + interval '30 seconds'").await;
    db.execute("UPDATE resource_leases SET expires_at = now() + interval '30 seconds'").await;
    db.execute(&format!("UPDATE jobs_live SET cancel_requested = true WHERE id = '{cancelled}'")).await;
    db.execute(&format!("UPDATE jobs_live SET epoch = 9 WHERE id = '{lost}'")).await;
    // Its handler is about to commit.
    let mut ending = db.store.tenant(company).await.expect("a transaction");
    let fence = store::jobs::Fence { company, job: busy, epoch: 1, resource: None };
    store::jobs::hold(&mut ending, &fence).await.expect("held");

    let held: Vec<(JobId, i64)> = ids.iter().map(|id| (*id, 1)).collect();
    let mut tx = db.store.dispatch().await.expect("a transaction");
    let beats = heartbeat_many(&mut tx, &held, 3600).await.expect("an answer");
    tx.commit().await.expect("a commit");
    let of = |job: JobId| beats.iter().find(|(id, _)| *id == job).map(|(_, beat)| *beat);
    let heard = [kept, cancelled, lost, busy].map(of);
    assert_eq!(heard, [Some(Alive), Some(CancelRequested), Some(Lost), Some(Busy)]);
    let far = "now() + interval '50 minutes'";
    let extended = db.number(&format!("SELECT count(*) FROM jobs_live WHERE lease_expires_at > {far}")).await;
    let resources =
        db.number(&format!("SELECT count(*) FROM resource_leases WHERE expires_at > {far}")).await;
    assert_eq!((extended, resources), (2, 1));
    drop(ending);
    assert!(matches!(claim(&db, &[(kept, 0)]).await.rest[..], [(_, ClaimOutcome::Stale)]));
}
