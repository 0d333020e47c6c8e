//! Workers that are replaced while there is work, and deliveries that nobody holds on to.

use std::time::Instant;

use contracts::bell::decode_all;
use contracts::jobs::Queue;
use job_runtime::RuntimeConfig;
use serde_json::json;
use store::jobs::enqueue_many;
use testkit::{Rig, eventually, within};

use crate::support::{effect, end, held_effect, sweep, until};

fn config(concurrency: u16) -> RuntimeConfig {
    // Far longer than any test waits: nothing here can be the work of the reaper.
    RuntimeConfig { queues: None, concurrency, lease_seconds: 120 }
}

#[tokio::test]
async fn a_job_that_is_handed_back_starts_on_another_worker_without_waiting_for_a_lease() {
    let rig = Rig::new().await;
    let scheduler = rig.scheduler();
    let (held, started, _never) = held_effect();
    rig.enqueue(sweep(&rig).resource("drive:1")).await;
    let first = rig.worker_with(held, config(8));
    within("the job starts", started.acquire()).await.expect("open").forget();
    let (held, again, release) = held_effect();
    let second = rig.worker_with(held, config(8));
    eventually("the second worker is up", async || second.health.ready().then_some(())).await;
    let stopped = Instant::now();
    first.stop().await;
    within("the second worker has it", again.acquire()).await.expect("open").forget();
    eprintln!("handed over in {:?}", stopped.elapsed());
    let row = rig.db.rows("SELECT state, attempt, interruptions, epoch FROM jobs_live").await;
    assert_eq!(row, [json!({ "state": "running", "attempt": 1, "interruptions": 0, "epoch": 3 })]);
    release.add_permits(1);
    until(&rig, "succeeded", 1).await;
    assert_eq!(rig.count("scheduled").await, 1);
    end([scheduler, second]).await;
}

#[tokio::test]
async fn no_delivery_is_held_while_a_job_runs() {
    let rig = Rig::new().await;
    let (broker, process) = rig.bare_broker();
    let publisher = broker.publisher();
    let (held, started, release) = held_effect();
    rig.enqueue(sweep(&rig)).await;
    scheduler::relay::round(&rig.db.store, &publisher).await.expect("a round");
    let worker = rig.worker_with(held, config(1));
    within("the job starts", started.acquire()).await.expect("open").forget();
    // The worker closes its channel while the job runs on: what was not acknowledged comes back now.
    worker.shutdown.begin();
    eventually("the consumer ends", async || {
        worker.tasks.running().iter().all(|(name, _)| *name != "job-consumer").then_some(())
    })
    .await;
    assert_eq!(rig.count("running").await, 1);
    let next = rig.enqueue(sweep(&rig)).await.id();
    scheduler::relay::round(&rig.db.store, &publisher).await.expect("a round");
    let mut consumer = broker.consumer(Queue::Maintenance, 10);
    let delivery = within("a message comes", consumer.next()).await.expect("a delivery");
    let bell = decode_all(delivery.body()).expect("a bell")[0].clone();
    assert_eq!((bell.job_id, delivery.redelivered()), (next.uuid(), false), "the first one was acknowledged");
    release.add_permits(1);
    within("the worker ends", worker.tasks.wait()).await;
    assert_eq!(rig.count("succeeded").await, 1);
    consumer.pause().await;
    end([process]).await;
}

#[tokio::test]
async fn rolling_every_worker_under_load_loses_nothing_and_doubles_nothing() {
    const ROUND: i64 = 500;
    const ROUNDS: i64 = 6;
    let rig = Rig::new().await;
    let scheduler = rig.scheduler();
    let mut workers: Vec<_> = (0..3).map(|_| rig.worker_with(effect(), config(16))).collect();
    for round in 0..ROUNDS {
        let jobs = (0..ROUND).map(|n| {
            let job = sweep(&rig);
            if n % 5 == 0 { job.resource(format!("r{}", n % 50)) } else { job }
        });
        let mut tx = rig.db.store.tenant(rig.company).await.expect("a transaction");
        enqueue_many(&mut tx, jobs.collect()).await.expect("jobs");
        tx.commit().await.expect("a commit");
        eventually("the work goes on", async || {
            (rig.count("succeeded").await >= round * ROUND + 50).then_some(())
        })
        .await;
        // The oldest goes, in its grace or at the end of it.
        let old = workers.remove(0);
        workers.push(rig.worker_with(effect(), config(16)));
        if round % 2 == 0 {
            old.drain().await;
        } else {
            old.stop().await;
        }
    }
    until(&rig, "succeeded", ROUND * ROUNDS).await;
    let causes =
        rig.db.number("SELECT count(DISTINCT requested_by) FROM jobs WHERE state = 'scheduled'").await;
    assert_eq!((rig.count("scheduled").await, causes), (ROUND * ROUNDS, ROUND * ROUNDS));
    let spent = "SELECT attempt, interruptions, errors FROM jobs WHERE attempt > 1 OR interruptions > 0";
    assert_eq!(rig.db.rows(spent).await, Vec::<serde_json::Value>::new(), "no deploy spent an attempt");
    workers.push(scheduler);
    end(workers).await;
}
