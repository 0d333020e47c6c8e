//! Operators' switches, obeyed by workers, the public door and retention.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chassis::time::SystemClock;
use chrono::{DateTime, TimeDelta, Utc};
use contracts::jobs::{PullCalendar, PushCalendar, SendMessage, SyncDrive, SyncMode, Trigger};
use domain::flags::{Away, Flag};
use domain::time::Clock;
use job_runtime::{Handlers, Outcome};
use serde_json::json;
use store::flags;
use store::jobs::NewJob;
use testkit::{Rig, eventually, scripted};

use crate::support::{end, until};

pub async fn throw(
    store: &store::Store,
    company: domain::ids::CompanyId,
    flag: Flag,
    end: Option<DateTime<Utc>>,
) {
    let away = Away { reason: "a test".to_owned(), until: end };
    let mut tx = store.tenant(company).await.expect("a transaction");
    flags::put_away(&mut tx, company, flag, &away, "test").await.expect("a switch");
    tx.commit().await.expect("a commit");
}

async fn back(rig: &Rig, flag: Flag) {
    let mut tx = rig.db.store.tenant(rig.company).await.expect("a transaction");
    assert!(flags::put_back(&mut tx, rig.company, flag).await.expect("a switch"));
    tx.commit().await.expect("a commit");
}

fn push(rig: &Rig) -> NewJob {
    let payload = PushCalendar { connection_id: rig.company.uuid() };
    NewJob::new(rig.company, &payload, "test").expect("a payload").dedupe("calendar.push")
}

fn pull(rig: &Rig) -> NewJob {
    let connection_id = rig.company.uuid();
    let payload =
        PullCalendar { connection_id, trigger: Trigger::Sweep, full: false, approved_removals: None };
    NewJob::new(rig.company, &payload, "test").expect("a payload")
}

fn send(rig: &Rig) -> NewJob {
    NewJob::new(rig.company, &SendMessage { outbox_id: rig.company.uuid() }, "test").expect("a payload")
}

fn drive(rig: &Rig) -> NewJob {
    let payload = SyncDrive {
        drive_id: "b!d".to_owned(),
        mode: SyncMode::Delta,
        trigger: Trigger::Manual,
        dry_run: false,
        approved_removals: None,
    };
    NewJob::new(rig.company, &payload, "test").expect("a payload")
}

/// Handlers that end at once, and count.
fn handlers(runs: &Arc<AtomicUsize>) -> Handlers {
    let done = || {
        let runs = runs.clone();
        move || {
            runs.fetch_add(1, Ordering::SeqCst);
            Ok(Outcome::Done(json!(null)))
        }
    };
    let (one, two, three, four) = (done(), done(), done(), done());
    Handlers::new()
        .with(scripted::<PushCalendar, _, _>(move |_, _| std::future::ready(one())))
        .with(scripted::<PullCalendar, _, _>(move |_, _| std::future::ready(two())))
        .with(scripted::<SendMessage, _, _>(move |_, _| std::future::ready(three())))
        .with(scripted::<SyncDrive, _, _>(move |_, _| std::future::ready(four())))
}

#[tokio::test]
async fn what_is_written_outwards_waits_until_the_switch_is_back() {
    let rig = Rig::new().await;
    throw(&rig.db.store, rig.company, Flag::OutwardWrites, None).await;
    let runs = Arc::new(AtomicUsize::new(0));
    let processes = [rig.scheduler(), rig.worker(handlers(&runs))];
    for job in [push(&rig), send(&rig), pull(&rig), drive(&rig)] {
        rig.enqueue(job).await;
    }
    until(&rig, "parked", 2).await;
    until(&rig, "succeeded", 2).await;
    let held = "SELECT kind, park_reason, errors -> -1 ->> 'message' AS said FROM jobs_live ORDER BY kind";
    let said = "the switch outward_writes holds it: a test";
    let expected = |kind: &str| json!({ "kind": kind, "park_reason": "flag", "said": said });
    assert_eq!(rig.db.rows(held).await, [expected("calendar.push"), expected("messages.send")]);

    // Whoever asks again while it is held does not wake it; the end of the switch does.
    rig.enqueue(push(&rig)).await;
    assert_eq!((rig.count("parked").await, runs.load(Ordering::SeqCst)), (2, 2));
    back(&rig, Flag::OutwardWrites).await;
    until(&rig, "succeeded", 4).await;
    assert_eq!(runs.load(Ordering::SeqCst), 4);
    end(processes).await;
}

