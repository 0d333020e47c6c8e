//! What each run did: `sync_history`.

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use serde_json::Value;
use uuid::Uuid;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// A run that begins.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// `onedrive`, ...
    pub source: String,
    /// `schedule`, `webhook`, `manual`, `sweep`.
    pub triggered_by: String,
    /// Job that runs it.
    pub job_id: Uuid,
    /// Request that enqueued several.
    pub batch_id: Option<Uuid>,
    /// Drive.
    pub drive_id: Option<String>,
    /// AO, for a run of one AO.
    pub ao_id: Option<String>,
    /// `force=true`.
    pub forced: bool,
}

/// How a run ended.
#[derive(Debug, Clone, Default)]
pub struct RunEnd {
    /// True = `success`, false = `error`.
    pub success: bool,
    /// It was a complete enumeration.
    pub full_enumeration: bool,
    /// AOs that the run covered.
    pub total_aos: i32,
    /// Documents added.
    pub added: i64,
    /// Documents changed.
    pub updated: i64,
    /// Documents that left.
    pub deleted: i64,
    /// Calls made to the provider.
    pub provider_calls: i64,
    /// What went wrong, one text each; at most 50 are kept.
    pub errors: Vec<String>,
}

/// A run as people see it.
#[derive(Debug, Clone)]
pub struct Run {
    /// Id.
    pub id: Uuid,
    /// `onedrive`, ...
    pub source: String,
    /// `schedule`, `webhook`, `manual`, `sweep`.
    pub triggered_by: String,
    /// Job that ran it.
    pub job_id: Option<Uuid>,
    /// Request that enqueued several.
    pub batch_id: Option<Uuid>,
    /// Drive.
    pub drive_id: Option<String>,
    /// AO, for a run of one AO.
    pub ao_id: Option<String>,
    /// `running`, `success`, `error`. A run whose job is not alive any more (buried, cancelled while its
    /// worker was gone) did not end by itself and reads as `error`.
    pub status: String,
    /// It was a complete enumeration.
    pub full_enumeration: bool,
    /// `force=true`.
    pub forced: bool,
    /// AOs that the run covered.
    pub total_aos: i32,
    /// Documents added.
    pub documents_added: i64,
    /// Documents changed.
    pub documents_updated: i64,
    /// Documents that left.
    pub documents_deleted: i64,
    /// Calls made to the provider.
    pub provider_calls: i64,
    /// What went wrong: an array of texts.
    pub errors: Value,
    /// Begun at.
    pub started_at: DateTime<Utc>,
    /// Over at.
    pub finished_at: Option<DateTime<Utc>>,
    /// Milliseconds from begin to end.
    pub duration_ms: Option<i64>,
}

/// Begins a run, or begins it again: one row per job, so a repeated attempt reopens its own. Commit it apart
/// from the run's effect, so that a run in progress can be seen. Returns the row's id.
///
/// # Errors
/// As every statement.
pub async fn begin(tx: &mut Tx, company: CompanyId, run: &NewRun) -> Result<Uuid> {
    sqlx::query_scalar!(
        "INSERT INTO sync_history (id, company_id, source, triggered_by, job_id, batch_id, drive_id, ao_id,
             status, forced)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'running', $9)
         ON CONFLICT (job_id) DO UPDATE SET status = 'running', finished_at = NULL, duration_ms = NULL
         RETURNING id",
        chassis::ids::new_id(),
        company.uuid(),
        run.source,
        run.triggered_by,
        run.job_id,
        run.batch_id,
        run.drive_id,
        run.ao_id,
        run.forced,
    )
    .fetch_one(tx.conn())
    .await
    .doing("beginning a run")
}

/// Ends a run; call it in the transaction that commits the run's last effect. `started_at` stays that of the
/// first attempt.
///
/// # Errors
/// As every statement.
pub async fn finish(tx: &mut Tx, company: CompanyId, id: Uuid, end: &RunEnd) -> Result<()> {
    let kept: Vec<&String> = end.errors.iter().take(50).collect();
    sqlx::query!(
        "UPDATE sync_history
         SET status = CASE WHEN $3 THEN 'success' ELSE 'error' END, full_enumeration = $4, total_aos = $5,
             documents_added = $6, documents_updated = $7, documents_deleted = $8, provider_calls = $9,
             errors = $10, finished_at = clock_timestamp(),
             duration_ms = (extract(epoch FROM clock_timestamp() - started_at) * 1000)::bigint
         WHERE company_id = $1 AND id = $2",
        company.uuid(),
        id,
        end.success,
        end.full_enumeration,
        end.total_aos,
        end.added,
        end.updated,
        end.deleted,
        end.provider_calls,
        serde_json::json!(kept),
    )
    .execute(tx.conn())
    .await
    .doing("ending a run")
    .map(drop)
}

