//! Reading jobs, for REST, CLI and metrics.

use chrono::{DateTime, Utc};
use domain::ids::{CompanyId, JobId};
use serde_json::Value;
use uuid::Uuid;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// A job as people see it.
#[derive(Debug, Clone)]
pub struct JobView {
    /// Id.
    pub id: Uuid,
    /// Kind.
    pub kind: String,
    /// State, one of DESIGN section 5.
    pub state: String,
    /// Attempts made.
    pub attempt: i32,
    /// Attempts allowed.
    pub max_attempts: i32,
    /// Progress.
    pub progress_done: i64,
    /// Total, when known.
    pub progress_total: Option<i64>,
    /// What is counted.
    pub progress_unit: Option<String>,
    /// Result of a finished job.
    pub result: Option<Value>,
    /// Error chain, oldest first.
    pub errors: Value,
    /// Payload.
    pub payload: Value,
    /// Why it is parked.
    pub park_reason: Option<String>,
    /// Resource.
    pub resource_key: Option<String>,
    /// Batch.
    pub batch_id: Option<Uuid>,
    /// Not before.
    pub run_at: DateTime<Utc>,
    /// Written at.
    pub created_at: DateTime<Utc>,
    /// Running since.
    pub started_at: Option<DateTime<Utc>>,
    /// Over since.
    pub finished_at: Option<DateTime<Utc>>,
    /// Trace of the request that enqueued it.
    pub traceparent: Option<String>,
}

/// Which jobs to list.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Only this kind.
    pub kind: Option<String>,
    /// Only this state.
    pub state: Option<String>,
    /// Only this batch.
    pub batch: Option<Uuid>,
    /// Only jobs written before this one: (created_at, id) of the last row of the previous page.
    pub before: Option<(DateTime<Utc>, Uuid)>,
}

/// One job of the company, whatever its state.
///
/// # Errors
/// As every statement.
pub async fn find(tx: &mut Tx, company: CompanyId, job: JobId) -> Result<Option<JobView>> {
    sqlx::query_as!(
        JobView,
        r#"SELECT id, kind, state, attempt, max_attempts, progress_done, progress_total, progress_unit, result,
               errors, payload, park_reason, resource_key, batch_id, run_at, created_at, started_at, finished_at,
               traceparent
           FROM jobs WHERE id = $1 AND company_id = $2"#,
        job.uuid(),
        company.uuid(),
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading a job")
}

/// Jobs of the company, newest first.
///
/// # Errors
/// As every statement.
pub async fn list(tx: &mut Tx, company: CompanyId, filter: &JobFilter, limit: i64) -> Result<Vec<JobView>> {
    let (before_at, before_id) = filter.before.unzip();
    sqlx::query_as!(
        JobView,
        r#"SELECT id, kind, state, attempt, max_attempts, progress_done, progress_total, progress_unit, result,
               errors, payload, park_reason, resource_key, batch_id, run_at, created_at, started_at, finished_at,
               traceparent
           FROM jobs
           WHERE company_id = $1 AND ($2::text IS NULL OR kind = $2) AND ($3::text IS NULL OR state = $3)
               AND ($4::uuid IS NULL OR batch_id = $4)
               AND ($5::timestamptz IS NULL OR (created_at, id) < ($5, $6))
           ORDER BY created_at DESC, id DESC LIMIT $7"#,
        company.uuid(),
        filter.kind,
        filter.state,
        filter.batch,
        before_at,
        before_id,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing jobs")
}

/// The live job (waiting or running) under a dedupe key, the running one first.
///
/// # Errors
/// As every statement.
pub async fn live_with_dedupe(
    tx: &mut Tx,
    company: CompanyId,
    kind: &str,
    key: &str,
) -> Result<Option<(Uuid, String)>> {
    let row = sqlx::query!(
        "SELECT id, state FROM jobs_live WHERE company_id = $1 AND kind = $2 AND dedupe_key = $3
         ORDER BY (state = 'running') DESC LIMIT 1",
        company.uuid(),
        kind,
        key,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("looking for a live job")?;
    Ok(row.map(|r| (r.id, r.state)))
}

/// Numbers of one kind.
#[derive(Debug, Clone)]
pub struct KindCounts {
    /// Kind.
    pub kind: String,
    /// Queued.
    pub pending: i64,
    /// Running.
    pub running: i64,
    /// Waiting for another attempt.
    pub retrying: i64,
    /// Waiting for their time.
    pub scheduled: i64,
    /// Waiting for a person.
    pub parked: i64,
    /// Dead letters.
    pub dead: i64,
}

/// Numbers of all kinds.
#[derive(Debug, Clone)]
pub struct QueueCounts {
    /// By kind.
    pub by_kind: Vec<KindCounts>,
    /// Age of the oldest queued job, in seconds; 0 when none.
    pub oldest_pending_seconds: f64,
}

/// Counts by kind and state: of the company in a tenant transaction, of all in a dispatch transaction.
///
/// # Errors
/// As every statement.
pub async fn counts(tx: &mut Tx) -> Result<QueueCounts> {
    let by_kind = sqlx::query_as!(
        KindCounts,
        r#"SELECT kind AS "kind!", coalesce(sum(n) FILTER (WHERE state = 'queued'), 0)::bigint AS "pending!",
               coalesce(sum(n) FILTER (WHERE state = 'running'), 0)::bigint AS "running!",
               coalesce(sum(n) FILTER (WHERE state = 'retrying'), 0)::bigint AS "retrying!",
               coalesce(sum(n) FILTER (WHERE state = 'scheduled'), 0)::bigint AS "scheduled!",
               coalesce(sum(n) FILTER (WHERE state = 'parked'), 0)::bigint AS "parked!",
               coalesce(sum(n) FILTER (WHERE state = 'dead'), 0)::bigint AS "dead!"
           FROM (SELECT kind, state, count(*) AS n FROM jobs_live GROUP BY kind, state
                 -- From the index alone: the state of a dead letter is not asked for.
                 UNION ALL SELECT kind, 'dead', count(*) FROM jobs_dead GROUP BY kind) j
           GROUP BY kind ORDER BY kind"#
    )
    .fetch_all(tx.conn())
    .await
    .doing("counting jobs")?;
    let oldest = sqlx::query_scalar!(
        r#"SELECT coalesce(extract(epoch FROM clock_timestamp() - min(queued_at)), 0)::float8 AS "age!"
           FROM jobs_live WHERE state = 'queued'"#
    )
    .fetch_one(tx.conn())
    .await
    .doing("reading the oldest queued job")?;
    Ok(QueueCounts { by_kind, oldest_pending_seconds: oldest })
}
