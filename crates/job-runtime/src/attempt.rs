//! One attempt, from its claim to the word about how it ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::time::pause;
use contracts::jobs::PayloadError;
use domain::flags::{Away, Flag};
use domain::retry::{ParkReason, RetryPolicy, Verdict};
use serde_json::Value;
use store::jobs::Claim;
use tracing::{Instrument, Span};

use crate::conclude::{Conclusion, Written};
use crate::context::JobContext;
use crate::error::{Ending, JobError};
use crate::handler::{AnyHandler, DEFAULT_RETRY, Outcome, Registered, unreadable};
use crate::lease::{Hold, Lease};
use crate::panics;
use crate::runtime::Shared;

/// Time that a handler has to end by itself once the job was asked to stop.
const CANCEL_GRACE: Duration = Duration::from_secs(5);
/// Time that a handler has to reach a checkpoint, or the end of a call, once a switch holds its kind.
const HELD_GRACE: Duration = Duration::from_secs(10);

/// A claimed job.
pub(crate) struct Work {
    pub(crate) claim: Arc<Claim>,
    pub(crate) payload: Value,
    pub(crate) lease: Lease,
}

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
    /// An operator's switch holds its kind.
    Held(Flag, Away),
}

/// Runs a claimed attempt.
pub(crate) async fn run(shared: &Shared, work: Work, span: Span) {
    let kind = shared.handlers.label(&work.claim.kind);
    let active = metrics::gauge!("worker_jobs_active");
    active.increment(1.0);
    let started = Instant::now();
    let outcome = attempt(shared, work, kind).instrument(span).await;
    measure(kind, outcome, started.elapsed());
    active.decrement(1.0);
}

/// Counts an attempt.
pub(crate) fn measure(kind: &'static str, outcome: &'static str, took: Duration) {
    metrics::histogram!("job_duration_seconds", "kind" => kind, "outcome" => outcome)
        .record(took.as_secs_f64());
}

