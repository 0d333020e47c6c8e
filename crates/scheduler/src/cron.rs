//! Occurrences of schedules: one row each, in the transaction that enqueues the job.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::schedule::{CronExpr, Decision, DecisionReason, MAX_COUNTED, Missed, Omitted, share};
use domain::time::after;
use store::jobs::{Enqueued, enqueue};
use store::schedules::{RunStatus, Schedule, decided, job_of, lock_due, overlapped, record_many, record_run};
use store::{Store, StoreError, Tx};
use tracing::Instrument;

/// Schedules of one transaction.
const LIMIT: i64 = 50;
/// A schedule that cannot be read is looked at again after this.
const INVALID_AGAIN: Duration = Duration::from_hours(1);
/// Why an occurrence of a schedule that is switched off does not run.
const PAUSED: &str = "paused";
/// Priority of scheduled work: below what a person or a notification asks for.
const PRIORITY: i16 = 2;

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Decided {
    /// Schedules that were looked at.
    pub schedules: usize,
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
        total.schedules += 1;
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
    if now < schedule.decided_until {
        tracing::warn!(
            schedule = schedule.jobname,
            decided_until = %schedule.decided_until,
            now = %now,
            "the database's clock went back: occurrences that are decided do not run again; to begin with the \
             next one at once, pause and resume the schedule"
        );
    }
    let policy = if schedule.active { schedule.missed_policy } else { Missed::Skip };
    let due = expression.due(schedule.decided_until, now, policy);
    if let Some(omitted) = due.omitted {
        skip_many(tx, schedule, omitted, &mut done).await?;
    }
    for decision in due.decisions {
        if !schedule.active {
            skip(tx, schedule, decision.occurrence, PAUSED, &mut done).await?;
        } else if decision.run {
            run(tx, schedule, &expression, decision, &mut done).await?;
        } else {
            skip(tx, schedule, decision.occurrence, decision.reason.as_str(), &mut done).await?;
        }
    }
    let next = expression.next_after(now.max(schedule.decided_until)).unwrap_or(DateTime::<Utc>::MAX_UTC);
    decided(tx, schedule.jobid, now, Some(next)).await?;
    Ok(done)
}

async fn run(
    tx: &mut Tx,
    schedule: &Schedule,
    expression: &CronExpr,
    decision: Decision,
    done: &mut Decided,
) -> Result<(), StoreError> {
    let occurrence = decision.occurrence;
    let job = match job_of(schedule, &format!("schedule:{}", schedule.jobname))? {
        Ok(job) => job.dedupe(schedule.jobname.as_str()).priority(PRIORITY),
        Err(error) => {
            tracing::error!(schedule = schedule.jobname, error = %error, "a schedule names a job that cannot be made");
            return skip(tx, schedule, occurrence, "invalid", done).await;
        }
    };
    let jitter = Duration::from_secs(u64::from(schedule.jitter_seconds.unsigned_abs()));
    let job = match share(schedule.jobid, occurrence, jitter) {
        Duration::ZERO => job,
        later => job.run_at(after(occurrence, later)),
    };
    let reason = match decision.reason {
        DecisionReason::Due if expression.after_gap(occurrence) => "dst_gap",
        reason => reason.as_str(),
    };
    if !record_run(tx, schedule, occurrence, RunStatus::Enqueued(job.id.uuid(), reason)).await? {
        return Ok(());
    }
    let enqueued = enqueue(tx, job).await?;
    if let Enqueued::Coalesced(waiting) = enqueued {
        overlapped(tx, schedule, occurrence, waiting.uuid()).await?;
        tracing::info!(schedule = schedule.jobname, occurrence = %occurrence, job_id = %waiting, "an occurrence overlaps");
        count(schedule, "overlap", 1);
        done.skipped += 1;
        return Ok(());
    }
    tracing::info!(
        schedule = schedule.jobname,
        occurrence = %occurrence,
        reason,
        job_id = %enqueued.id(),
        "an occurrence runs"
    );
    count(schedule, "enqueued", 1);
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
        count(schedule, reason, 1);
        done.skipped += 1;
    }
    Ok(())
}

/// One row for occurrences that are too many for a row each.
async fn skip_many(
    tx: &mut Tx,
    schedule: &Schedule,
    omitted: Omitted,
    done: &mut Decided,
) -> Result<(), StoreError> {
    let reason = if schedule.active { omitted.reason.as_str() } else { PAUSED };
    let more = if omitted.count < MAX_COUNTED { "" } else { "at least " };
    let message = format!(
        "{more}{} occurrences from {} to {} did not run; this row stands for all of them",
        omitted.count,
        omitted.first.to_rfc3339(),
        omitted.last.to_rfc3339()
    );
    let covers = i64::try_from(omitted.count).unwrap_or(i64::MAX);
    if record_many(tx, schedule, omitted.last, (covers, reason, &message)).await? {
        tracing::warn!(schedule = schedule.jobname, reason, message, "occurrences did not run");
        count(schedule, reason, u64::try_from(omitted.count).unwrap_or(u64::MAX));
        done.skipped += omitted.count;
    }
    Ok(())
}

fn count(schedule: &Schedule, result: &'static str, number: u64) {
    metrics::counter!("schedule_occurrences_total", "schedule" => schedule.jobname.clone(), "result" => result)
        .increment(number);
}