/// The newest run of a source; only a finished one when `finished` is set.
///
/// # Errors
/// As every statement.
pub async fn latest(tx: &mut Tx, company: CompanyId, source: &str, finished: bool) -> Result<Option<Run>> {
    sqlx::query_as!(
        Run,
        r#"SELECT id, source, triggered_by, job_id, batch_id, drive_id, ao_id,
             CASE WHEN status = 'running' AND NOT EXISTS (SELECT FROM jobs_live j WHERE j.id = h.job_id)
                 THEN 'error' ELSE status END AS "status!",
             full_enumeration, forced, total_aos, documents_added, documents_updated, documents_deleted, provider_calls, errors, started_at,
             finished_at, duration_ms
         FROM sync_history h WHERE company_id = $1 AND source = $2 AND (NOT $3 OR finished_at IS NOT NULL)
         ORDER BY started_at DESC LIMIT 1"#,
        company.uuid(),
        source,
        finished,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading the newest run")
}

/// Which runs to list.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Only this source.
    pub source: Option<String>,
    /// Only this status.
    pub status: Option<String>,
    /// Only runs of this AO.
    pub ao_id: Option<String>,
    /// Only older ones: (started_at, id) of the last row of the previous page.
    pub before: Option<(DateTime<Utc>, Uuid)>,
}

/// Runs of the company, newest first.
///
/// # Errors
/// As every statement.
pub async fn list(tx: &mut Tx, company: CompanyId, filter: &RunFilter, limit: i64) -> Result<Vec<Run>> {
    let (at, id) = filter.before.unzip();
    sqlx::query_as!(
        Run,
        r#"SELECT id, source, triggered_by, job_id, batch_id, drive_id, ao_id,
             CASE WHEN status = 'running' AND NOT EXISTS (SELECT FROM jobs_live j WHERE j.id = h.job_id)
                 THEN 'error' ELSE status END AS "status!",
             full_enumeration, forced, total_aos, documents_added, documents_updated, documents_deleted, provider_calls, errors, started_at,
             finished_at, duration_ms
         FROM sync_history h
         WHERE company_id = $1 AND ($2::text IS NULL OR source = $2) AND ($3::text IS NULL OR status = $3)
             AND ($4::text IS NULL OR ao_id = $4)
             AND ($5::timestamptz IS NULL OR (started_at, id) < ($5, $6))
         ORDER BY started_at DESC, id DESC LIMIT $7"#,
        company.uuid(),
        filter.source,
        filter.status,
        filter.ao_id,
        at,
        id,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing runs")
}

/// Figures of one source over a span of time.
#[derive(Debug, Clone)]
pub struct RunStats {
    /// `onedrive`, ...
    pub source: String,
    /// Finished runs.
    pub runs: i64,
    /// Of them successful.
    pub succeeded: i64,
    /// Median duration in milliseconds.
    pub p50_ms: Option<f64>,
    /// 95th percentile in milliseconds.
    pub p95_ms: Option<f64>,
    /// 99th percentile in milliseconds.
    pub p99_ms: Option<f64>,
    /// Documents added.
    pub added: i64,
    /// Documents changed.
    pub updated: i64,
    /// Documents that left.
    pub deleted: i64,
    /// Failed runs since the newest successful one (all time).
    pub consecutive_failures: i64,
}

/// Figures per source of the runs that finished since `since`.
///
/// # Errors
/// As every statement.
pub async fn stats(tx: &mut Tx, company: CompanyId, since: DateTime<Utc>) -> Result<Vec<RunStats>> {
    sqlx::query_as!(
        RunStats,
        r#"SELECT source AS "source!", count(*) AS "runs!", count(*) FILTER (WHERE status = 'success') AS "succeeded!",
               percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_ms::float8) AS p50_ms,
               percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ms::float8) AS p95_ms,
               percentile_cont(0.99) WITHIN GROUP (ORDER BY duration_ms::float8) AS p99_ms,
               sum(documents_added)::bigint AS "added!", sum(documents_updated)::bigint AS "updated!",
               sum(documents_deleted)::bigint AS "deleted!",
               (SELECT count(*) FROM sync_history f WHERE f.company_id = $1 AND f.source = h.source
                   AND f.status = 'error' AND f.started_at > coalesce(
                       (SELECT max(s.started_at) FROM sync_history s
                        WHERE s.company_id = $1 AND s.source = h.source AND s.status = 'success'), '-infinity'
                   )) AS "consecutive_failures!"
           FROM sync_history h
           WHERE company_id = $1 AND finished_at >= $2 AND status <> 'running'
           GROUP BY source ORDER BY source"#,
        company.uuid(),
        since,
    )
    .fetch_all(tx.conn())
    .await
    .doing("computing run figures")
}
