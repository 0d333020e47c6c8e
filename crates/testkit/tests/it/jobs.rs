//! Jobs end to end: outbox, relay, broker, worker, ledger.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use broker::{Fate, Outgoing};
use chassis::trace::TraceContext;
use contracts::jobs::{PurgeFinished, SweepDrives, Trigger};
use domain::retry::ParkReason;
use job_runtime::{Handlers, JobError, Outcome};
use serde_json::json;
use store::jobs::NewJob;
use testkit::{Rig, eventually, scripted, within};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::support::{effect, end, sweep, until};

#[tokio::test]
async fn every_job_has_its_effect_once_with_two_schedulers_and_two_workers() {
    let rig = Rig::new().await;
    for n in 0..300 {
        let job = sweep(&rig).resource(format!("r{}", n % 40));
        rig.enqueue(job).await;
    }
    let processes = [rig.scheduler(), rig.scheduler(), rig.worker(effect()), rig.worker(effect())];
    until(&rig, "succeeded", 300).await;
    let causes =
        rig.db.number("SELECT count(DISTINCT requested_by) FROM jobs WHERE state = 'scheduled'").await;
    assert_eq!((rig.count("scheduled").await, causes), (300, 300));
    assert_eq!(rig.db.number("SELECT count(*) FROM resource_leases").await, 0);
    eventually("the outbox is empty", async || {
        (rig.db.number("SELECT count(*) FROM outbox").await == 0).then_some(())
    })
    .await;
    end(processes).await;
}

#[tokio::test]
async fn a_bell_that_no_queue_takes_stays_in_the_outbox() {
    let rig = Rig::new().await;
    rig.enqueue(sweep(&rig)).await;
    rig.db.execute("UPDATE outbox SET routing_key = 'nowhere.at_all'").await;
    let (broker, process) = rig.bare_broker();
    let round = scheduler::relay::round(&rig.db.store, &broker.publisher()).await.expect("a round");
    assert_eq!((round.confirmed, round.put_back, round.returned), (0, 1, 1));
    let back = rig.db.number("SELECT count(*) FROM outbox WHERE refusals = 1 AND not_before > now()").await;
    assert_eq!(back, 1);
    rig.db.execute("UPDATE outbox SET routing_key = 'maintenance.sweep_drives', not_before = NULL").await;
    let round = scheduler::relay::round(&rig.db.store, &broker.publisher()).await.expect("a round");
    assert_eq!((round.confirmed, round.put_back), (1, 0));
    end([process]).await;
}

#[tokio::test]
async fn one_resource_runs_one_job_at_a_time_in_order() {
    let rig = Rig::new().await;
    let (running, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let handlers = || {
        let (running, most) = (running.clone(), most.clone());
        Handlers::new().with(scripted::<SweepDrives, _, _>(move |_, job| {
            let (running, most) = (running.clone(), most.clone());
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let tx = job.begin().await?;
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::SeqCst);
                job.commit_done(tx, &json!(null)).await
            }
        }))
    };
    for _ in 0..30 {
        rig.enqueue(sweep(&rig).resource("drive:1")).await;
    }
    let processes = [rig.scheduler(), rig.worker(handlers()), rig.worker(handlers())];
    until(&rig, "succeeded", 30).await;
    assert_eq!(most.load(Ordering::SeqCst), 1);
    let order = rig
        .db
        .number(
            "SELECT count(*) FROM (SELECT seq, lag(seq) OVER (ORDER BY finished_at, seq) AS before
             FROM jobs WHERE state = 'succeeded') o WHERE before > seq",
        )
        .await;
    assert_eq!(order, 0, "inversions");
    end(processes).await;
}

