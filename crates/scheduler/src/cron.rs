//! Occurrences of schedules: one row each, in the transaction that enqueues the job.

use std::time::Duration;

use chrono::{DateTime, Utc};
use contracts::jobs::{JobPayload, PayloadError, PurgeFinished, SweepDrives};
use domain::schedule::{CronExpr, DecisionReason, Missed};
use domain::time::after;
use store::jobs::{Enqueued, NewJob, enqueue};
use store::schedules::{RunStatus, Schedule, decided, lock_due, record_run, served_by};
use store::{Store, StoreError, Tx};
use tracing::Instrument;

/// Schedules of one transaction.
const LIMIT: i64 = 50;
/// A schedule that cannot be read is looked at again after this.
const INVALID_AGAIN: Duration = Duration::from_hours(1);
/// Priority of scheduled work: below what a person or a notification asks for.
const PRIORITY: i16 = 2;

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Decided {
    /// Occurrences that run.
    pub enqueued: usize,
    /// Occurrences that do not.
    pub skipped: usize,
}

/// Decides every occurrence that is due on the database's clock, so that schedulers with clocks of their own
/// agree.
///
/// # Errors
/// As every statement; nothing is decided then.
pub async fn decide(store: &Store) -> Result<Decided, StoreError> {
    let mut tx = store.dispatch().await?;
    let now = store::schedules::database_time(&mut tx).await?;
    let decided = decide_at(&mut tx, now).await?;
    tx.commit().await?;
    Ok(decided)
}

/// Decides what is due at `now`, in a dispatch transaction.
///
/// # Errors
/// As every statement.
pub async fn decide_at(tx: &mut Tx, now: DateTime<Utc>) -> Result<Decided, StoreError> {
    let mut total = Decided::default();
    for schedule in lock_due(tx, now, LIMIT).await? {
        // A trace of its own for what the occurrence causes.
        let span = tracing::info_span!(parent: None, "schedule", jobname = schedule.jobname, company_id = %schedule.company);
        let one = decide_schedule(tx, &schedule, now).instrument(span).await?;
        total.enqueued += one.enqueued;
        total.skipped += one.skipped;
    }
    Ok(total)
}

async fn decide_schedule(
    tx: &mut Tx,
    schedule: &Schedule,
    now: DateTime<Utc>,
) -> Result<Decided, StoreError> {
    let mut done = Decided::default();
    let expression = match CronExpr::parse(&schedule.schedule, &schedule.time_zone) {
        Ok(expression) => expression,
        Err(fault) => {
            tracing::error!(schedule = schedule.jobname, error = %fault, "a stored schedule cannot be read");
            skip(tx, schedule, now, "invalid", &mut done).await?;
            decided(tx, schedule.jobid, now, Some(after(now, INVALID_AGAIN))).await?;
            return Ok(done);
        }
    };
    let policy = if schedule.active { schedule.missed_policy } else { Missed::Skip };
    for decision in expression.due(schedule.decided_until, now, policy) {
        if !schedule.active {
            skip(tx, schedule, decision.occurrence, "disabled", &mut done).await?;
        } else if decision.run {
            run(tx, schedule, decision.occurrence, decision.reason, &mut done).await?;
        } else {
            skip(tx, schedule, decision.occurrence, decision.reason.as_str(), &mut done).await?;
        }
    }
    let next = expression.next_after(now).unwrap_or(DateTime::<Utc>::MAX_UTC);
    decided(tx, schedule.jobid, now, Some(next)).await?;
    Ok(done)
}

async fn run(
    tx: &mut Tx,
    schedule: &Schedule,
    occurrence: DateTime<Utc>,
    reason: DecisionReason,
    done: &mut Decided,
) -> Result<(), StoreError> {
    let job = match job_of(schedule)? {
        Ok(job) => job,
        Err(error) => {
            tracing::error!(schedule = schedule.jobname, error = %error, "a schedule names a job that cannot be made");
            return skip(tx, schedule, occurrence, "invalid", done).await;
        }
    };
    if !record_run(tx, schedule, occurrence, RunStatus::Enqueued(job.id.uuid())).await? {
        return Ok(());
    }
    let enqueued = enqueue(tx, job).await?;
    if let Enqueued::Coalesced(waiting) = enqueued {
        served_by(tx, schedule, occurrence, waiting.uuid()).await?;
    }
    tracing::info!(
        schedule = schedule.jobname,
        occurrence = %occurrence,
        reason = reason.as_str(),
        job_id = %enqueued.id(),
        "an occurrence runs"
    );
    count(schedule, "enqueued");
    done.enqueued += 1;
    Ok(())
}

async fn skip(
    tx: &mut Tx,
    schedule: &Schedule,
    occurrence: DateTime<Utc>,
    reason: &'static str,
    done: &mut Decided,
) -> Result<(), StoreError> {
    if record_run(tx, schedule, occurrence, RunStatus::Skipped(reason)).await? {
        count(schedule, reason);
        done.skipped += 1;
    }
    Ok(())
}

fn count(schedule: &Schedule, result: &'static str) {
    metrics::counter!("schedule_occurrences_total", "schedule" => schedule.jobname.clone(), "result" => result)
        .increment(1);
}

/// The job of an occurrence, with the payload read as its type.
fn job_of(schedule: &Schedule) -> Result<Result<NewJob, PayloadError>, StoreError> {
    match schedule.command.as_str() {
        SweepDrives::KIND => typed::<SweepDrives>(schedule),
        PurgeFinished::KIND => typed::<PurgeFinished>(schedule),
        other => Ok(Err(PayloadError::UnknownKind { kind: other.to_owned() })),
    }
}

fn typed<P: JobPayload>(schedule: &Schedule) -> Result<Result<NewJob, PayloadError>, StoreError> {
    let payload = match P::decode(P::VERSION, schedule.payload.clone()) {
        Ok(payload) => payload,
        Err(error) => return Ok(Err(error)),
    };
    let job = NewJob::new(schedule.company, &payload, format!("schedule:{}", schedule.jobname))?;
    Ok(Ok(job.dedupe(schedule.jobname.as_str()).priority(PRIORITY)))
}
