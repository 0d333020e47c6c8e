//! The ledger by itself: what commits together, what coalesces, what is fenced.

use chassis::ids::new_id;
use contracts::jobs::{SweepDrives, Trigger};
use domain::ids::{CompanyId, JobId};
use store::jobs::{
    ClaimOutcome, Enqueued, Failure, Fence, NewJob, claim, enqueue, hand_back, heartbeat, hold, park,
    reap_expired, retry, succeed,
};
use store::{Store, StoreError};
use testkit::{TestDb, eventually, fresh_database};

fn sweep(company: CompanyId) -> NewJob {
    NewJob::new(company, &SweepDrives { trigger: Trigger::Manual }, "test").expect("a payload")
}

async fn put(store: &Store, company: CompanyId, job: NewJob) -> Enqueued {
    let mut tx = store.tenant(company).await.expect("a transaction");
    let enqueued = enqueue(&mut tx, job).await.expect("a job");
    tx.commit().await.expect("a commit");
    enqueued
}

async fn try_claim(store: &Store, company: CompanyId, job: JobId, epoch: i64, lease: i32) -> ClaimOutcome {
    let mut tx = store.tenant(company).await.expect("a transaction");
    let outcome = claim(&mut tx, company, job, epoch, new_id(), lease).await.expect("an answer");
    tx.commit().await.expect("a commit");
    outcome
}

async fn claimed(store: &Store, company: CompanyId, job: JobId, epoch: i64, lease: i32) -> Fence {
    match try_claim(store, company, job, epoch, lease).await {
        ClaimOutcome::Claimed(claim) => claim.fence,
        other => panic!("not claimed: {other:?}"),
    }
}

/// Re-queues expired leases until this job is among them.
async fn reaped(db: &TestDb, job: JobId) {
    eventually("the lease is reaped", async || {
        let mut tx = db.store.dispatch().await.expect("a transaction");
        let reaped = reap_expired(&mut tx, 10, 3, 10).await.expect("a reaper");
        tx.commit().await.expect("a commit");
        reaped.iter().any(|r| r.job_id == job.uuid()).then_some(())
    })
    .await;
}

fn failure() -> Failure {
    Failure { code: "x".into(), message: "x".into(), chain: Vec::new(), fingerprint: "x".into() }
}

#[tokio::test]
async fn a_rolled_back_enqueue_leaves_nothing() {
    let db = fresh_database().await;
    let company = db.company().await;
    let mut tx = db.store.tenant(company).await.expect("a transaction");
    enqueue(&mut tx, sweep(company)).await.expect("a job");
    tx.rollback().await.expect("a rollback");
    assert_eq!(db.number("SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM outbox)").await, 0);
}

#[tokio::test]
async fn requests_coalesce_and_a_running_job_gets_exactly_one_follow_up() {
    let db = fresh_database().await;
    let company = db.company().await;
    let first = put(&db.store, company, sweep(company).dedupe("k")).await;
    assert_eq!(put(&db.store, company, sweep(company).dedupe("k")).await, Enqueued::Coalesced(first.id()));
    let fence = claimed(&db.store, company, first.id(), 0, 30).await;
    let follow_up = put(&db.store, company, sweep(company).dedupe("k")).await;
    assert!(matches!(follow_up, Enqueued::New(id) if id != first.id()));
    assert_eq!(
        put(&db.store, company, sweep(company).dedupe("k")).await,
        Enqueued::Coalesced(follow_up.id())
    );
    // The first fails and will do the work again: the follow-up folds into it.
    let mut tx = db.store.tenant(company).await.expect("a transaction");
    retry(&mut tx, &fence, 1, std::time::Duration::ZERO, &failure()).await.expect("a retry");
    tx.commit().await.expect("a commit");
    let states = db.rows("SELECT state, count(*) AS n FROM jobs GROUP BY state ORDER BY state").await;
    assert_eq!(states[0]["state"], "cancelled");
    assert_eq!((states.len(), &states[1]["state"]), (2, &serde_json::json!("retrying")));
}

