//! Running a schedule now, because someone asks for it.

use domain::ids::{CompanyId, JobId};
use uuid::Uuid;

use super::{RunStatus, Schedule, job_of, record_run};
use crate::error::{Doing, Result};
use crate::jobs::{Enqueued, enqueue};
use crate::pool::Tx;

/// Priority of a job that a person waits for.
const PRIORITY: i16 = 9;
/// Two requests within this time are one, also when the job of the first is over already.
const DOUBLE_CLICK_SECONDS: f64 = 2.0;

/// What became of the request.
#[derive(Debug)]
pub enum Triggered {
    /// A job of its own.
    New(JobId),
    /// The job of an earlier request waits, runs, or ended a moment ago.
    Coalesced(JobId),
    /// The schedule names a job that cannot be made.
    Invalid(contracts::jobs::PayloadError),
}

/// Enqueues the schedule's job as an extra occurrence with a row of its own, for reason `manual`, whether the
/// schedule is paused or not. `None` when there is no such schedule.
///
/// # Errors
/// As every statement.
pub async fn trigger(tx: &mut Tx, company: CompanyId, jobname: &str, by: &str) -> Result<Option<Triggered>> {
    // Serialises the requests of one schedule, so that the second sees the first's row.
    sqlx::query!(
        "SELECT jobid FROM schedules WHERE company_id = $1 AND jobname = $2 FOR UPDATE",
        company.uuid(),
        jobname,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("locking a schedule")?;
    let Some(schedule) = super::find(tx, company, jobname).await? else { return Ok(None) };
    if let Some(job) = earlier(tx, &schedule).await? {
        return Ok(Some(Triggered::Coalesced(JobId(job))));
    }
    let job = match job_of(&schedule, by)? {
        Ok(job) => job.dedupe(format!("{jobname}:manual")).priority(PRIORITY),
        Err(error) => return Ok(Some(Triggered::Invalid(error))),
    };
    // Occurrences of expressions lie on whole seconds; an extra one never does.
    let moment = sqlx::query_scalar!(
        r#"SELECT at + CASE WHEN at = date_trunc('second', at) THEN interval '1 microsecond' ELSE interval '0' END
               AS "at!"
           FROM (SELECT clock_timestamp() AS at) now"#
    )
    .fetch_one(tx.conn())
    .await
    .doing("reading the database's clock")?;
    let id = job.id;
    record_run(tx, &schedule, moment, RunStatus::Enqueued(id.uuid(), "manual")).await?;
    Ok(Some(match enqueue(tx, job).await? {
        Enqueued::New(job) => Triggered::New(job),
        Enqueued::Coalesced(waiting) => {
            super::overlapped(tx, &schedule, moment, waiting.uuid()).await?;
            Triggered::Coalesced(waiting)
        }
    }))
}

/// The job of a request that this one repeats.
async fn earlier(tx: &mut Tx, schedule: &Schedule) -> Result<Option<Uuid>> {
    let found = sqlx::query_scalar!(
        r#"SELECT r.job_id AS "job!" FROM schedule_runs r
           WHERE r.jobid = $1 AND r.reason = 'manual' AND r.job_id IS NOT NULL
               AND r.occurrence_at > clock_timestamp() - interval '1 day'
               AND (r.occurrence_at > clock_timestamp() - make_interval(secs => $2)
                   OR EXISTS (SELECT FROM jobs_live l WHERE l.id = r.job_id))
           ORDER BY r.occurrence_at DESC LIMIT 1"#,
        schedule.jobid,
        DOUBLE_CLICK_SECONDS,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("looking for an earlier request")?;
    Ok(found)
}
