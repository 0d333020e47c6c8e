//! What a run did: for the history, the job's result and the metrics.

use ::metrics::{counter, gauge, histogram};
use chrono::{DateTime, Utc};
use job_runtime::{JobContext, JobError};
use serde_json::{Value, json};
use store::drive_index::{IndexedDrive, cursor};
use store::history::{self, NewRun, RunEnd};
use uuid::Uuid;

/// Source name of the document sync in history and metrics.
pub const SOURCE: &str = "onedrive";

/// Counts of one run.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The round enumerated everything.
    pub full: bool,
    /// Answers of the provider.
    pub provider_calls: i64,
    /// Items read.
    pub items: i64,
    /// Documents that are new.
    pub added: i64,
    /// Documents that changed.
    pub updated: i64,
    /// Documents that left.
    pub deleted: i64,
    /// AOs of the drive.
    pub total_aos: i32,
    /// Items put into quarantine.
    pub quarantined: i64,
    /// Removals withheld by the mass-change breaker, with the reason.
    pub withheld: Option<(i64, String)>,
    /// Newest change among the items read, as the provider dates it.
    pub newest_change: Option<DateTime<Utc>>,
}

impl Report {
    /// The job's result.
    pub fn to_json(&self) -> Value {
        json!({
            "full_enumeration": self.full, "items": self.items, "provider_calls": self.provider_calls,
            "documents_added": self.added, "documents_updated": self.updated, "documents_deleted": self.deleted,
            "total_aos": self.total_aos, "quarantined": self.quarantined,
            "withheld": self.withheld.as_ref().map(|(n, reason)| json!({ "removals": n, "reason": reason })),
        })
    }

    fn end(&self, success: bool, errors: Vec<String>) -> RunEnd {
        RunEnd {
            success,
            full_enumeration: self.full,
            total_aos: self.total_aos,
            added: self.added,
            updated: self.updated,
            deleted: self.deleted,
            provider_calls: self.provider_calls,
            errors,
        }
    }

    /// Counts for Prometheus, once the run is committed.
    pub fn measure(&self, seconds: f64, success: bool, now: DateTime<Utc>) {
        let status = if success { "success" } else { "error" };
        counter!("sync_runs_total", "source" => SOURCE, "status" => status).increment(1);
        histogram!("sync_duration_seconds", "source" => SOURCE).record(seconds);
        for (operation, n) in [("added", self.added), ("updated", self.updated), ("deleted", self.deleted)] {
            counter!("documents_synced_total", "operation" => operation)
                .increment(u64::try_from(n).unwrap_or(0));
        }
        if success {
            gauge!("sync_consecutive_failures", "source" => SOURCE).set(0.0);
            if let Some(changed) = self.newest_change.filter(|_| !self.full) {
                let age = (now - changed).as_seconds_f64();
                histogram!("change_to_database_seconds", "source" => SOURCE).record(age.max(0.0));
            }
        }
    }
}

/// The history row of a run.
#[derive(Debug)]
pub struct RunRow {
    id: Uuid,
}

impl RunRow {
    /// Opens the row (the same one when the job is tried again).
    ///
    /// # Errors
    /// As every statement.
    pub async fn open(
        job: &JobContext,
        triggered_by: &str,
        drive: &str,
        ao: Option<&str>,
        forced: bool,
    ) -> Result<Self, JobError> {
        let mut tx = job.begin().await?;
        let run = NewRun {
            source: SOURCE.to_owned(),
            triggered_by: triggered_by.to_owned(),
            job_id: job.job().uuid(),
            batch_id: job.batch(),
            drive_id: Some(drive.to_owned()),
            ao_id: ao.map(str::to_owned),
            forced,
        };
        let id = history::begin(&mut tx, job.company(), &run).await?;
        job.commit(tx).await?;
        Ok(Self { id })
    }

    /// Closes the row as a success, in the transaction that ends the job.
    ///
    /// # Errors
    /// As every statement.
    pub async fn succeed(
        &self,
        tx: &mut store::Tx,
        job: &JobContext,
        report: &Report,
    ) -> Result<(), JobError> {
        let errors = report.withheld.iter().map(|(_, reason)| reason.clone()).collect();
        history::finish(tx, job.company(), self.id, &report.end(true, errors)).await?;
        Ok(())
    }

    /// Closes the row as a failure and counts it on the drive and its AOs. What goes wrong here is logged
    /// and forgotten: the job's own failure matters more.
    pub async fn fail(
        &self,
        job: &JobContext,
        drive: &IndexedDrive,
        ao: Option<&str>,
        report: &Report,
        error: &JobError,
    ) {
        if error.is_fenced() || error.verdict().is_none() {
            return;
        }
        let note = async {
            let mut tx = job.begin().await?;
            let message = error.to_string();
            history::finish(&mut tx, job.company(), self.id, &report.end(false, vec![message.clone()]))
                .await?;
            let failures = cursor::fail(&mut tx, drive, &message, false).await?;
            match ao {
                Some(ao) => {
                    store::aos::record_sync(&mut tx, job.company(), &[ao.to_owned()], Some(&message)).await?;
                }
                None => {
                    store::aos::record_drive_sync(&mut tx, job.company(), &drive.drive_id, Some(&message))
                        .await?;
                }
            }
            job.commit(tx).await?;
            gauge!("sync_consecutive_failures", "source" => SOURCE).set(f64::from(failures));
            Ok::<_, JobError>(())
        };
        if let Err(e) = note.await {
            tracing::warn!(error = %e, "the failed run could not be recorded");
        }
    }
}