#[tokio::test]
async fn a_request_for_a_parked_job_tries_it_again() {
    let db = fresh_database().await;
    let company = db.company().await;
    let job = put(&db.store, company, sweep(company).dedupe("k")).await.id();
    let fence = claimed(&db.store, company, job, 0, 30).await;
    let mut tx = db.store.tenant(company).await.expect("a transaction");
    park(&mut tx, &fence, 1, "credential", &failure()).await.expect("parked");
    tx.commit().await.expect("a commit");
    db.execute("DELETE FROM outbox").await;

    assert_eq!(put(&db.store, company, sweep(company).dedupe("k")).await, Enqueued::Coalesced(job));
    assert_eq!(db.number("SELECT count(*) FROM outbox").await, 1);
    let again = claimed(&db.store, company, job, fence.epoch, 30).await;
    assert!(again.epoch > fence.epoch);
}

#[tokio::test]
async fn a_zombie_cannot_write_after_its_lease_was_taken() {
    let db = fresh_database().await;
    let company = db.company().await;
    let job = put(&db.store, company, sweep(company)).await.id();
    let zombie = claimed(&db.store, company, job, 0, 1).await;
    reaped(&db, job).await;
    let epoch = db.number(&format!("SELECT epoch FROM jobs_live WHERE id = '{job}'")).await;
    let heir = claimed(&db.store, company, job, epoch, 30).await;
    let mut tx = db.store.tenant(company).await.expect("a transaction");
    assert!(matches!(hold(&mut tx, &zombie).await, Err(StoreError::Fenced { .. })));
    assert!(matches!(
        succeed(&mut tx, &zombie, &serde_json::json!(null)).await,
        Err(StoreError::Fenced { .. })
    ));
    assert_eq!(heartbeat(&mut tx, &zombie, 30).await.expect("an answer"), store::jobs::Heartbeat::Lost);
    drop(tx);
    let mut tx = db.store.tenant(company).await.expect("a transaction");
    succeed(&mut tx, &heir, &serde_json::json!(null)).await.expect("the heir finishes");
    tx.commit().await.expect("a commit");
    assert_eq!(db.number("SELECT attempt FROM jobs").await, 1, "the interruption spent no attempt");
}

#[tokio::test]
async fn an_old_bell_claims_nothing() {
    let db = fresh_database().await;
    let company = db.company().await;
    let job = put(&db.store, company, sweep(company)).await.id();
    let fence = claimed(&db.store, company, job, 0, 30).await;
    assert!(matches!(try_claim(&db.store, company, job, 0, 30).await, ClaimOutcome::Stale));
    let mut tx = db.store.tenant(company).await.expect("a transaction");
    hand_back(&mut tx, &fence).await.expect("handed back");
    tx.commit().await.expect("a commit");
    assert!(matches!(try_claim(&db.store, company, job, 0, 30).await, ClaimOutcome::Stale));
    assert!(matches!(try_claim(&db.store, company, JobId(new_id()), 0, 30).await, ClaimOutcome::Gone));
    let other = db.company().await;
    let epoch = db.number(&format!("SELECT epoch FROM jobs_live WHERE id = '{job}'")).await;
    assert!(
        matches!(try_claim(&db.store, other, job, epoch, 30).await, ClaimOutcome::Gone),
        "another tenant's bell"
    );
}

#[tokio::test]
async fn a_resource_is_held_by_one_and_passed_to_the_first_in_line() {
    let db = fresh_database().await;
    let company = db.company().await;
    let (a, b) = (sweep(company).resource("r"), sweep(company).resource("r"));
    let (a, b) = (put(&db.store, company, a).await.id(), put(&db.store, company, b).await.id());
    assert!(
        matches!(try_claim(&db.store, company, b, 0, 30).await, ClaimOutcome::Waiting),
        "a is first in line"
    );
    let fence = claimed(&db.store, company, a, 0, 30).await;
    assert!(matches!(try_claim(&db.store, company, b, 0, 30).await, ClaimOutcome::Waiting), "a holds it");
    db.execute("DELETE FROM outbox").await;
    let mut tx = db.store.tenant(company).await.expect("a transaction");
    succeed(&mut tx, &fence, &serde_json::json!(null)).await.expect("done");
    tx.commit().await.expect("a commit");
    let rung = db.rows("SELECT job_id FROM outbox").await;
    assert_eq!(rung, [serde_json::json!({ "job_id": b.uuid() })], "the end of a rings b");
    claimed(&db.store, company, b, 0, 30).await;
}

