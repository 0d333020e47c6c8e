//! Jobs that wait until a person has mended something.

use chrono::{DateTime, Utc};
use domain::ids::{CompanyId, JobId};
use serde_json::Value;
use uuid::Uuid;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// A parked job.
#[derive(Debug, Clone)]
pub struct ParkedJob {
    /// The job.
    pub id: Uuid,
    /// Kind.
    pub kind: String,
    /// Why it is parked.
    pub reason: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Resource.
    pub resource_key: Option<String>,
    /// Newest error.
    pub last_error: Option<Value>,
    /// Trace of the request that enqueued it.
    pub traceparent: Option<String>,
}

/// Parked jobs of the company, longest wait first; only those of one reason when given. `after` is the key of the
/// last one of the page before.
///
/// # Errors
/// As every statement.
pub async fn list(
    tx: &mut Tx,
    company: CompanyId,
    reason: Option<&str>,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<ParkedJob>> {
    let (at, id) = after.unzip();
    sqlx::query_as!(
        ParkedJob,
        r#"SELECT id, kind, coalesce(park_reason, '') AS "reason!", updated_at AS since, resource_key,
               errors -> -1 AS last_error, traceparent
           FROM jobs_live
           WHERE company_id = $1 AND state = 'parked' AND ($2::text IS NULL OR park_reason = $2)
               AND ($3::timestamptz IS NULL OR (updated_at, id) > ($3, $4))
           ORDER BY updated_at, id LIMIT $5"#,
        company.uuid(),
        reason,
        at,
        id,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing parked jobs")
}

/// Queues a parked job again, with all its attempts; false when it is not parked.
///
/// # Errors
/// As every statement.
pub async fn release(tx: &mut Tx, company: CompanyId, job: JobId) -> Result<bool> {
    release_one(tx, company, job.uuid()).await
}

pub(crate) async fn release_one(tx: &mut Tx, company: CompanyId, id: Uuid) -> Result<bool> {
    let released = sqlx::query!(
        "WITH released AS (
             UPDATE jobs_live SET state = 'queued', attempt = 0, interruptions = 0, park_reason = NULL,
                 run_at = clock_timestamp(), queued_at = clock_timestamp(), updated_at = clock_timestamp()
             WHERE id = $1 AND company_id = $2 AND state = 'parked'
             RETURNING company_id, id, epoch, kind, traceparent, tracestate
         )
         INSERT INTO outbox (company_id, job_id, epoch, routing_key, traceparent, tracestate)
         SELECT company_id, id, epoch, kind, traceparent, tracestate FROM released",
        id,
        company.uuid(),
    )
    .execute(tx.conn())
    .await
    .doing("releasing a parked job")?;
    Ok(released.rows_affected() > 0)
}

/// Queues every job of the company that is parked for this reason; returns how many.
///
/// # Errors
/// As every statement.
pub async fn release_all(tx: &mut Tx, company: CompanyId, reason: &str) -> Result<u64> {
    sqlx::query!(
        "WITH released AS (
             UPDATE jobs_live SET state = 'queued', attempt = 0, interruptions = 0, park_reason = NULL,
                 run_at = clock_timestamp(), queued_at = clock_timestamp(), updated_at = clock_timestamp()
             WHERE company_id = $1 AND state = 'parked' AND park_reason = $2
             RETURNING company_id, id, seq, epoch, kind, traceparent, tracestate
         )
         INSERT INTO outbox (company_id, job_id, epoch, routing_key, traceparent, tracestate)
         SELECT company_id, id, epoch, kind, traceparent, tracestate FROM released ORDER BY seq",
        company.uuid(),
        reason,
    )
    .execute(tx.conn())
    .await
    .doing("releasing parked jobs")
    .map(|done| done.rows_affected())
}
