//! Listing and showing dead jobs.

use chrono::{DateTime, Utc};
use domain::ids::{CompanyId, JobId};
use serde_json::Value;
use uuid::Uuid;

use super::{DeadFilter, DeadLetter};
use crate::error::{Doing, Result};
use crate::jobs::JobView;
use crate::pool::Tx;

struct Row {
    id: Uuid,
    kind: String,
    version: i16,
    state: String,
    attempt: i32,
    max_attempts: i32,
    progress_done: i64,
    progress_total: Option<i64>,
    progress_unit: Option<String>,
    result: Option<Value>,
    errors: Value,
    payload: Value,
    resource_key: Option<String>,
    batch_id: Option<Uuid>,
    run_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    traceparent: Option<String>,
    first_failed_at: Option<DateTime<Utc>>,
    error_fingerprint: Option<String>,
    interruptions: i32,
    requested_by: Option<String>,
    updated_at: DateTime<Utc>,
}

impl From<Row> for DeadLetter {
    fn from(r: Row) -> Self {
        Self {
            version: r.version,
            first_failed_at: r.first_failed_at,
            last_failed_at: r.finished_at.unwrap_or(r.updated_at),
            fingerprint: r.error_fingerprint,
            interruptions: r.interruptions,
            requested_by: r.requested_by,
            job: JobView {
                id: r.id,
                kind: r.kind,
                state: r.state,
                attempt: r.attempt,
                max_attempts: r.max_attempts,
                progress_done: r.progress_done,
                progress_total: r.progress_total,
                progress_unit: r.progress_unit,
                result: r.result,
                errors: r.errors,
                payload: r.payload,
                park_reason: None,
                resource_key: r.resource_key,
                batch_id: r.batch_id,
                run_at: r.run_at,
                created_at: r.created_at,
                started_at: r.started_at,
                finished_at: r.finished_at,
                traceparent: r.traceparent,
            },
        }
    }
}

/// Dead jobs of the company, the newest failure first. `before` is the key of the last one of the page before.
///
/// # Errors
/// As every statement.
pub async fn list(
    tx: &mut Tx,
    company: CompanyId,
    filter: &DeadFilter,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<DeadLetter>> {
    let (at, id) = before.unzip();
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, kind, version, state, attempt, max_attempts, progress_done, progress_total, progress_unit,
             result, errors, payload, resource_key, batch_id, run_at, created_at, started_at, finished_at,
             traceparent, first_failed_at, error_fingerprint, interruptions, requested_by, updated_at
         FROM jobs_dead
         WHERE company_id = $1 AND ($2::text IS NULL OR kind = $2)
             AND ($3::timestamptz IS NULL OR finished_at >= $3)
             AND ($4::text IS NULL OR error_fingerprint = $4 OR errors -> -1 ->> 'code' = $4
                 OR position(lower($4) IN lower(errors -> -1 ->> 'message')) > 0)
             AND ($5::timestamptz IS NULL OR (finished_at, id) < ($5, $6))
         ORDER BY finished_at DESC, id DESC LIMIT $7",
        company.uuid(),
        filter.kind,
        filter.since,
        filter.error,
        at,
        id,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing dead letters")?;
    Ok(rows.into_iter().map(DeadLetter::from).collect())
}

/// One dead job; `None` when the job is no dead letter.
///
/// # Errors
/// As every statement.
pub async fn find(tx: &mut Tx, company: CompanyId, job: JobId) -> Result<Option<DeadLetter>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, kind, version, state, attempt, max_attempts, progress_done, progress_total, progress_unit,
             result, errors, payload, resource_key, batch_id, run_at, created_at, started_at, finished_at,
             traceparent, first_failed_at, error_fingerprint, interruptions, requested_by, updated_at
         FROM jobs_dead WHERE id = $1 AND company_id = $2",
        job.uuid(),
        company.uuid(),
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading a dead letter")?;
    Ok(row.map(DeadLetter::from))
}
