//! Jobs that kill their worker: stopped by the ledger, and no neighbour with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use contracts::jobs::{PurgeFinished, SweepDrives};
use job_runtime::{Handlers, JobContext, Outcome, RuntimeConfig};
use serde_json::json;
use store::jobs::NewJob;
use testkit::rig::{Place, Process};
use testkit::{Rig, eventually, scripted, within};
use tokio::sync::Semaphore;

use crate::support::{effect, end, held_effect, leave_effect, sweep, until};

/// A worker in a process that can die: its tasks end at their next await and conclude nothing.
struct Mortal {
    runtime: Option<tokio::runtime::Runtime>,
    _process: Process,
}

impl Mortal {
    fn born(place: &Place, handlers: Handlers, config: RuntimeConfig) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let process = {
            let _inside = runtime.enter();
            place.worker(handlers, config)
        };
        Self { runtime: Some(runtime), _process: process }
    }

    fn dies(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        self.dies();
    }
}

fn killer(rig: &Rig) -> NewJob {
    NewJob::new(rig.company, &PurgeFinished { tombstone_days: 1 }, "test").expect("a payload")
}

#[tokio::test]
async fn a_job_that_kills_its_worker_is_stopped_and_its_neighbours_are_not() {
    let rig = Rig::new().await;
    let kill = rig.enqueue(killer(&rig)).await.id();
    for _ in 0..30 {
        rig.enqueue(sweep(&rig)).await;
    }
    let scheduler = rig.scheduler();
    let dying = Arc::new(Semaphore::new(0));
    let handlers = || {
        let (dying, gate) = (dying.clone(), dying.clone());
        Handlers::new()
            .with(scripted::<PurgeFinished, _, _>(move |_, _: JobContext| {
                let dying = dying.clone();
                async move {
                    dying.add_permits(1);
                    std::future::pending::<()>().await;
                    Ok(Outcome::Committed)
                }
            }))
            // Neighbours end at once, unless the killer is at work: then they die with it.
            .with(scripted::<SweepDrives, _, _>(move |_, job| {
                let gate = gate.clone();
                async move {
                    if gate.available_permits() > 0 {
                        std::future::pending::<()>().await;
                    }
                    leave_effect(&job).await
                }
            }))
    };
    let config = RuntimeConfig { queues: None, concurrency: 8, lease_seconds: 30 };
    let mut deaths = 0;
    while rig.count("dead").await == 0 {
        assert!(deaths < 12, "the ledger stops it");
        let mut worker = Mortal::born(&rig.place(), handlers(), config.clone());
        within("the killer runs", dying.acquire()).await.expect("open").forget();
        if deaths >= 2 {
            let beside = rig.db.number("SELECT count(*) FROM jobs_live WHERE state = 'running'").await;
            assert_eq!(beside, 1, "a suspect runs alone");
        }
        worker.dies();
        deaths += 1;
        // The lease runs out.
        rig.db
            .execute("UPDATE jobs_live SET lease_expires_at = now() - interval '1 s' WHERE state = 'running'")
            .await;
        eventually("the reaper comes", async || {
            (rig.db.number("SELECT count(*) FROM jobs_live WHERE state = 'running'").await == 0).then_some(())
        })
        .await;
    }
    let dead = rig.db.rows("SELECT id, error_fingerprint FROM dead_letters").await;
    assert_eq!(dead, [json!({ "id": kill.uuid(), "error_fingerprint": "crash_loop" })]);
    let worker = rig.worker_with(effect(), config);
    until(&rig, "succeeded", 30).await;
    assert_eq!(rig.count("scheduled").await, 30);
    let worst = rig.db.number("SELECT max(interruptions) FROM jobs WHERE state = 'succeeded'").await;
    assert!(worst <= 2, "a neighbour was interrupted {worst} times");
    end([worker, scheduler]).await;
}

#[tokio::test]
async fn suspects_run_one_at_a_time_with_nothing_beside_them() {
    let rig = Rig::new().await;
    let (running, beside) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let suspects: Vec<_> = {
        let mut ids = Vec::new();
        for n in 0..40 {
            let id = rig.enqueue(sweep(&rig)).await.id();
            if n % 10 == 3 {
                ids.push(id);
            }
        }
        ids
    };
    for id in &suspects {
        rig.db.execute(&format!("UPDATE jobs_live SET interruptions = 2 WHERE id = '{id}'")).await;
    }
    let (counter, most) = (running.clone(), beside.clone());
    let handlers = Handlers::new().with(scripted::<SweepDrives, _, _>(move |_, job| {
        let (running, beside, suspects) = (counter.clone(), most.clone(), suspects.clone());
        async move {
            running.fetch_add(1, Ordering::SeqCst);
            if suspects.contains(&job.job()) {
                for _ in 0..5 {
                    beside.fetch_max(running.load(Ordering::SeqCst) - 1, Ordering::SeqCst);
                    job.commit(job.begin().await?).await?;
                }
            }
            let done = leave_effect(&job).await;
            running.fetch_sub(1, Ordering::SeqCst);
            done
        }
    }));
    let processes = [rig.scheduler(), rig.worker(handlers)];
    until(&rig, "succeeded", 40).await;
    assert_eq!((rig.count("scheduled").await, beside.load(Ordering::SeqCst)), (40, 0));
    let attempts = rig.db.number("SELECT max(attempt) FROM jobs WHERE state = 'succeeded'").await;
    assert_eq!(attempts, 1, "waiting for its turn spends no attempt");
    end(processes).await;
}

#[tokio::test]
async fn a_deploy_is_not_a_crash() {
    let rig = Rig::new().await;
    let scheduler = rig.scheduler();
    rig.enqueue(sweep(&rig)).await;
    for _ in 0..4 {
        let (held, started, _release) = held_effect();
        let worker = rig.worker(held);
        within("the job starts", started.acquire()).await.expect("open").forget();
        worker.stop().await;
    }
    let left = rig.db.rows("SELECT state, attempt, interruptions FROM jobs_live").await;
    assert_eq!(left, [json!({ "state": "queued", "attempt": 0, "interruptions": 0 })]);
    let worker = rig.worker(effect());
    until(&rig, "succeeded", 1).await;
    end([scheduler, worker]).await;
}
