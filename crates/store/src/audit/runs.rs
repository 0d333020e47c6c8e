//! Runs of retention, verification and restore, and what they did.

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use serde_json::Value;
use uuid::Uuid;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// What a run is.
#[derive(Debug, Clone)]
pub struct NewRun<'a> {
    /// `retention`, `verify` or `restore`.
    pub kind: &'a str,
    /// The job that runs it.
    pub job: Uuid,
    /// Changes nothing.
    pub dry_run: bool,
    /// Who asked.
    pub requested_by: &'a str,
}

/// Begins a run, or goes on with the one that the job began; its id.
///
/// # Errors
/// As every statement.
pub async fn begin(tx: &mut Tx, company: CompanyId, run: &NewRun<'_>) -> Result<Uuid> {
    sqlx::query_scalar!(
        "INSERT INTO audit_retention_runs (id, company_id, job_id, kind, state, dry_run, requested_by)
         VALUES ($1, $2, $3, $4, 'running', $5, $6)
         ON CONFLICT (job_id) DO UPDATE SET state = 'running', ended_at = NULL RETURNING id",
        chassis::ids::new_id(),
        company.uuid(),
        run.job,
        run.kind,
        run.dry_run,
        run.requested_by,
    )
    .fetch_one(tx.conn())
    .await
    .doing("beginning a retention run")
}

/// Ends a run.
///
/// # Errors
/// As every statement.
pub async fn end(tx: &mut Tx, company: CompanyId, id: Uuid, succeeded: bool, result: &Value) -> Result<()> {
    sqlx::query!(
        "UPDATE audit_retention_runs SET state = $3, result = $4, ended_at = clock_timestamp()
         WHERE company_id = $1 AND id = $2",
        company.uuid(),
        id,
        if succeeded { "succeeded" } else { "failed" },
        result,
    )
    .execute(tx.conn())
    .await
    .doing("ending a retention run")
    .map(drop)
}

/// A run.
#[derive(Debug, Clone)]
pub struct Run {
    /// Id.
    pub id: Uuid,
    /// `retention`, `verify` or `restore`.
    pub kind: String,
    /// `running`, `succeeded` or `failed`.
    pub state: String,
    /// Its job.
    pub job_id: Option<Uuid>,
    /// Changes nothing.
    pub dry_run: bool,
    /// Who asked.
    pub requested_by: String,
    /// What it found or did.
    pub result: Option<Value>,
    /// Begin.
    pub started_at: DateTime<Utc>,
    /// End.
    pub ended_at: Option<DateTime<Utc>>,
}

/// The company's runs before `before`, newest first.
///
/// # Errors
/// As every statement.
pub async fn page(
    tx: &mut Tx,
    company: CompanyId,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Run>> {
    let (at, id) = before.unzip();
    sqlx::query_as!(
        Run,
        "SELECT id, kind, state, job_id, dry_run, requested_by, result, started_at, ended_at FROM audit_retention_runs
         WHERE company_id = $1 AND ($2::timestamptz IS NULL OR (started_at, id) < ($2, $3))
         ORDER BY started_at DESC, id DESC LIMIT $4",
        company.uuid(),
        at,
        id,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("reading retention runs")
}

/// Notes what retention did.
///
/// # Errors
/// As every statement.
pub async fn note(
    tx: &mut Tx,
    company: CompanyId,
    (run, archive): (Option<Uuid>, Option<Uuid>),
    event: &str,
    detail: &Value,
    trace_id: Option<&str>,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO audit_retention_events (id, company_id, run_id, archive_id, event, detail, trace_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        chassis::ids::new_id(),
        company.uuid(),
        run,
        archive,
        event,
        detail,
        trace_id,
    )
    .execute(tx.conn())
    .await
    .doing("noting what retention did")
    .map(drop)
}

/// What retention did.
#[derive(Debug, Clone)]
pub struct Event {
    /// Id.
    pub id: Uuid,
    /// Run.
    pub run_id: Option<Uuid>,
    /// Archive.
    pub archive_id: Option<Uuid>,
    /// When.
    pub occurred_at: DateTime<Utc>,
    /// Such as `archive.verified`.
    pub event: String,
    /// More about it.
    pub detail: Value,
    /// Trace of the job.
    pub trace_id: Option<String>,
}

/// What retention did for the company before `before`, newest first.
///
/// # Errors
/// As every statement.
pub async fn events(
    tx: &mut Tx,
    company: CompanyId,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Event>> {
    let (at, id) = before.unzip();
    sqlx::query_as!(
        Event,
        "SELECT id, run_id, archive_id, occurred_at, event, detail, trace_id FROM audit_retention_events
         WHERE company_id = $1 AND ($2::timestamptz IS NULL OR (occurred_at, id) < ($2, $3))
         ORDER BY occurred_at DESC, id DESC LIMIT $4",
        company.uuid(),
        at,
        id,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("reading what retention did")
}
