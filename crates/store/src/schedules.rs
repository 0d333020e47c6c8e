//! Schedules and what became of their occurrences.
//!
//! A schedule comes from the environment ([`ensure`]) and can be changed by people ([`set_active`], [`update`],
//! [`trigger`]); the scheduler decides its occurrences ([`lock_due`], [`record_run`], [`decided`]) in the
//! dispatch role.

mod change;
mod decide;
mod ensure;
mod job;
mod runs;
mod trigger;

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use domain::schedule::Missed;
use serde_json::Value;
use uuid::Uuid;

pub use change::{Change, set_active, set_active_because, set_schedule, update};
pub use decide::{RunStatus, database_time, decided, lock_due, overlapped, record_many, record_run, settle};
pub use ensure::{DefaultSchedule, ensure};
pub use job::job_of;
pub use runs::{ScheduleRun, latest_runs, runs, runs_page};
pub use trigger::{Triggered, trigger};

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
    /// A job starts up to this many seconds after its occurrence.
    pub jitter_seconds: i32,
    /// What it is for.
    pub description: String,
    /// Occurrences up to here are decided.
    pub decided_until: DateTime<Utc>,
    /// The next occurrence, once computed.
    pub next_run_at: Option<DateTime<Utc>>,
    /// Who changed it last: a user, or `environment`.
    pub updated_by: Option<String>,
    /// Why, when they said so.
    pub updated_reason: Option<String>,
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
    jitter_seconds: i32,
    description: String,
    decided_until: DateTime<Utc>,
    next_run_at: Option<DateTime<Utc>>,
    updated_by: Option<String>,
    updated_reason: Option<String>,
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
            jitter_seconds: row.jitter_seconds,
            description: row.description,
            decided_until: row.decided_until,
            next_run_at: row.next_run_at,
            updated_by: row.updated_by,
            updated_reason: row.updated_reason,
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
             jitter_seconds, description, decided_until, next_run_at, updated_by, updated_reason, updated_at
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
             jitter_seconds, description, decided_until, next_run_at, updated_by, updated_reason, updated_at
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
