//! `documents.sync_ao`: one AO, as `POST /api/sync/onedrive/{aoId}` asks.
//!
//! With an index, the drive's delta brings the AO up to date along with everything else. Without one, or when
//! forced, the AO's own folders are read.

use std::time::Instant;

use async_trait::async_trait;
use chassis::time::SystemClock;
use contracts::jobs::{SyncAo, SyncDrive, SyncMode, Trigger, drive_resource};
use domain::retry::RetryPolicy;
use domain::time::Clock;
use job_runtime::{Handler, JobContext, JobError, Outcome};
use store::aos::Ao;
use store::drive_index::IndexedDrive;
use store::jobs::{NewJob, enqueue};

use super::Documents;
use super::ao_scan;
use super::project::{Options, project};
use super::report::{Report, RunRow};
use super::sync_drive::{SyncDriveHandler, dry_outcome, load};
use crate::connector::Caller;
use crate::steps::Steps;

/// Runs [`SyncAo`].
#[derive(Debug, Clone)]
pub struct SyncAoHandler(pub Documents);

#[async_trait]
impl Handler for SyncAoHandler {
    type Payload = SyncAo;

    async fn run(&self, payload: SyncAo, job: JobContext) -> Result<Outcome, JobError> {
        let (ao, drive) = find(&job, &payload.ao_id).await?;
        let mut report = Report::default();
        let mut steps = Steps::new(job.clone(), payload.dry_run);
        if payload.dry_run {
            self.read(&mut steps, &drive, &ao, payload.force, &mut report).await?;
            return dry_outcome(&mut steps, &drive, &report).await;
        }
        let started = Instant::now();
        let row = RunRow::open(&job, payload.trigger.as_str(), &drive.drive_id, Some(&ao.id), payload.force)
            .await?;
        match self.run_to_end(&mut steps, &drive, &ao, &payload, &row, &mut report).await {
            Ok(outcome) => {
                report.measure(started.elapsed().as_secs_f64(), true, SystemClock.now());
                tracing::info!(ao = %ao.id, added = report.added, updated = report.updated,
                    deleted = report.deleted, "AO synchronised");
                Ok(outcome)
            }
            Err(error) => {
                report.measure(started.elapsed().as_secs_f64(), false, SystemClock.now());
                row.fail(&job, &drive, Some(&ao.id), &report, &error).await;
                Err(error)
            }
        }
    }

    fn retry_policy(&self) -> RetryPolicy {
        super::RETRY
    }
}

impl SyncAoHandler {
    async fn run_to_end(
        &self,
        steps: &mut Steps,
        drive: &IndexedDrive,
        ao: &Ao,
        payload: &SyncAo,
        row: &RunRow,
        report: &mut Report,
    ) -> Result<Outcome, JobError> {
        self.read(steps, drive, ao, payload.force, report).await?;
        report.total_aos = 1;
        let job = steps.job().clone();
        let mut tx = steps.begin().await?;
        store::aos::record_sync(&mut tx, drive.company, std::slice::from_ref(&ao.id), None).await?;
        if !drive.indexed {
            let whole = SyncDrive {
                drive_id: drive.drive_id.clone(),
                mode: SyncMode::Delta,
                trigger: Trigger::Sweep,
                dry_run: false,
                approved_removals: None,
            };
            let index = NewJob::new(drive.company, &whole, "sync-worker")?
                .dedupe(drive_resource(&drive.drive_id))
                .resource(drive_resource(&drive.drive_id))
                .priority(3);
            enqueue(&mut tx, index).await?;
        }
        row.succeed(&mut tx, &job, report).await?;
        job.commit_done(tx, &report.to_json()).await
    }

    async fn read(
        &self,
        steps: &mut Steps,
        drive: &IndexedDrive,
        ao: &Ao,
        force: bool,
        report: &mut Report,
    ) -> Result<(), JobError> {
        if drive.indexed && !force {
            return SyncDriveHandler(self.0.clone())
                .bring_up_to_date(steps, drive, false, None, report)
                .await;
        }
        let by = Caller::of(steps.job(), &ao.id, force);
        self.0.connector.clear_cache(&ao.id).await?;
        let taxonomy = &self.0.config.taxonomy;
        ao_scan::scan(steps, &self.0.connector, &by, drive, ao, taxonomy, report).await?;
        let approved = force.then_some(i64::MAX);
        project(steps, drive, taxonomy, Options { settle: true, approved }, report).await
    }
}

async fn find(job: &JobContext, ao_id: &str) -> Result<(Ao, IndexedDrive), JobError> {
    let mut tx = job.begin().await?;
    let Some(ao) = store::aos::get(&mut tx, job.company(), ao_id).await? else {
        return Err(JobError::fail("unknown_ao", format!("there is no AO {ao_id:?}")));
    };
    let drive_id = store::drives::of_ao(&mut tx, job.company(), ao_id).await?;
    drop(tx);
    let Some(drive_id) = drive_id else {
        return Err(JobError::fail(
            "no_drive",
            format!("AO {ao_id:?} has no drive: register one with PUT /api/drives/{{driveId}}"),
        ));
    };
    match load(job, &drive_id).await? {
        Some(drive) => Ok((ao, drive)),
        None => {
            Err(JobError::fail("drive_disabled", format!("drive {drive_id:?} of AO {ao_id:?} is disabled")))
        }
    }
}
