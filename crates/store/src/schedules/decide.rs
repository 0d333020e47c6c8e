//! Deciding occurrences. In a dispatch transaction, which also enqueues the jobs.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Row, Schedule};
use crate::error::{Doing, Result};
use crate::pool::Tx;

/// What is recorded about an occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStatus<'a> {
    /// This job serves it, for this reason: `due`, `catch_up`, `dst_gap` or `manual`.
    Enqueued(Uuid, &'a str),
    /// It does not run, for this reason: `paused`, `missed`, `superseded` or `invalid`.
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
             jitter_seconds, description, decided_until, next_run_at, updated_by, updated_reason, updated_at
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
        RunStatus::Enqueued(job, reason) => ("enqueued", reason, Some(job)),
        RunStatus::Skipped(reason) => ("skipped", reason, None),
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

/// Records in one row, at the last of them, that `covers` occurrences did not run; false when the row is there
/// already.
///
/// # Errors
/// As every statement.
pub async fn record_many(
    tx: &mut Tx,
    schedule: &Schedule,
    last: DateTime<Utc>,
    (covers, reason, message): (i64, &str, &str),
) -> Result<bool> {
    sqlx::query!(
        "INSERT INTO schedule_runs (jobid, occurrence_at, company_id, status, reason, covers, return_message, end_time)
         VALUES ($1, $2, $3, 'skipped', $4, $5, $6, clock_timestamp())
         ON CONFLICT (jobid, occurrence_at) DO NOTHING",
        schedule.jobid,
        last,
        schedule.company.uuid(),
        reason,
        covers,
        message,
    )
    .execute(tx.conn())
    .await
    .doing("recording missed occurrences")
    .map(|done| done.rows_affected() > 0)
}

/// The occurrence has no job of its own after all: the one of an earlier occurrence still waits.
///
/// # Errors
/// As every statement.
pub async fn overlapped(
    tx: &mut Tx,
    schedule: &Schedule,
    occurrence: DateTime<Utc>,
    waiting: Uuid,
) -> Result<()> {
    sqlx::query!(
        "UPDATE schedule_runs SET status = 'skipped', reason = 'overlap', job_id = $3, end_time = clock_timestamp(),
             return_message = 'the job of an earlier occurrence was still waiting, and serves this one'
         WHERE jobid = $1 AND occurrence_at = $2",
        schedule.jobid,
        occurrence,
        waiting,
    )
    .execute(tx.conn())
    .await
    .doing("recording an overlap")
    .map(drop)
}

/// Occurrences up to `until` are decided, `next` is the next one. What was decided later stays decided, whatever
/// the clock says now.
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

/// Writes down how the jobs of at most `limit` occurrences ended; returns how many. Occurrences whose job is not
/// over are left as they are.
///
/// # Errors
/// As every statement.
pub async fn settle(tx: &mut Tx, limit: i64) -> Result<u64> {
    sqlx::query!(
        "WITH open AS (
             SELECT jobid, occurrence_at, job_id FROM schedule_runs r
             WHERE status = 'enqueued' AND NOT EXISTS (SELECT FROM jobs_live l WHERE l.id = r.job_id)
             LIMIT $1 FOR UPDATE SKIP LOCKED
         )
         UPDATE schedule_runs r SET
             status = CASE j.state WHEN 'succeeded' THEN 'succeeded' WHEN 'dead' THEN 'failed' ELSE 'cancelled' END,
             end_time = coalesce(j.finished_at, clock_timestamp()),
             return_message = CASE WHEN j.id IS NULL THEN 'its job was discarded'
                 WHEN j.state = 'succeeded' THEN left(j.result::text, 500)
                 ELSE left(j.errors -> -1 ->> 'message', 500) END
         FROM open LEFT JOIN LATERAL (
             SELECT id, state, finished_at, result, errors FROM jobs
             WHERE id = open.job_id AND state IN ('succeeded', 'cancelled', 'dead')
         ) j ON true
         WHERE r.jobid = open.jobid AND r.occurrence_at = open.occurrence_at",
        limit,
    )
    .execute(tx.conn())
    .await
    .doing("settling occurrences")
    .map(|done| done.rows_affected())
}
