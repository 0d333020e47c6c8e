//! Handlers that do many jobs in one transaction.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use contracts::jobs::{JobPayload, Queue};
use domain::ids::{CompanyId, JobId};
use domain::retry::RetryPolicy;
use serde_json::Value;
use store::Tx;
use store::jobs::Claim;

use crate::error::JobError;
use crate::handler::{DEFAULT_RETRY, unreadable};

/// Runs many jobs of one kind and one company in one transaction, which costs one commit for all of them.
///
/// A kind may be handled this way when
/// * all of a job's effects are rows that are written through the transaction given to [`GroupHandler::run`]: a
///   call to another system would be repeated, because
/// * a group that fails is rolled back and its jobs are run again one at a time, so that one bad job does not
///   fail its neighbours;
/// * its jobs are short: the locks of all of them are held until the last one is done, cancellation is looked at
///   between two calls only, there is no progress and no checkpoint.
///
/// Effects and "done" marks of a group commit together, and only while every job of it is still held: effects
/// stay exactly once, as with [`crate::Handler`].
#[async_trait]
pub trait GroupHandler: Send + Sync + 'static {
    /// The payload, which names kind, version and queue.
    type Payload: JobPayload;

    /// Most jobs of one call.
    const MOST: usize = 256;

    /// Writes the effects of all `jobs` through `tx`, which sees their company. The caller commits.
    ///
    /// # Errors
    /// With more than one job, any error undoes the call and has each job run by itself; with one, the
    /// [`JobError`] says what follows for it: another attempt, parking or the dead letters.
    async fn run(&self, jobs: &mut [GroupJob<Self::Payload>], tx: &mut Tx) -> Result<(), JobError>;

    /// As [`crate::Handler::retry_policy`].
    fn retry_policy(&self) -> RetryPolicy {
        DEFAULT_RETRY
    }
}

/// One job of a group.
#[derive(Debug)]
pub struct GroupJob<P> {
    claim: Arc<Claim>,
    payload: P,
    result: Value,
}

impl<P> GroupJob<P> {
    /// What to do.
    pub fn payload(&self) -> &P {
        &self.payload
    }

    /// The job.
    pub fn job(&self) -> JobId {
        self.claim.fence.job
    }

    /// Its owner, the same for the whole group.
    pub fn company(&self) -> CompanyId {
        self.claim.fence.company
    }

    /// Number of this attempt, 1 for the first.
    pub fn attempt(&self) -> i32 {
        self.claim.attempt
    }

    /// Subject of the user, or the service, that asked.
    pub fn requested_by(&self) -> Option<&str> {
        self.claim.requested_by.as_deref()
    }

    /// Sets the job's result; null without.
    pub fn set_result(&mut self, result: Value) {
        self.result = result;
    }
}

/// A group handler whose payload type is forgotten.
pub(crate) trait AnyGroup: Send + Sync {
    fn open(self: Arc<Self>) -> Box<dyn GroupRun>;
    fn most(&self) -> usize;
    fn retry_policy(&self) -> RetryPolicy;
    fn queue(&self) -> Queue;
}

/// The jobs of one group, decoded.
#[async_trait]
pub(crate) trait GroupRun: Send + Sync {
    /// Adds a job at the end.
    fn add(&mut self, claim: &Arc<Claim>, payload: Value) -> Result<(), JobError>;
    /// Takes a job out.
    fn remove(&mut self, at: usize);
    /// Calls the handler with some of the jobs.
    async fn run(&mut self, range: Range<usize>, tx: &mut Tx) -> Result<(), JobError>;
    /// The results of some of the jobs.
    fn results(&mut self, range: Range<usize>) -> Vec<Value>;
}

pub(crate) struct TypedGroup<H>(pub(crate) H);

struct Open<H: GroupHandler> {
    handler: Arc<TypedGroup<H>>,
    jobs: Vec<GroupJob<H::Payload>>,
}

impl<H: GroupHandler> AnyGroup for TypedGroup<H> {
    fn open(self: Arc<Self>) -> Box<dyn GroupRun> {
        Box::new(Open { handler: self, jobs: Vec::new() })
    }

    fn most(&self) -> usize {
        H::MOST.max(1)
    }

    fn retry_policy(&self) -> RetryPolicy {
        self.0.retry_policy()
    }

    fn queue(&self) -> Queue {
        H::Payload::QUEUE
    }
}

#[async_trait]
impl<H: GroupHandler> GroupRun for Open<H> {
    fn add(&mut self, claim: &Arc<Claim>, payload: Value) -> Result<(), JobError> {
        let payload = H::Payload::decode(claim.version, payload).map_err(unreadable)?;
        self.jobs.push(GroupJob { claim: claim.clone(), payload, result: Value::Null });
        Ok(())
    }

    fn remove(&mut self, at: usize) {
        self.jobs.remove(at);
    }

    async fn run(&mut self, range: Range<usize>, tx: &mut Tx) -> Result<(), JobError> {
        let jobs = &mut self.jobs[range];
        for job in &mut *jobs {
            job.result = Value::Null;
        }
        self.handler.0.run(jobs, tx).await
    }

    fn results(&mut self, range: Range<usize>) -> Vec<Value> {
        self.jobs[range].iter_mut().map(|job| job.result.take()).collect()
    }
}
