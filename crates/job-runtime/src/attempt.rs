//! One attempt, from its claim to the word about how it ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::time::pause;
use contracts::jobs::PayloadError;
use domain::retry::Verdict;
use store::jobs::Claim;
use tracing::{Instrument, Span};

use crate::conclude::{Conclusion, Written};
use crate::context::JobContext;
use crate::error::{Ending, JobError};
use crate::handler::{AnyHandler, Outcome, unreadable};
use crate::lease::Lease;
use crate::panics;
use crate::runtime::Shared;

/// Time that a handler has to end by itself once the job was asked to stop.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// How the handler's part ended.
enum End {
    /// It said so itself.
    Returned(Result<Outcome, JobError>),
    /// The job is no longer ours.
    LeaseLost,
    /// The process ends.
    Stopping,
    /// It was asked to stop and did not.
    CancelIgnored,
}

/// Runs a claimed attempt. `asked` is when the claim was sent.
pub(crate) async fn run(shared: Arc<Shared>, claim: Claim, asked: Instant, span: Span) {
    let kind = shared.handlers.label(&claim.kind);
    metrics::histogram!("job_queue_wait_seconds", "kind" => kind).record(claim.waited_seconds);
    let active = metrics::gauge!("worker_jobs_active");
    active.increment(1.0);
    let started = Instant::now();
    let outcome = attempt(&shared, &claim, asked, kind).instrument(span).await;
    metrics::histogram!("job_duration_seconds", "kind" => kind, "outcome" => outcome)
        .record(started.elapsed().as_secs_f64());
    active.decrement(1.0);
}

async fn attempt(shared: &Arc<Shared>, claim: &Claim, asked: Instant, kind: &'static str) -> &'static str {
    let lease = Lease::keep(shared, &claim.fence, asked);
    let handler = shared.handlers.get(&claim.kind);
    let end = match handler {
        Some(handler) => drive(shared, handler, claim, &lease).await,
        None => End::Returned(Err(unreadable(PayloadError::UnknownKind { kind: claim.kind.clone() }))),
    };
    let conclusion = match end {
        End::Returned(Ok(Outcome::Committed)) => {
            tracing::info!(kind, attempt = claim.attempt, "job succeeded");
            return "succeeded";
        }
        End::Returned(Ok(Outcome::Done(result))) => Conclusion::Succeed(result),
        End::Returned(Ok(Outcome::HandBack)) => Conclusion::HandBack,
        End::Returned(Err(error)) => {
            let Some(conclusion) = after_error(shared, claim, &lease, &error, handler) else {
                metrics::counter!("stale_write_rejected_total").increment(1);
                tracing::info!(kind, "the attempt had lost its job, nothing of it was written");
                return "fenced";
            };
            tracing::warn!(
                kind,
                attempt = claim.attempt,
                max_attempts = claim.max_attempts,
                code = error.code(),
                error = chassis::telemetry::chain(&error),
                next = conclusion.label(),
                "attempt failed"
            );
            conclusion
        }
        End::LeaseLost => {
            metrics::counter!("jobs_interrupted_total", "cause" => "lease_lost").increment(1);
            return "lease_lost";
        }
        End::Stopping => {
            metrics::counter!("jobs_interrupted_total", "cause" => "shutdown").increment(1);
            Conclusion::HandBack
        }
        End::CancelIgnored => Conclusion::Cancel,
    };
    match shared.conclude(claim, &conclusion, &lease.lost).await {
        Written::Yes | Written::Probably => {
            tracing::info!(kind, attempt = claim.attempt, outcome = conclusion.label(), "attempt ended");
            conclusion.label()
        }
        Written::Fenced => {
            metrics::counter!("stale_write_rejected_total").increment(1);
            "fenced"
        }
        Written::No => {
            metrics::counter!("jobs_interrupted_total", "cause" => "not_written").increment(1);
            "lease_lost"
        }
    }
}

/// What follows an error; `None` when the job is not ours any more.
fn after_error(
    shared: &Shared,
    claim: &Claim,
    lease: &Lease,
    error: &JobError,
    handler: Option<&Arc<dyn AnyHandler>>,
) -> Option<Conclusion> {
    let verdict = match error.ending() {
        Ending::Fenced => return None,
        // Whatever it failed with, it had been asked to stop.
        _ if lease.cancel_requested.is_cancelled() => return Some(Conclusion::Cancel),
        Ending::Cancelled if lease.lost.is_cancelled() => return None,
        // It stopped unasked: an attempt like any other that did not finish.
        Ending::Cancelled => Verdict::Retry,
        Ending::Failed(verdict) => verdict,
    };
    let policy = handler.map_or(domain::retry::RetryPolicy::ONEDRIVE, |handler| handler.retry_policy());
    Some(Conclusion::of_failure(claim, error, verdict, policy, shared.host.clock.now()))
}

/// Runs the handler until it returns or must stop; dropped then, what it had not committed never happened.
async fn drive(shared: &Arc<Shared>, handler: &Arc<dyn AnyHandler>, claim: &Claim, lease: &Lease) -> End {
    let limit = Duration::from_secs(u64::from(claim.attempt_seconds.unsigned_abs()));
    let shutdown = &shared.host.shutdown;
    let context = JobContext::new(
        claim.clone(),
        shared.store.clone(),
        lease.cancelled.clone(),
        shutdown.draining(),
        Instant::now() + limit,
    );
    let ignored = async {
        lease.cancel_requested.cancelled().await;
        pause(CANCEL_GRACE).await;
    };
    let stopping = shutdown.stopping();
    tokio::select! {
        biased;
        () = lease.lost.cancelled() => End::LeaseLost,
        result = panics::catch(handler.run(claim.version, claim.payload.clone(), context)) => End::Returned(result),
        () = stopping.cancelled() => End::Stopping,
        () = ignored => End::CancelIgnored,
        () = pause(limit) => End::Returned(Err(JobError::retry(
            "attempt_deadline",
            format!("the attempt took longer than its {} s", limit.as_secs()),
        ))),
    }
}
