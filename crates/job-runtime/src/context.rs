//! What a handler knows about its attempt, and how it commits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::trace::TraceContext;
use domain::ids::{CompanyId, JobId};
use serde::de::DeserializeOwned;
use serde_json::Value;
use store::jobs::{Claim, Fence};
use store::{Store, Tx};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::error::JobError;
use crate::handler::Outcome;
use crate::lease::Hold;

/// One attempt. Clones are the same attempt.
#[derive(Debug, Clone)]
pub struct JobContext {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    claim: Arc<Claim>,
    store: Store,
    hold: Arc<Hold>,
    draining: CancellationToken,
    ends_at: Instant,
}

impl JobContext {
    pub(crate) fn new(
        claim: Arc<Claim>,
        store: Store,
        hold: Arc<Hold>,
        draining: CancellationToken,
        ends_at: Instant,
    ) -> Self {
        Self { inner: Arc::new(Inner { claim, store, hold, draining, ends_at }) }
    }

    /// The job.
    pub fn job(&self) -> JobId {
        self.inner.claim.fence.job
    }

    /// Its owner.
    pub fn company(&self) -> CompanyId {
        self.inner.claim.fence.company
    }

    /// Its kind.
    pub fn kind(&self) -> &str {
        &self.inner.claim.kind
    }

    /// Number of this attempt, 1 for the first.
    pub fn attempt(&self) -> i32 {
        self.inner.claim.attempt
    }

    /// Attempts before the job is dead.
    pub fn max_attempts(&self) -> i32 {
        self.inner.claim.max_attempts
    }

    /// Whether a failure of this attempt makes the job a dead letter.
    pub fn is_last_attempt(&self) -> bool {
        self.attempt() >= self.max_attempts()
    }

    /// Where an earlier attempt stopped.
    pub fn stored_checkpoint(&self) -> Option<&Value> {
        self.inner.claim.checkpoint.as_ref()
    }

    /// Where an earlier attempt stopped, typed; `None` as well when an older build wrote another shape, so
    /// that the attempt starts over.
    pub fn stored_checkpoint_as<T: DeserializeOwned>(&self) -> Option<T> {
        let stored = self.stored_checkpoint()?;
        match T::deserialize(stored) {
            Ok(checkpoint) => Some(checkpoint),
            Err(error) => {
                tracing::warn!(error = %error, "the stored checkpoint has another shape, starting over");
                None
            }
        }
    }

    /// Trace of the request that enqueued the job.
    pub fn trace(&self) -> &TraceContext {
        &self.inner.claim.trace
    }

    /// Batch that the job belongs to.
    pub fn batch(&self) -> Option<Uuid> {
        self.inner.claim.batch
    }

    /// Subject of the user, or the service, that asked.
    pub fn requested_by(&self) -> Option<&str> {
        self.inner.claim.requested_by.as_deref()
    }

    /// Proof of ownership, for repositories that check it themselves.
    pub fn fence(&self) -> &Fence {
        &self.inner.claim.fence
    }

    /// The database.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Cancelled when someone asked the job to stop, or when the lease is lost: end soon with
    /// [`JobError::cancelled`].
    pub fn cancelled(&self) -> CancellationToken {
        self.inner.hold.cancelled.clone()
    }

    /// Cancelled when the process is about to end, or an operator's switch holds the job: a long job returns [`Outcome::HandBack`] after its next
    /// checkpoint.
    pub fn draining(&self) -> CancellationToken {
        self.inner.draining.clone()
    }

    /// Time left for this attempt.
    pub fn remaining(&self) -> Duration {
        self.inner.ends_at.saturating_duration_since(Instant::now())
    }

    /// Begins a transaction of the job's company. End it with [`JobContext::commit`],
    /// [`JobContext::checkpoint`] or [`JobContext::commit_done`], and soon: until then the heartbeat waits
    /// for nothing, but a lost lease is noticed only at the end.
    ///
    /// # Errors
    /// As [`Store::tenant`].
    pub async fn begin(&self) -> Result<Tx, JobError> {
        Ok(self.inner.store.tenant(self.company()).await?)
    }

    /// Commits, unless the attempt has lost its job.
    ///
    /// # Errors
    /// [`JobError::is_fenced`] when the job was taken over (the transaction is rolled back);
    /// otherwise as [`Tx::commit`].
    pub async fn commit(&self, mut tx: Tx) -> Result<(), JobError> {
        store::jobs::hold(&mut tx, self.fence()).await?;
        Ok(tx.commit().await?)
    }

    /// Commits with progress, and with the place to resume from (`None` keeps the stored one).
    ///
    /// # Errors
    /// As [`JobContext::commit`].
    pub async fn checkpoint(
        &self,
        mut tx: Tx,
        checkpoint: Option<&Value>,
        done: i64,
        total: Option<i64>,
        unit: &str,
    ) -> Result<(), JobError> {
        store::jobs::checkpoint(&mut tx, self.fence(), checkpoint, done, total, unit).await?;
        Ok(tx.commit().await?)
    }

    /// Commits the job's last effect together with its "done" mark and result, in one round trip.
    ///
    /// # Errors
    /// As [`JobContext::commit`].
    pub async fn commit_done(&self, tx: Tx, result: &Value) -> Result<Outcome, JobError> {
        self.inner.hold.ending(true);
        match store::jobs::succeed_and_commit(tx, self.fence(), result).await {
            Ok(()) => Ok(Outcome::Committed),
            Err(error) => {
                self.inner.hold.ending(false);
                Err(error.into())
            }
        }
    }
}
