//! `documents.sync_drive`: the index of one drive, and the documents of all its AOs.

use std::time::Instant;

use async_trait::async_trait;
use chassis::time::SystemClock;
use contracts::jobs::{SyncDrive, SyncMode};
use domain::retry::RetryPolicy;
use domain::time::Clock;
use job_runtime::{Handler, JobContext, JobError, Outcome};
use serde_json::json;
use store::drive_index::{self, IndexedDrive, projection};

use super::Documents;
use super::project::{Options, project};
use super::report::{Report, RunRow};
use super::round::{self, RoundOptions};
use super::silence;
use crate::connector::Caller;
use crate::steps::Steps;

/// Changes that a dry run lists by path.
const LISTED: i64 = 200;

/// Runs [`SyncDrive`].
#[derive(Debug, Clone)]
pub struct SyncDriveHandler(pub Documents);

#[async_trait]
impl Handler for SyncDriveHandler {
    type Payload = SyncDrive;

    async fn run(&self, payload: SyncDrive, job: JobContext) -> Result<Outcome, JobError> {
        let Some(drive) = load(&job, &payload.drive_id).await? else {
            return Ok(Outcome::Done(json!({ "skipped": "the drive is unknown or disabled" })));
        };
        let full = payload.mode == SyncMode::Full;
        let mut report = Report::default();
        let mut steps = Steps::new(job.clone(), payload.dry_run);
        if payload.dry_run {
            self.bring_up_to_date(&mut steps, &drive, full, payload.approved_removals, &mut report).await?;
            return dry_outcome(&mut steps, &drive, &report).await;
        }
        let started = Instant::now();
        let row = RunRow::open(&job, payload.trigger.as_str(), &drive.drive_id, None, full).await?;
        match self.run_to_end(&mut steps, &drive, full, &payload, &row, &mut report).await {
            Ok(outcome) => {
                report.measure(started.elapsed().as_secs_f64(), true, SystemClock.now());
                tracing::info!(drive = %drive.drive_id, added = report.added, updated = report.updated,
                    deleted = report.deleted, full = report.full, "drive synchronised");
                Ok(outcome)
            }
            Err(error) => {
                report.measure(started.elapsed().as_secs_f64(), false, SystemClock.now());
                row.fail(&job, &drive, None, &report, &error).await;
                Err(error)
            }
        }
    }

    fn retry_policy(&self) -> RetryPolicy {
        super::RETRY
    }
}

impl SyncDriveHandler {
    async fn run_to_end(
        &self,
        steps: &mut Steps,
        drive: &IndexedDrive,
        full: bool,
        payload: &SyncDrive,
        row: &RunRow,
        report: &mut Report,
    ) -> Result<Outcome, JobError> {
        self.bring_up_to_date(steps, drive, full, payload.approved_removals, report).await?;
        let job = steps.job().clone();
        let mut tx = steps.begin().await?;
        let aos = store::aos::record_drive_sync(&mut tx, drive.company, &drive.drive_id, None).await?;
        report.total_aos = i32::try_from(aos).unwrap_or(i32::MAX);
        row.succeed(&mut tx, &job, report).await?;
        if self.0.config.realtime {
            silence::judge(&mut tx, drive, payload.trigger, report).await?;
        }
        job.commit_done(tx, &report.to_json()).await
    }

    /// Reads the feed and derives the documents.
    pub(super) async fn bring_up_to_date(
        &self,
        steps: &mut Steps,
        drive: &IndexedDrive,
        full: bool,
        approved: Option<i64>,
        report: &mut Report,
    ) -> Result<(), JobError> {
        let by = Caller::of(steps.job(), &drive.drive_id, full);
        let connector = &self.0.connector;
        // Freshness: what was cached before the sync must not answer it (OneDrive runbook, "Synchronisation").
        connector.clear_cache(&drive.drive_id).await?;
        if !drive.indexed {
            self.describe(steps, &by, drive).await?;
        }
        let taxonomy = &self.0.config.taxonomy;
        let options = RoundOptions { full, batch_items: self.0.config.batch_items, taxonomy };
        round::read(steps, connector, &by, drive, options, report).await?;
        project(steps, drive, taxonomy, Options { settle: true, approved }, report).await
    }

    async fn describe(&self, steps: &mut Steps, by: &Caller, drive: &IndexedDrive) -> Result<(), JobError> {
        let known = self.0.connector.drive(by, &drive.drive_id).await?;
        let mut tx = steps.begin().await?;
        store::drives::describe(
            &mut tx,
            drive.company,
            &drive.drive_id,
            &known.name,
            &known.drive_type,
            &known.root_item_id,
        )
        .await?;
        steps.end(tx).await
    }
}

/// The drive, when it exists and takes part.
pub(super) async fn load(job: &JobContext, drive_id: &str) -> Result<Option<IndexedDrive>, JobError> {
    let mut tx = job.begin().await?;
    let drive = drive_index::find(&mut tx, job.company(), drive_id).await?;
    Ok(drive.filter(|drive| drive.enabled))
}

/// The result of a dry run: the counts and the changes it would have made; everything else is rolled back.
pub(super) async fn dry_outcome(
    steps: &mut Steps,
    drive: &IndexedDrive,
    report: &Report,
) -> Result<Outcome, JobError> {
    let mut tx = steps.last().await?;
    let changes = projection::changed_here(&mut tx, drive, LISTED).await?;
    tx.rollback().await?;
    let mut result = report.to_json();
    let listed: Vec<_> = changes
        .into_iter()
        .map(|(operation, path)| json!({ "operation": operation, "path": path }))
        .collect();
    if let Some(fields) = result.as_object_mut() {
        fields.insert("dry_run".to_owned(), json!(true));
        fields.insert("changes".to_owned(), json!(listed));
    }
    Ok(Outcome::Done(result))
}
