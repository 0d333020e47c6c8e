//! Deciding occurrences. In a dispatch transaction, which also enqueues the jobs.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Row, Schedule};
use crate::error::{Doing, Result};
use crate::pool::Tx;

/// What is recorded about an occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStatus<'a> {
    /// This job serves it.
    Enqueued(Uuid),
    /// It does not run, for this reason: `disabled`, `missed`, `superseded` or `invalid`.
    Skipped(&'a str),
}

/// The database's clock.
///
/// # Errors
/// As every statement.
pub async fn database_time(tx: &mut Tx) -> Result<DateTime<Utc>> {
    sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#)
        .fetch_one(tx.conn())
        .await
        .doing("reading the database's clock")
}

/// Schedules with occurrences up to `now`, or whose next one is not known yet. Other schedulers pass over
/// them until this transaction ends.
///
/// # Errors
/// As every statement.
pub async fn lock_due(tx: &mut Tx, now: DateTime<Utc>, limit: i64) -> Result<Vec<Schedule>> {
    sqlx::query_as!(
        Row,
        "SELECT jobid, company_id, jobname, schedule, time_zone, command, payload, active, missed_policy,
             decided_until, next_run_at, updated_by, updated_at
         FROM schedules WHERE next_run_at IS NULL OR next_run_at <= $1
         ORDER BY next_run_at NULLS FIRST, jobid LIMIT $2 FOR UPDATE SKIP LOCKED",
        now,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("locking due schedules")?
    .into_iter()
    .map(Schedule::try_from)
    .collect()
}

/// Records an occurrence; false when it is recorded already, and must not run again.
///
/// # Errors
/// As every statement.
pub async fn record_run(
    tx: &mut Tx,
    schedule: &Schedule,
    occurrence: DateTime<Utc>,
    status: RunStatus<'_>,
) -> Result<bool> {
    let (name, reason, job) = match status {
        RunStatus::Enqueued(job) => ("enqueued", None, Some(job)),
        RunStatus::Skipped(reason) => ("skipped", Some(reason), None),
    };
    sqlx::query!(
        "INSERT INTO schedule_runs (jobid, occurrence_at, company_id, status, reason, job_id, end_time)
         VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $6::uuid IS NULL THEN clock_timestamp() END)
         ON CONFLICT (jobid, occurrence_at) DO NOTHING",
        schedule.jobid,
        occurrence,
        schedule.company.uuid(),
        name,
        reason,
        job,
    )
    .execute(tx.conn())
    .await
    .doing("recording an occurrence")
    .map(|done| done.rows_affected() > 0)
}

/// The occurrence's job was coalesced into a waiting one.
///
/// # Errors
/// As every statement.
pub async fn served_by(tx: &mut Tx, schedule: &Schedule, occurrence: DateTime<Utc>, job: Uuid) -> Result<()> {
    sqlx::query!(
        "UPDATE schedule_runs SET job_id = $3, return_message = 'served by a job that was waiting already'
         WHERE jobid = $1 AND occurrence_at = $2",
        schedule.jobid,
        occurrence,
        job,
    )
    .execute(tx.conn())
    .await
    .doing("pointing an occurrence to its job")
    .map(drop)
}

/// Occurrences up to `until` are decided, `next` is the next one.
///
/// # Errors
/// As every statement.
pub async fn decided(
    tx: &mut Tx,
    jobid: i64,
    until: DateTime<Utc>,
    next: Option<DateTime<Utc>>,
) -> Result<()> {
    sqlx::query!(
        "UPDATE schedules SET decided_until = greatest(decided_until, $2), next_run_at = $3 WHERE jobid = $1",
        jobid,
        until,
        next,
    )
    .execute(tx.conn())
    .await
    .doing("advancing a schedule")
    .map(drop)
}
