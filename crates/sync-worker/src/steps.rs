//! The transactions of a run: each checks the fence, or all are one that is rolled back (dry run).

use job_runtime::{JobContext, JobError};
use serde_json::Value;
use store::Tx;

/// Hands out the transactions of one run.
#[derive(Debug)]
pub struct Steps {
    job: JobContext,
    dry_run: bool,
    open: Option<Tx>,
    done: i64,
}

impl Steps {
    /// The transactions of `job`; with `dry_run` nothing is ever committed.
    pub fn new(job: JobContext, dry_run: bool) -> Self {
        Self { job, dry_run, open: None, done: 0 }
    }

    /// The job.
    pub fn job(&self) -> &JobContext {
        &self.job
    }

    /// Whether nothing is to be kept.
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// Begins a step.
    ///
    /// # Errors
    /// When no transaction can be had.
    pub async fn begin(&mut self) -> Result<Tx, JobError> {
        if self.job.cancelled().is_cancelled() {
            return Err(JobError::cancelled());
        }
        match self.open.take() {
            Some(tx) => Ok(tx),
            None => Ok(self.job.store().tenant_bulk(self.job.company()).await?),
        }
    }

    /// Ends a step: commits it under the fence, or keeps it open for the next one.
    ///
    /// # Errors
    /// When the job is no longer ours, or the commit fails.
    pub async fn end(&mut self, tx: Tx) -> Result<(), JobError> {
        if self.dry_run {
            self.open = Some(tx);
            return Ok(());
        }
        self.job.commit(tx).await
    }

    /// Ends a step that stored `items` items, with progress and the place to resume from.
    ///
    /// # Errors
    /// As [`Steps::end`].
    pub async fn end_with_progress(
        &mut self,
        tx: Tx,
        items: i64,
        checkpoint: Option<&Value>,
    ) -> Result<(), JobError> {
        self.done += items;
        if self.dry_run {
            self.open = Some(tx);
            return Ok(());
        }
        self.job.checkpoint(tx, checkpoint, self.done, None, "items").await
    }

    /// The transaction of a dry run, to look at before it is dropped; a fresh one otherwise.
    ///
    /// # Errors
    /// When no transaction can be had.
    pub async fn last(&mut self) -> Result<Tx, JobError> {
        match self.open.take() {
            Some(tx) => Ok(tx),
            None => self.job.begin().await,
        }
    }
}