#[tokio::test]
async fn an_expired_deadline_is_a_dead_letter() {
    let db = fresh_database().await;
    let company = db.company().await;
    let mut job = sweep(company);
    job.deadline = Some(chrono::DateTime::UNIX_EPOCH);
    let job = put(&db.store, company, job).await.id();
    assert!(matches!(try_claim(&db.store, company, job, 0, 30).await, ClaimOutcome::Expired));
    let mut tx = db.store.tenant(company).await.expect("a transaction");
    assert!(store::jobs::bury_expired(&mut tx, company, job).await.expect("buried"));
    assert!(!store::jobs::bury_expired(&mut tx, company, job).await.expect("once"));
    tx.commit().await.expect("a commit");
    assert_eq!(
        db.rows("SELECT error_fingerprint FROM dead_letters").await[0]["error_fingerprint"],
        "deadline"
    );
}

#[tokio::test]
async fn interruptions_without_progress_are_a_crash_loop_and_progress_forgives_them() {
    let db = fresh_database().await;
    let company = db.company().await;
    let job = put(&db.store, company, sweep(company)).await.id();
    let mut epoch = 0;
    for done in [1, 2, 2] {
        let fence = claimed(&db.store, company, job, epoch, 30).await;
        let mut tx = db.store.tenant(company).await.expect("a transaction");
        store::jobs::checkpoint(&mut tx, &fence, None, done, None, "pages").await.expect("a checkpoint");
        tx.commit().await.expect("a commit");
        db.execute("UPDATE jobs_live SET lease_expires_at = now() - interval '1 second'").await;
        let mut tx = db.store.dispatch().await.expect("a transaction");
        let reaped = reap_expired(&mut tx, 10, 3, 2).await.expect("a reaper");
        tx.commit().await.expect("a commit");
        assert_eq!(reaped[0].buried, epoch == 4, "at epoch {epoch}");
        epoch += 2;
    }
    let dead = db.rows("SELECT error_fingerprint FROM dead_letters").await;
    assert_eq!(dead[0]["error_fingerprint"], "crash_loop");
}

#[tokio::test]
async fn two_relays_never_hold_the_same_bell() {
    let db = fresh_database().await;
    let company = db.company().await;
    for _ in 0..20 {
        put(&db.store, company, sweep(company)).await;
    }
    let mut one = db.store.dispatch().await.expect("a transaction");
    let mut two = db.store.dispatch().await.expect("a transaction");
    let first = store::jobs::take_bells(&mut one, 0, 15).await.expect("bells");
    let second = store::jobs::take_bells(&mut two, 0, 15).await.expect("bells");
    assert_eq!((first.len(), second.len()), (15, 5));
    assert!(first.iter().all(|bell| second.iter().all(|other| other.id != bell.id)));
    // One dies, the other puts its bells back.
    one.rollback().await.expect("a rollback");
    let ids: Vec<i64> = second.iter().map(|bell| bell.id).collect();
    store::jobs::put_back_bells(&mut two, &ids, 60.0).await.expect("put back");
    two.commit().await.expect("a commit");
    let mut tx = db.store.dispatch().await.expect("a transaction");
    let again = store::jobs::take_bells(&mut tx, 0, 100).await.expect("bells");
    assert_eq!(
        again.iter().map(|bell| bell.id).collect::<Vec<_>>(),
        first.iter().map(|b| b.id).collect::<Vec<_>>()
    );
}
