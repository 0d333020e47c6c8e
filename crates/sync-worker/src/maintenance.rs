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
/// Transactions of one run.
const PURGE_ROUNDS: usize = 2_000;

#[async_trait]
impl Handler for PurgeHandler {
    type Payload = PurgeFinished;

    async fn run(&self, payload: PurgeFinished, job: JobContext) -> Result<Outcome, JobError> {
        let mut purged = 0_u64;
        for _ in 0..PURGE_ROUNDS {
            let mut tx = job.begin().await?;
            let days = payload.tombstone_days;
            let gone = store::purge::tombstones(&mut tx, job.company(), days, PURGE_CHUNK).await?
                + store::operations::purge(&mut tx, job.company(), days).await?;
            purged += gone;
            job.commit(tx).await?;
            if gone == 0 {
                break;
            }
        }
        Ok(Outcome::Done(json!({ "purged": purged })))
    }
}
