//! Jobs that fan scheduled work out and keep the tables tidy.

mod calendars;
mod retry;

use async_trait::async_trait;
use contracts::jobs::{
    EnsureDriveSubscription, PurgeFinished, SweepDrives, SyncDrive, SyncMode, Trigger, drive_resource,
};
use job_runtime::{Handler, JobContext, JobError, Outcome};
use serde_json::json;
use store::jobs::{NewJob, enqueue_many};
use store::retention_rules::{self as rule, What};

pub use calendars::{PushCalendarsHandler, SweepCalendarsHandler};
pub(crate) use calendars::{pull_job, renewals};
pub use retry::RetryHandler;

/// Runs [`SweepDrives`]: a delta run for every enabled drive, and its subscription.
#[derive(Debug, Clone, Copy)]
pub struct SweepHandler;

#[async_trait]
impl Handler for SweepHandler {
    type Payload = SweepDrives;

    async fn run(&self, payload: SweepDrives, job: JobContext) -> Result<Outcome, JobError> {
        let mut tx = job.begin().await?;
        let drives = store::drives::list_enabled(&mut tx, job.company()).await?;
        let mut jobs = Vec::with_capacity(drives.len() * 2);
        for drive_id in &drives {
            jobs.push(drive_job(&job, drive_id, payload.trigger)?);
            let ensure = EnsureDriveSubscription { drive_id: drive_id.clone() };
            jobs.push(
                NewJob::new(job.company(), &ensure, "sync-worker")?
                    .dedupe(drive_resource(drive_id))
                    .resource(format!("subscription:{drive_id}"))
                    .priority(2),
            );
        }
        enqueue_many(&mut tx, jobs).await?;
        job.commit_done(tx, &json!({ "drives": drives.len() })).await
    }
}

/// A delta run of one drive, coalescing with one that waits.
pub(crate) fn drive_job(job: &JobContext, drive_id: &str, trigger: Trigger) -> Result<NewJob, JobError> {
    let payload = SyncDrive {
        drive_id: drive_id.to_owned(),
        mode: SyncMode::Delta,
        trigger,
        dry_run: false,
        approved_removals: None,
    };
    // Work that nobody waits for comes after notifications and people.
    let priority = if trigger == Trigger::Sweep { 1 } else { 4 };
    Ok(NewJob::new(job.company(), &payload, "sync-worker")?
        .dedupe(drive_resource(drive_id))
        .resource(drive_resource(drive_id))
        .priority(priority))
}

/// Runs [`PurgeFinished`].
#[derive(Debug, Clone, Copy)]
pub struct PurgeHandler;

/// Rows that one transaction removes.
const PURGE_CHUNK: i64 = 5_000;
/// Days that runs of syncs stay where the organization chose nothing.
const HISTORY_DAYS: i32 = 365;
/// Days that resolved items in quarantine stay where the organization chose nothing.
const QUARANTINE_DAYS: i32 = 90;
/// Transactions of one run.
const PURGE_ROUNDS: usize = 2_000;

#[async_trait]
impl Handler for PurgeHandler {
    type Payload = PurgeFinished;

    async fn run(&self, payload: PurgeFinished, job: JobContext) -> Result<Outcome, JobError> {
        let mut purged = 0_u64;
        let company = job.company();
        for _ in 0..PURGE_ROUNDS {
            let mut tx = job.begin().await?;
            let days = rule::days(&mut tx, company, What::Deleted, payload.tombstone_days).await?;
            let history = rule::days(&mut tx, company, What::SyncHistory, HISTORY_DAYS).await?;
            let quarantine = rule::days(&mut tx, company, What::Quarantine, QUARANTINE_DAYS).await?;
            let gone = store::purge::tombstones(&mut tx, company, days, PURGE_CHUNK).await?
                + store::purge::sync_history(&mut tx, company, history, PURGE_CHUNK).await?
                + store::purge::quarantine(&mut tx, company, quarantine, PURGE_CHUNK).await?
                + store::operations::purge(&mut tx, company, payload.tombstone_days).await?;
            purged += gone;
            job.commit(tx).await?;
            if gone == 0 {
                break;
            }
        }
        Ok(Outcome::Done(json!({ "purged": purged })))
    }
}
