//! What became of occurrences.

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use uuid::Uuid;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// What became of an occurrence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleRun {
    /// The schedule's key.
    pub jobid: i64,
    /// The instant that the schedule names, or the moment of a manual run.
    pub occurrence_at: DateTime<Utc>,
    /// `enqueued`, `succeeded`, `failed`, `cancelled` or `skipped`.
    pub status: String,
    /// Why it ran or did not.
    pub reason: Option<String>,
    /// Occurrences that the row stands for.
    pub covers: i64,
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
    runs_page(tx, company, jobname, None, limit).await
}

/// Occurrences of a schedule before `before`, newest first.
///
/// # Errors
/// As every statement.
pub async fn runs_page(
    tx: &mut Tx,
    company: CompanyId,
    jobname: &str,
    before: Option<DateTime<Utc>>,
    limit: i64,
) -> Result<Vec<ScheduleRun>> {
    sqlx::query_as!(
        ScheduleRun,
        r#"SELECT r.jobid, r.occurrence_at, r.status, r.reason, r.covers, r.job_id, j.state AS "job_state?",
               r.start_time, coalesce(r.end_time, j.finished_at) AS "end_time?",
               coalesce(r.return_message, j.errors -> -1 ->> 'message') AS "return_message?"
           FROM (
               SELECT r.* FROM schedule_runs r JOIN schedules s ON s.jobid = r.jobid
               WHERE s.company_id = $1 AND s.jobname = $2 AND ($3::timestamptz IS NULL OR r.occurrence_at < $3)
               ORDER BY r.occurrence_at DESC LIMIT $4
           ) r LEFT JOIN jobs j ON j.id = r.job_id
           ORDER BY r.occurrence_at DESC"#,
        company.uuid(),
        jobname,
        before,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing occurrences")
}

/// For each schedule of the company its latest occurrence that ran.
///
/// # Errors
/// As every statement.
pub async fn latest_runs(tx: &mut Tx, company: CompanyId) -> Result<Vec<ScheduleRun>> {
    sqlx::query_as!(
        ScheduleRun,
        r#"SELECT r.jobid, r.occurrence_at, r.status, r.reason, r.covers, r.job_id, j.state AS "job_state?",
               r.start_time, coalesce(r.end_time, j.finished_at) AS "end_time?",
               coalesce(r.return_message, j.errors -> -1 ->> 'message') AS "return_message?"
           FROM schedules s CROSS JOIN LATERAL (
               SELECT * FROM schedule_runs WHERE jobid = s.jobid AND status <> 'skipped'
               ORDER BY occurrence_at DESC LIMIT 1
           ) r LEFT JOIN jobs j ON j.id = r.job_id
           WHERE s.company_id = $1"#,
        company.uuid(),
    )
    .fetch_all(tx.conn())
    .await
    .doing("reading the latest occurrences")
}
