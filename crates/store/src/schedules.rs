//! Schedules and what became of their occurrences.
//!
//! A schedule comes from the environment ([`ensure`]) and can be changed by operators ([`set_active`],
//! [`set_schedule`]); the scheduler decides its occurrences ([`lock_due`], [`record_run`], [`decided`]) in the
//! dispatch role, one row each, whatever their number.

mod decide;
mod ensure;

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use domain::schedule::Missed;
use serde_json::Value;
use uuid::Uuid;

pub use decide::{RunStatus, database_time, decided, lock_due, record_run, served_by};
pub use ensure::{DefaultSchedule, ensure};

use crate::error::{Doing, Result, StoreError};
use crate::pool::Tx;

/// A schedule.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Key.
    pub jobid: i64,
    /// Owner.
    pub company: CompanyId,
    /// Name, unique in the company.
    pub jobname: String,
    /// Cron expression of five or six fields.
    pub schedule: String,
    /// IANA zone that it is read in.
    pub time_zone: String,
    /// Job kind that an occurrence enqueues.
    pub command: String,
    /// Payload of that job.
    pub payload: Value,
    /// Whether occurrences run.
    pub active: bool,
    /// What happens to occurrences that nobody was there for.
    pub missed_policy: Missed,
    /// Occurrences up to here are decided.
    pub decided_until: DateTime<Utc>,
    /// The next occurrence, once computed.
    pub next_run_at: Option<DateTime<Utc>>,
    /// Who changed it last: a user, or `environment`.
    pub updated_by: Option<String>,
    /// When it was changed last.
    pub updated_at: DateTime<Utc>,
}

/// A row as it is stored.
struct Row {
    jobid: i64,
    company_id: Uuid,
    jobname: String,
    schedule: String,
    time_zone: String,
    command: String,
    payload: Value,
    active: bool,
    missed_policy: String,
    decided_until: DateTime<Utc>,
    next_run_at: Option<DateTime<Utc>>,
    updated_by: Option<String>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<Row> for Schedule {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        let missed_policy = row.missed_policy.parse().map_err(|_| StoreError::Malformed {
            what: "schedules.missed_policy",
            value: row.missed_policy.clone(),
        })?;
        Ok(Self {
            jobid: row.jobid,
            company: CompanyId(row.company_id),
            jobname: row.jobname,
            schedule: row.schedule,
            time_zone: row.time_zone,
            command: row.command,
            payload: row.payload,
            active: row.active,
            missed_policy,
            decided_until: row.decided_until,
            next_run_at: row.next_run_at,
            updated_by: row.updated_by,
            updated_at: row.updated_at,
        })
    }
}

/// A schedule of the company by name.
///
/// # Errors
/// As every statement.
pub async fn find(tx: &mut Tx, company: CompanyId, jobname: &str) -> Result<Option<Schedule>> {
    sqlx::query_as!(
        Row,
        "SELECT jobid, company_id, jobname, schedule, time_zone, command, payload, active, missed_policy,
             decided_until, next_run_at, updated_by, updated_at
         FROM schedules WHERE company_id = $1 AND jobname = $2",
        company.uuid(),
        jobname,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading a schedule")?
    .map(Schedule::try_from)
    .transpose()
}

/// Every schedule of the company, by name.
///
/// # Errors
/// As every statement.
pub async fn list(tx: &mut Tx, company: CompanyId) -> Result<Vec<Schedule>> {
    sqlx::query_as!(
        Row,
        "SELECT jobid, company_id, jobname, schedule, time_zone, command, payload, active, missed_policy,
             decided_until, next_run_at, updated_by, updated_at
         FROM schedules WHERE company_id = $1 ORDER BY jobname",
        company.uuid(),
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing schedules")?
    .into_iter()
    .map(Schedule::try_from)
    .collect()
}

/// Switches a schedule on or off; false when there is none. Switched on, it starts with the next
/// occurrence: those that passed meanwhile stay passed.
///
/// # Errors
/// As every statement.
pub async fn set_active(
    tx: &mut Tx,
    company: CompanyId,
    jobname: &str,
    active: bool,
    by: &str,
) -> Result<bool> {
    sqlx::query!(
        "UPDATE schedules SET active = $3, updated_by = $4, updated_at = clock_timestamp(),
             decided_until = CASE WHEN $3 AND NOT active THEN greatest(decided_until, clock_timestamp())
                 ELSE decided_until END,
             next_run_at = CASE WHEN $3 AND NOT active THEN NULL ELSE next_run_at END
         WHERE company_id = $1 AND jobname = $2",
        company.uuid(),
        jobname,
        active,
        by,
    )
    .execute(tx.conn())
    .await
    .doing("switching a schedule")
    .map(|done| done.rows_affected() > 0)
}

/// Gives a schedule another expression and zone; false when there is none. Check them with
/// `domain::schedule::CronExpr::parse` first.
///
/// # Errors
/// As every statement.
pub async fn set_schedule(
    tx: &mut Tx,
    company: CompanyId,
    jobname: &str,
    (expression, time_zone): (&str, &str),
    by: &str,
) -> Result<bool> {
    sqlx::query!(
        "UPDATE schedules SET schedule = $3, time_zone = $4, updated_by = $5, updated_at = clock_timestamp(),
             decided_until = greatest(decided_until, clock_timestamp()), next_run_at = NULL
         WHERE company_id = $1 AND jobname = $2",
        company.uuid(),
        jobname,
        expression,
        time_zone,
        by,
    )
    .execute(tx.conn())
    .await
    .doing("changing a schedule")
    .map(|done| done.rows_affected() > 0)
}

/// What became of an occurrence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleRun {
    /// The instant that the schedule names.
    pub occurrence_at: DateTime<Utc>,
    /// `enqueued` or `skipped`.
    pub status: String,
    /// Why it was skipped.
    pub reason: Option<String>,
    /// Its job.
    pub job_id: Option<Uuid>,
    /// State of the job, while the job is kept.
    pub job_state: Option<String>,
    /// When it was decided.
    pub start_time: DateTime<Utc>,
    /// When it was over: the end of its job, or the decision to skip.
    pub end_time: Option<DateTime<Utc>>,
    /// What its job said, or why it was skipped.
    pub return_message: Option<String>,
}

/// Latest occurrences of a schedule, newest first.
///
/// # Errors
/// As every statement.
pub async fn runs(tx: &mut Tx, company: CompanyId, jobname: &str, limit: i64) -> Result<Vec<ScheduleRun>> {
    sqlx::query_as!(
        ScheduleRun,
        r#"SELECT r.occurrence_at, r.status, r.reason, r.job_id, j.state AS "job_state?", r.start_time,
               coalesce(r.end_time, j.finished_at) AS "end_time?",
               coalesce(r.return_message, j.errors -> -1 ->> 'message') AS "return_message?"
           FROM schedule_runs r JOIN schedules s ON s.jobid = r.jobid
               LEFT JOIN jobs j ON j.id = r.job_id
           WHERE s.company_id = $1 AND s.jobname = $2
           ORDER BY r.occurrence_at DESC LIMIT $3"#,
        company.uuid(),
        jobname,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing occurrences")
}
