//! Group commit: many jobs in one transaction, each effect exactly once all the same.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use contracts::jobs::{PurgeFinished, SweepDrives, Trigger};
use job_runtime::{GroupHandler, GroupJob, Handlers, JobError, RuntimeConfig};
use serde_json::json;
use store::Tx;
use store::jobs::{NewJob, enqueue_many};
use testkit::{Rig, within};
use tokio::sync::Semaphore;

use crate::support::{end, until};

/// A job whose payload says `BAD` fails.
const BAD: i32 = 13;

/// Leaves one effect per job: a job that waits for ever and names its cause.
#[derive(Clone)]
struct Grouped {
    /// Jobs of the largest call.
    largest: Arc<AtomicUsize>,
    /// Jobs of each call, in order.
    calls: Arc<Mutex<Vec<usize>>>,
    entered: Arc<Semaphore>,
    gate: Option<Arc<Semaphore>>,
}

impl Grouped {
    fn new(gate: Option<Arc<Semaphore>>) -> Self {
        Self { largest: Arc::default(), calls: Arc::default(), entered: Arc::new(Semaphore::new(0)), gate }
    }
}

#[async_trait]
impl GroupHandler for Grouped {
    type Payload = PurgeFinished;

    const MOST: usize = 50;

    async fn run(&self, jobs: &mut [GroupJob<PurgeFinished>], tx: &mut Tx) -> Result<(), JobError> {
        self.largest.fetch_max(jobs.len(), Ordering::SeqCst);
        self.calls.lock().expect("a list").push(jobs.len());
        let far = chrono::DateTime::from_timestamp(4_000_000_000, 0).expect("a time");
        let mut effects = Vec::new();
        for job in &mut *jobs {
            let sweep = SweepDrives { trigger: Trigger::Manual };
            effects.push(NewJob::new(job.company(), &sweep, job.job().to_string())?.run_at(far));
            job.set_result(json!({ "days": job.payload().tombstone_days, "attempt": job.attempt() }));
        }
        enqueue_many(tx, effects).await?;
        self.entered.add_permits(1);
        if let Some(gate) = &self.gate {
            gate.acquire().await.expect("never closed").forget();
        }
        if jobs.iter().any(|job| job.payload().tombstone_days == BAD) {
            return Err(JobError::fail("bad", "one of the jobs is bad"));
        }
        Ok(())
    }
}

fn purge(rig: &Rig, days: i32) -> NewJob {
    NewJob::new(rig.company, &PurgeFinished { tombstone_days: days }, "test").expect("a payload")
}

async fn put(rig: &Rig, jobs: Vec<NewJob>) {
    let mut tx = rig.db.store.tenant(rig.company).await.expect("a transaction");
    enqueue_many(&mut tx, jobs).await.expect("jobs");
    tx.commit().await.expect("a commit");
}

/// Publishes the bells, so that a worker finds them all at hand.
async fn ring(rig: &Rig) -> (broker::Broker, testkit::rig::Process) {
    let (broker, process) = rig.bare_broker();
    let publisher = broker.publisher();
    while scheduler::relay::round(&rig.db.store, &publisher).await.expect("a round").confirmed > 0 {}
    (broker, process)
}

fn config() -> RuntimeConfig {
    RuntimeConfig { queues: None, concurrency: 64, lease_seconds: 30 }
}

async fn effects(rig: &Rig) -> (i64, i64) {
    let query = "SELECT count(DISTINCT requested_by) FROM jobs WHERE state = 'scheduled'";
    (rig.count("scheduled").await, rig.db.number(query).await)
}

#[tokio::test]
async fn jobs_at_hand_are_committed_together() {
    let rig = Rig::new().await;
    // Some share resources, which pass from one to the next.
    let job = |n: i32| {
        let job = purge(&rig, 20 + n % 5);
        if n % 10 == 0 { job.resource(format!("r{}", n % 20)) } else { job }
    };
    put(&rig, (0..300).map(job).collect()).await;
    let (_broker, process) = ring(&rig).await;
    let grouped = Grouped::new(None);
    let processes =
        [rig.worker_with(Handlers::new().with_group(grouped.clone()), config()), rig.scheduler(), process];
    until(&rig, "succeeded", 300).await;
    assert_eq!(effects(&rig).await, (300, 300));
    let largest = grouped.largest.load(Ordering::SeqCst);
    assert!((8..=32).contains(&largest), "at most half of the places at a time, got {largest}");
    assert!(grouped.calls.lock().expect("a list").len() < 200, "far fewer calls than jobs");
    assert_eq!(rig.db.number("SELECT count(*) FROM resource_leases").await, 0);
    let results = rig.db.rows("SELECT DISTINCT result ->> 'attempt' AS a FROM jobs_finished").await;
    assert_eq!(results, [json!({ "a": "1" })]);
    end(processes).await;
}

