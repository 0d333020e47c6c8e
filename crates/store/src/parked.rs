//! Runs stopped by the mass-change breaker until a person decides (DESIGN law 10).

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use serde_json::Value;
use uuid::Uuid;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// A run to be stopped.
#[derive(Debug, Clone)]
pub struct NewParked {
    /// `onedrive`, ...
    pub source: String,
    /// Drive id, ...
    pub resource_id: String,
    /// Job that was stopped.
    pub job_id: Option<Uuid>,
    /// Living rows before the run.
    pub existing: i64,
    /// Rows that it would remove.
    pub would_delete: i64,
    /// A few of them, for the person who decides.
    pub sample: Value,
    /// Why it was stopped.
    pub reason: String,
}

/// A stopped run.
#[derive(Debug, Clone)]
pub struct Parked {
    /// Id.
    pub id: Uuid,
    /// `onedrive`, ...
    pub source: String,
    /// Drive id, ...
    pub resource_id: String,
    /// Job that was stopped.
    pub job_id: Option<Uuid>,
    /// Living rows before the run.
    pub existing: i64,
    /// Rows that it would remove.
    pub would_delete: i64,
    /// A few of them.
    pub sample: Value,
    /// Why it was stopped.
    pub reason: String,
    /// `pending`, `approved`, `rejected`.
    pub state: String,
    /// Who decided.
    pub decided_by: Option<String>,
    /// Decided at.
    pub decided_at: Option<DateTime<Utc>>,
    /// Stopped at.
    pub created_at: DateTime<Utc>,
}

/// Stops a run. A pending row of the same resource is brought up to date instead. Returns its id.
///
/// # Errors
/// As every statement.
pub async fn put(tx: &mut Tx, company: CompanyId, run: &NewParked) -> Result<Uuid> {
    sqlx::query_scalar!(
        "INSERT INTO sync_parked (id, company_id, source, resource_id, job_id, existing, would_delete, sample,
             reason)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (company_id, source, resource_id) WHERE state = 'pending' DO UPDATE
             SET job_id = excluded.job_id, existing = excluded.existing, would_delete = excluded.would_delete,
                 sample = excluded.sample, reason = excluded.reason
         RETURNING id",
        chassis::ids::new_id(),
        company.uuid(),
        run.source,
        run.resource_id,
        run.job_id,
        run.existing,
        run.would_delete,
        run.sample,
        run.reason,
    )
    .fetch_one(tx.conn())
    .await
    .doing("parking a run")
}

/// Stopped runs of the company, newest first; only those in `state` when it is given, only those before
/// (created_at, id) of the previous page's last row.
///
/// # Errors
/// As every statement.
pub async fn list(
    tx: &mut Tx,
    company: CompanyId,
    state: Option<&str>,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Parked>> {
    let (at, id) = before.unzip();
    sqlx::query_as!(
        Parked,
        "SELECT id, source, resource_id, job_id, existing, would_delete, sample, reason, state, decided_by,
             decided_at, created_at
         FROM sync_parked
         WHERE company_id = $1 AND ($2::text IS NULL OR state = $2)
             AND ($3::timestamptz IS NULL OR (created_at, id) < ($3, $4))
         ORDER BY created_at DESC, id DESC LIMIT $5",
        company.uuid(),
        state,
        at,
        id,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing parked runs")
}

/// The pending row of a resource.
///
/// # Errors
/// As every statement.
pub async fn pending(
    tx: &mut Tx,
    company: CompanyId,
    source: &str,
    resource_id: &str,
) -> Result<Option<Parked>> {
    sqlx::query_as!(
        Parked,
        "SELECT id, source, resource_id, job_id, existing, would_delete, sample, reason, state, decided_by,
             decided_at, created_at
         FROM sync_parked WHERE company_id = $1 AND source = $2 AND resource_id = $3 AND state = 'pending'",
        company.uuid(),
        source,
        resource_id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading the pending run")
}

/// What became of a decision.
#[derive(Debug, Clone)]
pub enum Decision {
    /// It is written.
    Done(Parked),
    /// Somebody decided before.
    AlreadyDecided(Parked),
    /// There is no such run.
    Unknown,
}

/// Approves or rejects a stopped run.
///
/// # Errors
/// As every statement.
pub async fn decide(tx: &mut Tx, company: CompanyId, id: Uuid, approve: bool, by: &str) -> Result<Decision> {
    let state = if approve { "approved" } else { "rejected" };
    let decided = sqlx::query_as!(
        Parked,
        "UPDATE sync_parked SET state = $3, decided_by = $4, decided_at = clock_timestamp()
         WHERE company_id = $1 AND id = $2 AND state = 'pending'
         RETURNING id, source, resource_id, job_id, existing, would_delete, sample, reason, state, decided_by,
             decided_at, created_at",
        company.uuid(),
        id,
        state,
        by,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("deciding on a parked run")?;
    if let Some(run) = decided {
        return Ok(Decision::Done(run));
    }
    let known = sqlx::query_as!(
        Parked,
        "SELECT id, source, resource_id, job_id, existing, would_delete, sample, reason, state, decided_by,
             decided_at, created_at
         FROM sync_parked WHERE company_id = $1 AND id = $2",
        company.uuid(),
        id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading a parked run")?;
    Ok(known.map_or(Decision::Unknown, Decision::AlreadyDecided))
}

/// Closes the pending row of a resource whose removals are no longer in question.
///
/// # Errors
/// As every statement.
pub async fn settle(tx: &mut Tx, company: CompanyId, source: &str, resource_id: &str) -> Result<()> {
    sqlx::query!(
        "UPDATE sync_parked SET state = 'rejected', decided_by = 'syncline', decided_at = clock_timestamp(),
             reason = reason || '; overtaken by a later run within the limits'
         WHERE company_id = $1 AND source = $2 AND resource_id = $3 AND state = 'pending'",
        company.uuid(),
        source,
        resource_id,
    )
    .execute(tx.conn())
    .await
    .doing("settling a parked run")
    .map(drop)
}

/// Whether the newest decision about a resource was a person's "no" to at least as many removals: asking
/// again would only nag.
///
/// # Errors
/// As every statement.
pub async fn rejected_at_least(
    tx: &mut Tx,
    company: CompanyId,
    source: &str,
    resource_id: &str,
    would_delete: i64,
) -> Result<bool> {
    let newest = sqlx::query!(
        "SELECT state, would_delete, decided_by FROM sync_parked
         WHERE company_id = $1 AND source = $2 AND resource_id = $3
         ORDER BY created_at DESC, id DESC LIMIT 1",
        company.uuid(),
        source,
        resource_id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading the newest decision")?;
    Ok(newest.is_some_and(|row| {
        row.state == "rejected"
            && row.would_delete >= would_delete
            && row.decided_by.as_deref() != Some("syncline")
    }))
}
