//! The transactions of a run: each holds the fence of its job.

use chassis::time::pause;
use domain::ids::CompanyId;
use job_runtime::{JobContext, JobError};
use store::{Store, Tx};
use uuid::Uuid;

/// Hands out the transactions of a run.
#[derive(Debug, Clone)]
pub struct Steps {
    store: Store,
    company: CompanyId,
    run: Uuid,
    job: Option<JobContext>,
}

impl Steps {
    /// The transactions of a job.
    pub fn of_job(job: &JobContext, run: Uuid) -> Self {
        Self { store: job.store().clone(), company: job.company(), run, job: Some(job.clone()) }
    }

    /// Transactions of a run outside of any job: nobody else may work on the organization's trail meanwhile.
    pub fn alone(store: &Store, company: CompanyId, run: Uuid) -> Self {
        Self { store: store.clone(), company, run, job: None }
    }

    /// The organization.
    pub fn company(&self) -> CompanyId {
        self.company
    }

    /// Row of `audit_retention_runs`.
    pub fn run(&self) -> Uuid {
        self.run
    }

    /// Who acts, in records.
    pub fn job_id(&self) -> Option<Uuid> {
        self.job.as_ref().map(|job| job.job().uuid())
    }

    /// Trace of the job.
    pub fn trace_id(&self) -> Option<String> {
        self.job.as_ref().and_then(|job| job.trace().trace_id().map(str::to_owned))
    }

    /// Begins a step.
    ///
    /// # Errors
    /// When the job was asked to stop, or no transaction can be had.
    pub async fn begin(&self) -> Result<Tx, JobError> {
        if self.job.as_ref().is_some_and(|job| job.cancelled().is_cancelled()) {
            return Err(JobError::cancelled());
        }
        Ok(self.store.tenant(self.company).await?)
    }

    /// A transaction that holds no fence, for what may be written twice.
    ///
    /// # Errors
    /// As every statement.
    pub async fn plain(&self) -> store::Result<Tx> {
        self.store.tenant(self.company).await
    }

    /// Commits a step under the fence.
    ///
    /// # Errors
    /// When the job is no longer ours, or the commit fails.
    pub async fn commit(&self, tx: Tx) -> Result<(), JobError> {
        match &self.job {
            Some(job) => job.commit(tx).await,
            None => Ok(tx.commit().await?),
        }
    }

    /// A moment for others between two large transactions.
    pub async fn breathe(&self) {
        pause(std::time::Duration::from_millis(20)).await;
    }
}
