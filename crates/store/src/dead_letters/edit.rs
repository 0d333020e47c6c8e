//! Editing the payload of a dead letter. The payload before stays beside it.

use chrono::{DateTime, Utc};
use domain::ids::{CompanyId, JobId};
use serde_json::Value;
use uuid::Uuid;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// What an edit starts from.
#[derive(Debug, Clone)]
pub struct Editable {
    /// Kind of the job.
    pub kind: String,
    /// Version of its payload.
    pub version: i16,
    /// The payload now.
    pub payload: Value,
}

/// Reads a dead letter and keeps it from being retried until the transaction ends; `None` when the job is no dead
/// letter.
///
/// # Errors
/// As every statement.
pub async fn for_edit(tx: &mut Tx, company: CompanyId, job: JobId) -> Result<Option<Editable>> {
    sqlx::query_as!(
        Editable,
        "SELECT kind, version, payload FROM jobs_dead WHERE id = $1 AND company_id = $2 FOR UPDATE",
        job.uuid(),
        company.uuid(),
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading a payload to edit")
}

/// Writes the new payload of a dead letter that [`for_edit`] has read, and keeps the one before. The checkpoint is
/// forgotten: it belongs to the work that the old payload asked for.
///
/// # Errors
/// As every statement.
pub async fn edit(
    tx: &mut Tx,
    company: CompanyId,
    job: JobId,
    payload: &Value,
    by: &str,
    reason: Option<&str>,
) -> Result<()> {
    sqlx::query!(
        "WITH old AS (
             SELECT id, company_id, version, payload FROM jobs_dead WHERE id = $2 AND company_id = $3
         ), kept AS (
             INSERT INTO dead_letter_edits (id, company_id, job_id, version, before, after, edited_by, reason)
             SELECT $1, company_id, id, version, payload, $4, $5, $6 FROM old
         )
         UPDATE jobs_dead d SET payload = $4, checkpoint = NULL, updated_at = clock_timestamp()
         FROM old WHERE d.id = old.id",
        chassis::ids::new_id(),
        job.uuid(),
        company.uuid(),
        payload,
        by,
        reason,
    )
    .execute(tx.conn())
    .await
    .doing("editing a payload")
    .map(drop)
}

/// An edit that was made.
#[derive(Debug, Clone)]
pub struct Edit {
    /// Id.
    pub id: Uuid,
    /// Payload before.
    pub before: Value,
    /// Who.
    pub edited_by: String,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub edited_at: DateTime<Utc>,
}

/// Edits of a job's payload, oldest first; the first one's `before` is the original.
///
/// # Errors
/// As every statement.
pub async fn edits(tx: &mut Tx, company: CompanyId, job: JobId) -> Result<Vec<Edit>> {
    sqlx::query_as!(
        Edit,
        "SELECT id, before, edited_by, reason, edited_at FROM dead_letter_edits
         WHERE job_id = $1 AND company_id = $2 ORDER BY edited_at, id LIMIT 100",
        job.uuid(),
        company.uuid(),
    )
    .fetch_all(tx.conn())
    .await
    .doing("reading the edits of a payload")
}
