//! Workers that stop, leases that end, servers that go away.

use contracts::jobs::{JobPayload, SweepDrives};
use job_runtime::RuntimeConfig;
use serde_json::json;
use testkit::{Rig, eventually, within};

use crate::support::{effect, end, held_effect, sweep, until};

#[tokio::test]
async fn a_stopped_worker_hands_its_job_back_at_once() {
    let rig = Rig::new().await;
    let (held, started, _release) = held_effect();
    rig.enqueue(sweep(&rig).resource("drive:1")).await;
    let (scheduler, first) = (rig.scheduler(), rig.worker(held));
    within("the job starts", started.acquire()).await.expect("open").forget();
    first.stop().await;
    let state = rig.db.rows("SELECT state, attempt, interruptions FROM jobs_live").await;
    assert_eq!(state, [json!({ "state": "queued", "attempt": 0, "interruptions": 0 })]);
    let second = rig.worker(effect());
    until(&rig, "succeeded", 1).await;
    end([scheduler, second]).await;
}

#[tokio::test]
async fn a_draining_worker_finishes_what_it_runs_and_takes_nothing_more() {
    let rig = Rig::new().await;
    let (held, started, release) = held_effect();
    for _ in 0..5 {
        rig.enqueue(sweep(&rig)).await;
    }
    let scheduler = rig.scheduler();
    let worker = rig.worker_with(held, RuntimeConfig { queues: None, concurrency: 2, lease_seconds: 30 });
    within("two jobs start", started.acquire_many(2)).await.expect("open").forget();
    worker.shutdown.begin();
    release.add_permits(2);
    within("the worker drains", worker.tasks.wait()).await;
    assert_eq!((rig.count("succeeded").await, rig.count("queued").await), (2, 3));
    let second = rig.worker(effect());
    until(&rig, "succeeded", 5).await;
    end([scheduler, second]).await;
}

#[tokio::test]
async fn a_lost_message_is_rung_again() {
    let rig = Rig::new().await;
    let job = rig.enqueue(sweep(&rig)).await.id();
    // Confirmed, and then gone with the broker's disk.
    rig.db.execute("DELETE FROM outbox").await;
    let processes = [rig.scheduler(), rig.worker(effect())];
    until(&rig, "succeeded", 1).await;
    assert_eq!(
        rig.db.rows("SELECT id FROM jobs WHERE state = 'succeeded'").await,
        [json!({ "id": job.uuid() })]
    );
    end(processes).await;
}

#[tokio::test]
async fn a_job_that_was_taken_over_stops_its_handler_and_writes_nothing() {
    let rig = Rig::new().await;
    let (held, started, release) = held_effect();
    rig.enqueue(sweep(&rig)).await;
    let (scheduler, zombie) = (rig.scheduler(), rig.worker(held));
    within("the job starts", started.acquire()).await.expect("open").forget();
    // As if the machine had been suspended until the reaper came.
    rig.db.execute("UPDATE jobs_live SET lease_expires_at = now() - interval '1 second'").await;
    eventually("the reaper takes it back", async || {
        (rig.db.number("SELECT count(*) FROM jobs_live WHERE interruptions = 1").await == 1).then_some(())
    })
    .await;
    // Let go only now: whichever attempt runs, one effect remains.
    release.add_permits(2);
    until(&rig, "succeeded", 1).await;
    end([scheduler, zombie]).await;
    assert_eq!(rig.count("scheduled").await, 1);
}

#[tokio::test]
async fn a_full_worker_gives_bells_back_to_one_that_has_room() {
    let rig = Rig::new().await;
    let (broker, process) = rig.bare_broker();
    let publisher = broker.publisher();
    let (held, started, release) = held_effect();
    let full = rig.worker_with(held, RuntimeConfig { queues: None, concurrency: 1, lease_seconds: 30 });
    rig.enqueue(sweep(&rig)).await;
    scheduler::relay::round(&rig.db.store, &publisher).await.expect("a round");
    within("the first job starts", started.acquire()).await.expect("open").forget();
    for _ in 0..5 {
        rig.enqueue(sweep(&rig)).await;
    }
    // No scheduler: nobody rings again.
    scheduler::relay::round(&rig.db.store, &publisher).await.expect("a round");
    let free = rig.worker(effect());
    until(&rig, "succeeded", 5).await;
    release.add_permits(1);
    until(&rig, "succeeded", 6).await;
    end([full, free, process]).await;
}

#[tokio::test]
async fn a_finished_job_is_concluded_when_the_database_comes_back() {
    let rig = Rig::new().await;
    let (proxy, _to_broker, place) = rig.proxied().await;
    let (held, started, release) = held_effect();
    rig.enqueue(sweep(&rig)).await;
    let scheduler = rig.scheduler();
    let config = RuntimeConfig { queues: None, concurrency: 8, lease_seconds: 30 };
    let worker = place.worker(held, config);
    within("the job starts", started.acquire()).await.expect("open").forget();
    proxy.close();
    release.add_permits(10);
    // Bells that come meanwhile wait for the database, in this worker or at the broker.
    for _ in 0..5 {
        rig.enqueue(sweep(&rig)).await;
    }
    eventually("the worker says that the database is away", async || (!worker.health.ready()).then_some(()))
        .await;
    proxy.open();
    until(&rig, "succeeded", 6).await;
    assert_eq!(rig.count("scheduled").await, 6);
    let kind = SweepDrives::KIND;
    let interrupted =
        rig.db.number(&format!("SELECT sum(interruptions) FROM jobs WHERE kind = '{kind}'")).await;
    assert_eq!(interrupted, 0, "nobody had to take a job over");
    end([scheduler, worker]).await;
}

#[tokio::test]
async fn jobs_go_on_through_the_loss_of_every_message() {
    let rig = Rig::new().await;
    for _ in 0..50 {
        rig.enqueue(sweep(&rig)).await;
    }
    let scheduler = rig.scheduler();
    eventually("every bell is rung", async || {
        (rig.db.number("SELECT count(*) FROM outbox").await == 0).then_some(())
    })
    .await;
    let (broker, process) = rig.bare_broker();
    broker.delete_topology().await.expect("the broker is wiped");
    let worker = rig.worker(effect());
    until(&rig, "succeeded", 50).await;
    assert_eq!(rig.count("scheduled").await, 50);
    end([scheduler, worker, process]).await;
}
