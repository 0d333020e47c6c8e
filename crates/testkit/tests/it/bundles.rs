//! Messages that ring for several jobs.

use broker::{Broker, Fate, Outgoing};
use chassis::trace::TraceContext;
use contracts::bell::{Bell, encode_all};
use contracts::jobs::Queue;
use job_runtime::RuntimeConfig;
use testkit::{Rig, eventually, within};
use uuid::Uuid;

use crate::support::{effect, end, held_effect, sweep, until};

/// As many queued jobs as asked for, whose bells are in one message.
async fn bundle(rig: &Rig, broker: &Broker, number: usize) -> Vec<Uuid> {
    let mut jobs = Vec::with_capacity(number);
    for _ in 0..number {
        jobs.push(rig.enqueue(sweep(rig)).await.id().uuid());
    }
    rig.db.execute("DELETE FROM outbox").await;
    let company_id = rig.company.uuid();
    let bells: Vec<Bell> = jobs.iter().map(|job_id| Bell { job_id: *job_id, epoch: 0, company_id }).collect();
    let message = Outgoing {
        message_id: "bundle".to_owned(),
        routing_key: "maintenance.sweep_drives".to_owned(),
        body: encode_all(&bells),
        trace: TraceContext::default(),
        company: company_id,
    };
    let publisher = broker.publisher();
    eventually("the message is confirmed", async || {
        (publisher.publish_batch(std::slice::from_ref(&message)).await.ok()? == [Fate::Confirmed])
            .then_some(())
    })
    .await;
    jobs
}

fn config(concurrency: u16) -> RuntimeConfig {
    RuntimeConfig { queues: None, concurrency, lease_seconds: 30 }
}

#[tokio::test]
async fn workers_with_few_places_share_a_message() {
    let rig = Rig::new().await;
    let (broker, process) = rig.bare_broker();
    bundle(&rig, &broker, 5).await;
    let (handlers, started, release) = held_effect();
    let small = rig.worker_with(handlers.clone(), config(2));
    within("two start", started.acquire_many(2)).await.expect("open").forget();
    // The rest waits for nobody: it is rung again, and the message is gone.
    eventually("the rest is rung again", async || {
        (rig.db.number("SELECT count(*) FROM outbox").await == 3).then_some(())
    })
    .await;
    let scheduler = rig.trusting_scheduler();
    let large = rig.worker_with(handlers, config(3));
    within("the others start", started.acquire_many(3)).await.expect("open").forget();
    release.add_permits(5);
    until(&rig, "succeeded", 5).await;
    assert_eq!(rig.count("scheduled").await, 5, "one effect each");
    assert_eq!(broker.depths().of(Queue::Maintenance).await.expect("an answer").ready, 0);
    end([small, large, scheduler, process]).await;
}

#[tokio::test]
async fn a_dead_message_is_kept_for_each_job_that_it_leaves_waiting() {
    let rig = Rig::new().await;
    let (broker, process) = rig.bare_broker();
    let jobs = bundle(&rig, &broker, 3).await;
    rig.db.execute(&format!("UPDATE jobs_live SET epoch = 1 WHERE id = '{}'", jobs[1])).await;
    let mut victim = broker.consumer(Queue::Maintenance, 4);
    assert!(within("the message", victim.next()).await.expect("not draining").reject().await);
    victim.pause().await;
    let scheduler = rig.trusting_scheduler();
    eventually("a row each", async || {
        (rig.db.number("SELECT count(*) FROM broker_dead_letters").await == 2).then_some(())
    })
    .await;
    let kept = format!(
        "SELECT count(*) FROM broker_dead_letters WHERE job_id IN ('{}', '{}') AND reason = 'rejected'",
        jobs[0], jobs[2]
    );
    assert_eq!(rig.db.number(&kept).await, 2, "the other had been claimed");
    let worker = rig.worker(effect());
    until(&rig, "succeeded", 2).await;
    assert_eq!(rig.count("queued").await, 1);
    end([worker, scheduler, process]).await;
}

#[tokio::test]
async fn a_message_of_nothing_or_of_too_much_is_a_dead_letter() {
    let rig = Rig::new().await;
    let (broker, process) = rig.bare_broker();
    let worker = rig.worker(effect());
    let publisher = broker.publisher();
    for (at, body) in
        [b"[]".to_vec(), b"[{}]".to_vec(), encode_all(&vec![bell(); 33])].into_iter().enumerate()
    {
        let message = Outgoing {
            message_id: format!("m{at}"),
            routing_key: "maintenance.sweep_drives".to_owned(),
            body,
            trace: TraceContext::default(),
            company: rig.company.uuid(),
        };
        eventually("the message is confirmed", async || {
            let fates = publisher.publish_batch(std::slice::from_ref(&message)).await.ok()?;
            (fates == [Fate::Confirmed]).then_some(())
        })
        .await;
    }
    let scheduler = rig.trusting_scheduler();
    eventually("all are archived", async || {
        (rig.db.number("SELECT count(*) FROM broker_dead_letters").await == 3).then_some(())
    })
    .await;
    end([worker, scheduler, process]).await;
}

fn bell() -> Bell {
    Bell { job_id: Uuid::nil(), epoch: 0, company_id: Uuid::nil() }
}