#[tokio::test]
async fn a_bad_job_does_not_fail_its_neighbours() {
    let rig = Rig::new().await;
    put(&rig, (0..20).map(|n| purge(&rig, if n == 7 { BAD } else { 30 })).collect()).await;
    let mut malformed = purge(&rig, 30);
    malformed.payload = json!({ "tombstone_days": "soon" });
    put(&rig, vec![malformed]).await;
    let (_broker, process) = ring(&rig).await;
    let grouped = Grouped::new(None);
    let worker = rig.worker_with(Handlers::new().with_group(grouped.clone()), config());
    until(&rig, "succeeded", 19).await;
    until(&rig, "dead", 2).await;
    assert_eq!(effects(&rig).await, (19, 19), "nothing of the failed call is left");
    let dead = rig.db.rows("SELECT last_error ->> 'code' AS code FROM dead_letters ORDER BY 1").await;
    assert_eq!(dead, [json!({ "code": "bad" }), json!({ "code": "malformed_payload" })]);
    assert!(grouped.largest.load(Ordering::SeqCst) > 1, "they were together before");
    end([worker, process]).await;
}

#[tokio::test]
async fn a_group_that_lost_a_job_commits_without_it() {
    let rig = Rig::new().await;
    put(&rig, (0..10).map(|_| purge(&rig, 30)).collect()).await;
    let (_broker, process) = ring(&rig).await;
    let gate = Arc::new(Semaphore::new(0));
    let grouped = Grouped::new(Some(gate.clone()));
    let worker = rig.worker_with(Handlers::new().with_group(grouped.clone()), config());
    within("a call begins", grouped.entered.acquire()).await.expect("open").forget();
    // As the reaper does with a lease that expired: the job belongs to whoever claims it next.
    rig.db
        .execute(
            "WITH back AS (
                 UPDATE jobs_live SET state = 'queued', epoch = epoch + 1 WHERE id IN
                     (SELECT id FROM jobs_live WHERE state = 'running' ORDER BY seq LIMIT 1)
                 RETURNING *)
             INSERT INTO outbox (company_id, job_id, epoch, routing_key, queue)
             SELECT company_id, id, epoch, kind, queue FROM back",
        )
        .await;
    gate.add_permits(1000);
    let scheduler = rig.scheduler();
    until(&rig, "succeeded", 10).await;
    assert_eq!(effects(&rig).await, (10, 10));
    let attempts =
        rig.db.rows("SELECT attempt, count(*) AS n FROM jobs_finished GROUP BY 1 ORDER BY 1").await;
    assert_eq!(attempts, [json!({ "attempt": 1, "n": 9 }), json!({ "attempt": 2, "n": 1 })]);
    end([worker, scheduler, process]).await;
}

#[tokio::test]
async fn a_stopped_group_is_handed_back_whole() {
    let rig = Rig::new().await;
    put(&rig, (0..10).map(|_| purge(&rig, 30)).collect()).await;
    let (_broker, process) = ring(&rig).await;
    let grouped = Grouped::new(Some(Arc::new(Semaphore::new(0))));
    let worker = rig.worker_with(Handlers::new().with_group(grouped.clone()), config());
    within("a call begins", grouped.entered.acquire()).await.expect("open").forget();
    worker.stop().await;
    let left = rig.db.rows("SELECT DISTINCT state, attempt, interruptions FROM jobs_live").await;
    assert_eq!(left, [json!({ "state": "queued", "attempt": 0, "interruptions": 0 })]);
    assert_eq!(effects(&rig).await, (0, 0));
    let second = [rig.worker_with(Handlers::new().with_group(Grouped::new(None)), config()), rig.scheduler()];
    until(&rig, "succeeded", 10).await;
    assert_eq!(effects(&rig).await, (10, 10));
    end(second).await;
    end([process]).await;
}
