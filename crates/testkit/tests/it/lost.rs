//! Messages that the broker lost are found by comparing it with the ledger; those that it holds are left alone.

use broker::{Broker, Depths};
use contracts::jobs::{Queue, SyncAo, Trigger};
use store::jobs::NewJob;
use testkit::meter::meter;
use testkit::{Rig, eventually, within};

use crate::support::{effect, end, sweep, until};

fn document(rig: &Rig, n: usize) -> NewJob {
    let payload = SyncAo { ao_id: format!("ao-{n}"), force: false, trigger: Trigger::Manual, dry_run: false };
    NewJob::new(rig.company, &payload, "test").expect("a payload")
}

async fn holds(depths: &Depths, queue: Queue, number: usize) {
    eventually(&format!("{} holds {number} messages", queue.name()), async || {
        (depths.of(queue).await.ok()?.ready == number).then_some(())
    })
    .await;
}

/// Takes messages off the queue without doing anything about them.
async fn lose(broker: &Broker, number: usize) {
    let mut thief = broker.consumer(Queue::Maintenance, 1);
    for _ in 0..number {
        let stolen = within("a bell", thief.next()).await.expect("not draining");
        assert!(stolen.ack().await);
    }
    thief.pause().await;
}

const MAINTENANCE: &[&str] = &[r#"queue="jobs.maintenance""#];
const DOCUMENTS: &[&str] = &[r#"queue="jobs.documents""#];

#[tokio::test]
async fn a_purged_queue_is_filled_again_and_one_that_merely_waits_is_not() {
    meter("bells_lost_total", &[]);
    let rig = Rig::new().await;
    for n in 0..50 {
        rig.enqueue(document(&rig, n)).await;
    }
    for _ in 0..20 {
        rig.enqueue(sweep(&rig)).await;
    }
    let (broker, process) = rig.bare_broker();
    let (scheduler, depths) = (rig.scheduler(), broker.depths());
    holds(&depths, Queue::Maintenance, 20).await;
    holds(&depths, Queue::Documents, 50).await;
    for round in 1..=3_u32 {
        assert_eq!(broker.purge(Queue::Maintenance).await.expect("purged"), 20, "none is doubled");
        holds(&depths, Queue::Maintenance, 20).await;
        assert!((meter("bells_lost_total", MAINTENANCE) - 20.0 * f64::from(round)).abs() < 0.1);
    }
    // They have waited as long, through as many looks, and their bells are there.
    holds(&depths, Queue::Documents, 50).await;
    assert!(meter("bells_lost_total", DOCUMENTS) < 0.1 && meter("jobs_unexplained", DOCUMENTS) < 0.1);
    let worker = rig.worker(effect());
    until(&rig, "succeeded", 20).await;
    end([scheduler, worker, process]).await;
}

#[tokio::test]
async fn some_lost_messages_among_others_are_found() {
    meter("bells_lost_total", &[]);
    let rig = Rig::new().await;
    for _ in 0..30 {
        rig.enqueue(sweep(&rig)).await;
    }
    let (broker, process) = rig.bare_broker();
    let (scheduler, depths) = (rig.scheduler(), broker.depths());
    holds(&depths, Queue::Maintenance, 30).await;
    lose(&broker, 7).await;
    // As many bells as jobs again.
    holds(&depths, Queue::Maintenance, 30).await;
    let worker = rig.worker(effect());
    until(&rig, "succeeded", 30).await;
    assert_eq!(rig.count("scheduled").await, 30, "each ran once");
    assert!(meter("bells_lost_total", MAINTENANCE) >= 7.0);
    end([scheduler, worker, process]).await;
}