async fn attempt(shared: &Shared, work: Work, kind: &'static str) -> &'static str {
    let Work { claim, payload, lease } = work;
    let hold = &lease.hold;
    let switched = shared.flags.held(claim.fence.company, &claim.kind).await;
    let (end, policy) = if let Ok(Some((flag, away))) = switched {
        (End::Held(flag, away), DEFAULT_RETRY)
    } else if let Err(error) = switched {
        (End::Returned(Err(error.into())), DEFAULT_RETRY)
    } else if let Some(Registered::Each(handler)) = shared.handlers.get(&claim.kind) {
        (drive(shared, &**handler, &claim, payload, hold).await, handler.retry_policy())
    } else {
        let unknown = unreadable(PayloadError::UnknownKind { kind: claim.kind.clone() });
        (End::Returned(Err(unknown)), DEFAULT_RETRY)
    };
    let conclusion = match end {
        End::Returned(Ok(Outcome::Committed)) => {
            tracing::debug!(kind, attempt = claim.attempt, "job succeeded");
            return "succeeded";
        }
        End::Returned(Ok(Outcome::Done(result))) => Conclusion::Succeed(result),
        End::Returned(Ok(Outcome::HandBack)) => Conclusion::HandBack,
        End::Returned(Err(error)) => return after_error(shared, &claim, hold, &error, policy, kind).await,
        End::LeaseLost => {
            metrics::counter!("jobs_interrupted_total", "cause" => "lease_lost").increment(1);
            return "lease_lost";
        }
        End::Stopping => {
            metrics::counter!("jobs_interrupted_total", "cause" => "shutdown").increment(1);
            Conclusion::HandBack
        }
        End::CancelIgnored => Conclusion::Cancel,
        End::Held(flag, away) => hold_back(&claim, flag, &away),
    };
    write(shared, &claim, hold, &conclusion, kind).await
}

/// Keeps a job until the switch is back; the scheduler releases it then.
fn hold_back(claim: &Claim, flag: Flag, away: &Away) -> Conclusion {
    let until = away.until.map(|until| format!(" until {}", until.format("%Y-%m-%d %H:%M:%S UTC")));
    let message = format!("the switch {flag} holds it{}: {}", until.unwrap_or_default(), away.reason);
    tracing::info!(kind = claim.kind, job_id = %claim.fence.job, %flag, "an operator's switch holds the job");
    let verdict = Verdict::Park(ParkReason::Flag);
    Conclusion::of_failure(claim, &JobError::new(verdict, "held_by_flag", message), verdict, DEFAULT_RETRY)
}

/// Writes how an attempt ended; the label of the outcome.
pub(crate) async fn write(
    shared: &Shared,
    claim: &Claim,
    hold: &Hold,
    conclusion: &Conclusion,
    kind: &'static str,
) -> &'static str {
    match shared.conclude(claim, conclusion, hold).await {
        Written::Yes | Written::Probably => {
            let (attempt, outcome) = (claim.attempt, conclusion.label());
            tracing::debug!(kind, job_id = %claim.fence.job, attempt, outcome, "attempt ended");
            outcome
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

/// Writes what follows an error; the label of the outcome.
pub(crate) async fn after_error(
    shared: &Shared,
    claim: &Claim,
    hold: &Hold,
    error: &JobError,
    policy: RetryPolicy,
    kind: &'static str,
) -> &'static str {
    let Some(conclusion) = judge(claim, hold, error, policy) else {
        metrics::counter!("stale_write_rejected_total").increment(1);
        tracing::info!(kind, job_id = %claim.fence.job, "the attempt had lost its job, nothing of it was written");
        return "fenced";
    };
    let span = Span::current();
    span.record("error.type", error.code());
    span.record("otel.status_code", "ERROR");
    tracing::warn!(
        kind,
        job_id = %claim.fence.job,
        attempt = claim.attempt,
        max_attempts = claim.max_attempts,
        code = error.code(),
        error = chassis::telemetry::chain(error),
        next = conclusion.label(),
        "attempt failed"
    );
    write(shared, claim, hold, &conclusion, kind).await
}

/// What follows an error; `None` when the job is not ours any more.
fn judge(claim: &Claim, hold: &Hold, error: &JobError, policy: RetryPolicy) -> Option<Conclusion> {
    let verdict = match error.ending() {
        Ending::Fenced => return None,
        // Whatever it failed with, it had been asked to stop.
        _ if hold.cancel_requested.is_cancelled() => return Some(Conclusion::Cancel),
        Ending::Cancelled if hold.lost.is_cancelled() => return None,
        // It stopped unasked: an attempt like any other that did not finish.
        Ending::Cancelled => Verdict::Retry,
        Ending::Failed(verdict) => verdict,
    };
    Some(Conclusion::of_failure(claim, error, verdict, policy))
}

/// The longest time that an attempt may take.
pub(crate) fn limit(claim: &Claim) -> Duration {
    Duration::from_secs(u64::from(claim.attempt_seconds.unsigned_abs()))
}

/// An attempt that took too long.
pub(crate) fn too_long(limit: Duration) -> JobError {
    JobError::retry("attempt_deadline", format!("the attempt took longer than its {} s", limit.as_secs()))
}

/// Runs the handler until it returns or must stop; dropped then, what it had not committed never happened.
async fn drive(
    shared: &Shared,
    handler: &dyn AnyHandler,
    claim: &Arc<Claim>,
    payload: Value,
    hold: &Arc<Hold>,
) -> End {
    let limit = limit(claim);
    let shutdown = &shared.host.shutdown;
    let draining = shutdown.draining().child_token();
    let context = JobContext::new(
        claim.clone(),
        shared.store.clone(),
        hold.clone(),
        draining.clone(),
        Instant::now() + limit,
    );
    // What it has begun may end; then it stops as it would for a deploy.
    let switched = async {
        let by = shared.flags.until_held(claim.fence.company, &claim.kind).await;
        draining.cancel();
        pause(HELD_GRACE).await;
        by
    };
    let ignored = async {
        hold.cancel_requested.cancelled().await;
        pause(CANCEL_GRACE).await;
    };
    let stopping = shutdown.stopping();
    tokio::select! {
        biased;
        () = hold.lost.cancelled() => End::LeaseLost,
        result = panics::catch(handler.run(claim.version, payload, context)) => End::Returned(result),
        () = stopping.cancelled() => End::Stopping,
        () = ignored => End::CancelIgnored,
        (flag, away) = switched => End::Held(flag, away),
        () = pause(limit) => End::Returned(Err(too_long(limit))),
    }
}