#[tokio::test]
async fn a_forced_breaker_ends_by_itself_and_leaves_a_record() {
    let rig = Rig::new().await;
    let soon = SystemClock.now() + TimeDelta::seconds(6);
    throw(&rig.db.store, rig.company, Flag::BreakerGoogle, Some(soon)).await;
    throw(&rig.db.store, rig.company, Flag::ConnectorOneDrive, None).await;
    let runs = Arc::new(AtomicUsize::new(0));
    let processes = [rig.scheduler(), rig.worker(handlers(&runs))];
    rig.enqueue(pull(&rig)).await;
    rig.enqueue(drive(&rig)).await;
    until(&rig, "parked", 2).await;
    until(&rig, "succeeded", 1).await;
    assert_eq!(rig.db.rows("SELECT kind FROM jobs_live").await, [json!({ "kind": "documents.sync_drive" })]);
    let recorded =
        "SELECT actor, resource, details ->> 'was_for' AS was FROM audit_events WHERE action = 'flag.expire'";
    assert_eq!(
        rig.db.rows(recorded).await,
        [json!({ "actor": "scheduler", "resource": "flag:breaker.google", "was": "a test" })]
    );
    assert_eq!(rig.db.number("SELECT count(*) FROM operator_flags").await, 1);
    end(processes).await;
}

#[tokio::test]
async fn a_run_that_is_under_way_stops_at_its_next_checkpoint() {
    let rig = Rig::new().await;
    let handlers = Handlers::new().with(scripted::<SyncDrive, _, _>(async |_, job| {
        job.draining().cancelled().await;
        Ok(Outcome::HandBack)
    }));
    let processes = [rig.scheduler(), rig.worker(handlers)];
    rig.enqueue(drive(&rig)).await;
    until(&rig, "running", 1).await;
    throw(&rig.db.store, rig.company, Flag::ConnectorOneDrive, None).await;
    until(&rig, "parked", 1).await;
    end(processes).await;
}

#[tokio::test]
async fn a_run_that_does_not_stop_is_stopped() {
    let rig = Rig::new().await;
    let handlers = Handlers::new().with(scripted::<SyncDrive, _, _>(async |_, _| {
        std::future::pending::<()>().await;
        Ok(Outcome::HandBack)
    }));
    let processes = [rig.scheduler(), rig.worker(handlers)];
    rig.enqueue(drive(&rig)).await;
    until(&rig, "running", 1).await;
    throw(&rig.db.store, rig.company, Flag::ConnectorOneDrive, None).await;
    until(&rig, "parked", 1).await;
    end(processes).await;
}

#[tokio::test]
async fn a_parked_job_that_a_late_worker_held_is_found() {
    let rig = Rig::new().await;
    let runs = Arc::new(AtomicUsize::new(0));
    rig.enqueue(push(&rig)).await;
    // As a worker leaves it that had not seen that the switch is back.
    rig.db
        .execute("UPDATE jobs_live SET state = 'parked', park_reason = 'flag', queued_at = NULL; DELETE FROM outbox")
        .await;
    let processes = [rig.scheduler(), rig.worker(handlers(&runs))];
    let released = async || (runs.load(Ordering::SeqCst) == 1).then_some(());
    eventually("the job goes on", released).await;
    end(processes).await;
}
