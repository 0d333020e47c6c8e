//! Writing how an attempt ended.

use std::time::Duration;

use chassis::time::{deadline, pause};
use domain::job::error_fingerprint;
use domain::retry::{Next, ParkReason, RetryPolicy, Verdict};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use store::StoreError;
use store::jobs::{Claim, Failure};

use crate::error::JobError;
use crate::lease::Hold;
use crate::runtime::Shared;

/// Deadline of one try to write.
const WRITE: Duration = Duration::from_secs(10);
/// Pause between two tries while the database is away.
const AGAIN: Duration = Duration::from_millis(300);

/// What is written about an attempt.
#[derive(Debug)]
pub(crate) enum Conclusion {
    /// Done, with a result.
    Succeed(Value),
    /// Failed; another attempt follows.
    Retry {
        /// Not before that much time has passed, on the database's clock: a worker's own may be wrong.
        delay: Duration,
        /// Why.
        failure: Failure,
    },
    /// A person must mend something.
    Park {
        /// What.
        reason: ParkReason,
        /// Why.
        failure: Failure,
    },
    /// A dead letter.
    Bury {
        /// Why.
        failure: Failure,
    },
    /// Back to the queue at once, for another worker.
    HandBack,
    /// Ended by request.
    Cancel,
}

/// Whether it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// Committed.
    Yes,
    /// A commit was not answered and the job is no longer ours: it very probably went through.
    Probably,
    /// Another attempt owns the job.
    Fenced,
    /// Not before the lease was lost; the reaper takes the job.
    No,
}

impl Conclusion {
    /// Label of the attempt in `job_duration_seconds`.
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Conclusion::Succeed(_) => "succeeded",
            Conclusion::Retry { .. } => "retrying",
            Conclusion::Park { .. } => "parked",
            Conclusion::Bury { .. } => "dead",
            Conclusion::HandBack => "handed_back",
            Conclusion::Cancel => "cancelled",
        }
    }

    /// What follows a failed attempt: the error's verdict, the attempts left, the handler's delays.
    pub(crate) fn of_failure(claim: &Claim, error: &JobError, verdict: Verdict, policy: RetryPolicy) -> Self {
        let failure = Failure {
            code: error.code().to_owned(),
            message: error.message().to_owned(),
            chain: error.chain(),
            fingerprint: error_fingerprint(&claim.kind, error.code(), error.message()),
        };
        let policy = RetryPolicy { max_attempts: claim.max_attempts.unsigned_abs(), ..policy };
        let mut rng = StdRng::from_seed(chassis::ids::random_bytes());
        match policy.next(claim.attempt.unsigned_abs(), verdict, &mut rng) {
            Next::Wait(delay) => Conclusion::Retry { delay, failure },
            Next::Park(reason) => Conclusion::Park { reason, failure },
            Next::Dead => Conclusion::Bury { failure },
        }
    }
}

impl Shared {
    /// Writes the conclusion, trying again while the database is away and the lease holds.
    pub(crate) async fn conclude(&self, claim: &Claim, conclusion: &Conclusion, hold: &Hold) -> Written {
        let mut unanswered = false;
        loop {
            hold.ending(true);
            let written = deadline("concluding", WRITE, self.write(claim, conclusion)).await;
            hold.ending(false);
            let error = match written {
                Ok(Ok(())) => return Written::Yes,
                Ok(Err(StoreError::Fenced { .. })) if unanswered => return Written::Probably,
                Ok(Err(StoreError::Fenced { .. })) => return Written::Fenced,
                Ok(Err(error)) if !error.is_transient() => {
                    tracing::error!(
                        error = chassis::telemetry::chain(&error),
                        conclusion = conclusion.label(),
                        "the end of the attempt cannot be written, the job is taken over when its lease expires"
                    );
                    return Written::No;
                }
                Ok(Err(error)) => chassis::telemetry::chain(&error),
                Err(elapsed) => elapsed.to_string(),
            };
            unanswered = true;
            tracing::warn!(
                error,
                conclusion = conclusion.label(),
                "the end of the attempt is not written yet"
            );
            tokio::select! {
                () = hold.lost.cancelled() => return Written::No,
                () = pause(AGAIN) => {}
            }
        }
    }

    async fn write(&self, claim: &Claim, conclusion: &Conclusion) -> Result<(), StoreError> {
        let fence = &claim.fence;
        let mut tx = self.store.tenant(fence.company).await?;
        match conclusion {
            Conclusion::Succeed(result) => {
                return store::jobs::succeed_and_commit(tx, fence, result).await;
            }
            Conclusion::Retry { delay, failure } => {
                store::jobs::retry(&mut tx, fence, claim.attempt, *delay, failure).await?;
            }
            Conclusion::Park { reason, failure } => {
                store::jobs::park(&mut tx, fence, claim.attempt, reason.as_str(), failure).await?;
            }
            Conclusion::Bury { failure } => store::jobs::bury(&mut tx, fence, claim.attempt, failure).await?,
            Conclusion::HandBack => store::jobs::hand_back(&mut tx, fence).await?,
            Conclusion::Cancel => store::jobs::cancel_claimed(&mut tx, fence).await?,
        }
        tx.commit().await
    }
}
