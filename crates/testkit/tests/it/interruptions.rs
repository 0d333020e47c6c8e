//! Workers that stop, leases that end, servers that go away.

use std::sync::Arc;

use contracts::jobs::{JobPayload, SweepDrives};
use job_runtime::{Handlers, JobContext, Outcome, RuntimeConfig};
use serde_json::json;
use testkit::{Rig, eventually, scripted, within};
use tokio::sync::Semaphore;

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
async fn one_beat_keeps_the_leases_of_all_running_jobs() {
    let rig = Rig::new().await;
    let (held, started, release) = held_effect();
    for n in 0..3 {
        rig.enqueue(sweep(&rig).resource(format!("r{n}"))).await;
    }
    let processes = [rig.scheduler(), rig.worker(held)];
    within("the jobs start", started.acquire_many(3)).await.expect("open").forget();
    rig.db.execute("CREATE TABLE granted AS SELECT max(lease_expires_at) AS until FROM jobs_live").await;
    // Longer than the first lease lasted, all by the same statements.
    eventually("the leases are extended", async || {
        let extended = "SELECT count(DISTINCT lease_expires_at) AS beats, min(lease_expires_at) >
                (SELECT until + interval '5 seconds' FROM granted) AS later, count(*) AS running
            FROM jobs_live WHERE state = 'running'";
        let row = rig.db.rows(extended).await.pop()?;
        (row == json!({ "beats": 1, "later": true, "running": 3 })).then_some(())
    })
    .await;
    let behind = "SELECT count(*) FROM resource_leases r JOIN jobs_live j ON j.id = r.job_id
        WHERE r.expires_at <> j.lease_expires_at";
    assert_eq!(rig.db.number(behind).await, 0, "resources are held as long as their jobs");
    release.add_permits(3);
    until(&rig, "succeeded", 3).await;
    let counted = rig.db.rows("SELECT max(attempt) AS a, max(interruptions) AS i FROM jobs").await;
    assert_eq!(counted, [json!({ "a": 1, "i": 0 })]);
    end(processes).await;
}

#[tokio::test]
async fn a_worker_that_cannot_renew_its_lease_stops_before_another_takes_the_job() {
    let rig = Rig::new().await;
    let (proxy, _to_broker, place) = rig.proxied().await;
    let dropped = Arc::new(Semaphore::new(0));
    let (started, stopped) = (Arc::new(Semaphore::new(0)), dropped.clone());
    let entered = started.clone();
    let handlers = Handlers::new().with(scripted::<SweepDrives, _, _>(move |_, _job: JobContext| {
        let (entered, stopped) = (entered.clone(), OnDrop(stopped.clone()));
        async move {
            let _stopped = stopped;
            entered.add_permits(1);
            std::future::pending::<()>().await;
            Ok(Outcome::Committed)
        }
    }));
    rig.enqueue(sweep(&rig)).await;
    let scheduler = rig.scheduler();
    let cut_off = place.worker(handlers, RuntimeConfig { queues: None, concurrency: 1, lease_seconds: 12 });
    within("the job starts", started.acquire()).await.expect("open").forget();
    proxy.close();
    within("the attempt stops by itself", dropped.acquire()).await.expect("open").forget();
    assert_eq!(rig.count("running").await, 1, "nobody had taken the job over yet");
    let second = rig.worker(effect());
    until(&rig, "succeeded", 1).await;
    assert_eq!((rig.count("scheduled").await, started.available_permits()), (1, 0));
    proxy.open();
    end([scheduler, cut_off, second]).await;
}

/// Says when it is dropped.
struct OnDrop(Arc<Semaphore>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
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
