//! What runs the jobs of one kind, and the set of all of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contracts::jobs::{JobPayload, PayloadError, Queue};
use domain::retry::{ParkReason, RetryPolicy};
use serde_json::Value;

use crate::context::JobContext;
use crate::error::JobError;
use crate::group::{AnyGroup, GroupHandler, TypedGroup};

/// How a job went.
#[derive(Debug)]
pub enum Outcome {
    /// The handler has committed effect and "done" mark itself ([`JobContext::commit_done`]).
    Committed,
    /// Nothing is left to commit but the "done" mark with this result.
    Done(Value),
    /// Not finished, but at a good place to stop (see [`JobContext::draining`]): the job is queued again
    /// at once, resumes from its checkpoint and spends no attempt.
    HandBack,
}

/// Runs the jobs of one kind.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// The payload, which names kind, version and queue.
    type Payload: JobPayload;

    /// Makes one attempt. The future is dropped at its next await when the lease is lost, the attempt's time
    /// is up or the process ends: what is not committed then never happened.
    ///
    /// # Errors
    /// [`JobError`] says what follows: another attempt, parking or the dead letters.
    async fn run(&self, payload: Self::Payload, job: JobContext) -> Result<Outcome, JobError>;

    /// Delays between attempts (their number is in the job's row): by default 1 s, doubling to 5 min,
    /// full jitter.
    fn retry_policy(&self) -> RetryPolicy {
        DEFAULT_RETRY
    }
}

/// Delays of a handler that names none.
pub(crate) const DEFAULT_RETRY: RetryPolicy = RetryPolicy {
    max_attempts: 5,
    initial: Duration::from_secs(1),
    max: Duration::from_mins(5),
    multiplier: 2,
};

/// A handler whose payload type is forgotten.
#[async_trait]
pub(crate) trait AnyHandler: Send + Sync {
    async fn run(&self, version: i16, payload: Value, job: JobContext) -> Result<Outcome, JobError>;
    fn retry_policy(&self) -> RetryPolicy;
    fn queue(&self) -> Queue;
}

struct Typed<H>(H);

#[async_trait]
impl<H: Handler> AnyHandler for Typed<H> {
    async fn run(&self, version: i16, payload: Value, job: JobContext) -> Result<Outcome, JobError> {
        let payload = H::Payload::decode(version, payload).map_err(unreadable)?;
        self.0.run(payload, job).await
    }

    fn retry_policy(&self) -> RetryPolicy {
        self.0.retry_policy()
    }

    fn queue(&self) -> Queue {
        H::Payload::QUEUE
    }
}

/// An unknown version waits for a worker that knows it; a malformed payload waits for an editor among the
/// dead letters.
pub(crate) fn unreadable(error: PayloadError) -> JobError {
    let message = error.to_string();
    match error {
        PayloadError::UnknownKind { .. } => JobError::park(ParkReason::UnknownKind, "unknown_kind", message),
        PayloadError::UnknownVersion { .. } => {
            JobError::park(ParkReason::UnknownKind, "unknown_version", message)
        }
        PayloadError::Malformed { source, .. } => {
            JobError::fail("malformed_payload", message).because(source)
        }
    }
}

/// How a kind is run.
#[derive(Clone)]
pub(crate) enum Registered {
    /// Each job by itself.
    Each(Arc<dyn AnyHandler>),
    /// Many in one transaction.
    Group(Arc<dyn AnyGroup>),
}

impl Registered {
    fn queue(&self) -> Queue {
        match self {
            Registered::Each(handler) => handler.queue(),
            Registered::Group(handler) => handler.queue(),
        }
    }
}

/// The handlers of a worker, by kind.
#[derive(Clone, Default)]
pub struct Handlers {
    by_kind: BTreeMap<&'static str, Registered>,
}

impl Handlers {
    /// No handlers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a handler for its payload's kind, in place of an earlier one for the same kind.
    #[must_use]
    pub fn with<H: Handler>(mut self, handler: H) -> Self {
        self.by_kind.insert(H::Payload::KIND, Registered::Each(Arc::new(Typed(handler))));
        self
    }

    /// Adds a handler that does many jobs of its payload's kind in one transaction, in place of an earlier one
    /// for the same kind.
    #[must_use]
    pub fn with_group<H: GroupHandler>(mut self, handler: H) -> Self {
        self.by_kind.insert(H::Payload::KIND, Registered::Group(Arc::new(TypedGroup(handler))));
        self
    }

    /// The kinds that have a handler.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.by_kind.keys().copied()
    }

    /// The queues that carry them.
    pub fn queues(&self) -> Vec<Queue> {
        Queue::ALL.into_iter().filter(|queue| self.by_kind.values().any(|h| h.queue() == *queue)).collect()
    }

    pub(crate) fn get(&self, kind: &str) -> Option<&Registered> {
        self.by_kind.get(kind)
    }

    /// The kind as a static name, for metric labels; `unknown` for kinds without a handler, so that a
    /// stranger's text never becomes a label.
    pub(crate) fn label(&self, kind: &str) -> &'static str {
        self.by_kind.get_key_value(kind).map_or("unknown", |(kind, _)| kind)
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_kind.keys()).finish()
    }
}