#[tokio::test]
async fn failures_are_retried_parked_or_buried_as_they_say() {
    let rig = Rig::new().await;
    let handlers =
        Handlers::new().with(scripted::<SweepDrives, _, _>(async |payload: SweepDrives, job| match payload
            .trigger
        {
            Trigger::Manual if job.attempt() == 1 => panic!("on purpose"),
            Trigger::Manual if job.attempt() == 2 => {
                Err(JobError::retry("flaky", "second").because(std::io::Error::other("cause")))
            }
            Trigger::Manual => Ok(Outcome::Done(json!({ "attempts": job.attempt() }))),
            Trigger::Webhook => Err(JobError::park(ParkReason::Consent, "consent", "no consent")),
            Trigger::Schedule => Err(JobError::fail("never", "not possible")),
            Trigger::Sweep => Err(JobError::retry("always", "fails always")),
        }));
    for trigger in [Trigger::Manual, Trigger::Webhook, Trigger::Schedule, Trigger::Sweep] {
        let mut job = NewJob::new(rig.company, &SweepDrives { trigger }, "test").expect("a payload");
        job.max_attempts = 3;
        rig.enqueue(job).await;
    }
    let mut unknown = sweep(&rig);
    unknown.version = 99;
    rig.enqueue(unknown).await;
    let mut malformed = sweep(&rig);
    malformed.payload = json!({ "trigger": "nobody" });
    rig.enqueue(malformed).await;
    let nobody = NewJob::new(rig.company, &PurgeFinished { tombstone_days: 1 }, "test").expect("a payload");
    rig.enqueue(nobody).await;
    let processes = [rig.scheduler(), rig.worker(handlers)];
    until(&rig, "succeeded", 1).await;
    until(&rig, "dead", 3).await;
    until(&rig, "parked", 3).await;
    let done = rig.db.rows("SELECT result, errors FROM jobs WHERE state = 'succeeded'").await;
    assert_eq!(done[0]["result"], json!({ "attempts": 3 }));
    assert_eq!(
        (&done[0]["errors"][0]["code"], &done[0]["errors"][1]["code"]),
        (&json!("panic"), &json!("flaky"))
    );
    assert!(!done[0]["errors"][0]["chain"][0].as_str().expect("a backtrace").is_empty());
    assert_eq!(done[0]["errors"][1]["chain"], json!(["cause"]));
    let parked = rig.db.rows("SELECT park_reason, errors -> -1 ->> 'code' AS code FROM jobs_live WHERE state = 'parked' ORDER BY 2").await;
    assert_eq!(
        parked,
        [
            json!({ "park_reason": "consent", "code": "consent" }),
            json!({ "park_reason": "unknown_kind", "code": "unknown_kind" }),
            json!({ "park_reason": "unknown_kind", "code": "unknown_version" }),
        ]
    );
    let dead =
        rig.db.rows("SELECT attempt, last_error ->> 'code' AS code FROM dead_letters ORDER BY 2").await;
    assert_eq!(
        dead,
        [
            json!({ "attempt": 3, "code": "always" }),
            json!({ "attempt": 1, "code": "malformed_payload" }),
            json!({ "attempt": 1, "code": "never" }),
        ]
    );
    end(processes).await;
}

#[tokio::test]
async fn retry_after_is_respected() {
    let rig = Rig::new().await;
    let handlers = Handlers::new().with(scripted::<SweepDrives, _, _>(async |_, _| {
        Err(JobError::retry_after(Duration::from_mins(10), "throttled", "later"))
    }));
    rig.enqueue(sweep(&rig)).await;
    let processes = [rig.scheduler(), rig.worker(handlers)];
    until(&rig, "retrying", 1).await;
    let early =
        rig.db.number("SELECT count(*) FROM jobs_live WHERE run_at < now() + interval '9 minutes'").await;
    assert_eq!(early, 0);
    end(processes).await;
}

#[tokio::test]
async fn cancellation_reaches_a_running_job() {
    let rig = Rig::new().await;
    let started = Arc::new(Semaphore::new(0));
    let handlers = {
        let started = started.clone();
        Handlers::new().with(scripted::<SweepDrives, _, _>(move |_, job| {
            let started = started.clone();
            async move {
                started.add_permits(1);
                job.cancelled().cancelled().await;
                Err(JobError::cancelled())
            }
        }))
    };
    let job = rig.enqueue(sweep(&rig)).await.id();
    let processes = [rig.scheduler(), rig.worker(handlers)];
    drop(within("the job starts", started.acquire()).await);
    let mut tx = rig.db.store.tenant(rig.company).await.expect("a transaction");
    let over = store::jobs::request_cancel(&mut tx, rig.company, job, "me").await.expect("asked");
    tx.commit().await.expect("a commit");
    assert_eq!(over, Some(false));
    until(&rig, "cancelled", 1).await;
    end(processes).await;
}

#[tokio::test]
async fn a_message_that_is_no_bell_is_archived_with_body_and_headers() {
    let rig = Rig::new().await;
    let processes = [rig.scheduler(), rig.worker(effect())];
    let (broker, process) = rig.bare_broker();
    let publisher = broker.publisher();
    let garbage = Outgoing {
        message_id: "garbage".to_owned(),
        routing_key: "maintenance.garbage".to_owned(),
        body: b"not a bell".to_vec(),
        trace: TraceContext::default(),
        company: Uuid::nil(),
    };
    assert_eq!(publisher.publish_batch(&[garbage]).await.expect("a channel"), [Fate::Confirmed]);
    let archived = eventually("the message is archived", async || {
        let rows =
            "SELECT routing_key, reason, encode(body, 'escape') AS body, headers FROM broker_dead_letters";
        rig.db.rows(rows).await.pop()
    })
    .await;
    assert_eq!(
        (&archived["routing_key"], &archived["reason"], &archived["body"]),
        (&json!("maintenance.garbage"), &json!("rejected"), &json!("not a bell"))
    );
    assert_eq!(archived["headers"]["x-death"][0]["count"], 1);
    // Others are not held up by it.
    rig.enqueue(sweep(&rig)).await;
    until(&rig, "succeeded", 1).await;
    end(processes).await;
    end([process]).await;
}
