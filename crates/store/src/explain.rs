//! Facts behind "why is this job not running?".

use chrono::{DateTime, Utc};
use domain::explain::{Bell, Facts};
use domain::ids::{CompanyId, JobId};
use domain::job::JobState;
use serde_json::Value;

use crate::error::{Doing, Result, StoreError};
use crate::pool::Tx;

/// Most jobs that are counted as waiting before another.
const MOST_AHEAD: i64 = 10_000;

/// A job with what the ledger knows about its waiting.
#[derive(Debug, Clone)]
pub struct Explained {
    /// Kind.
    pub kind: String,
    /// Queue.
    pub queue: String,
    /// Resource that it needs.
    pub resource_key: Option<String>,
    /// Newest error.
    pub last_error: Option<Value>,
    /// The facts, without what only the connector knows.
    pub facts: Facts,
}

/// Facts about one job of the company, at one moment of the database's clock; `None` when there is none.
///
/// # Errors
/// As every statement.
pub async fn facts(tx: &mut Tx, company: CompanyId, job: JobId) -> Result<Option<Explained>> {
    let row = sqlx::query!(
        r#"SELECT clock_timestamp() AS "now!", j.kind, j.queue, j.state AS "state!", j.run_at AS "run_at!",
               j.queued_at, j.deadline, j.park_reason, j.cancel_requested AS "cancel_requested!", j.resource_key,
               j.errors -> -1 AS last_error,
               l.job_id AS "held_by?", l.expires_at AS "held_until?",
               (SELECT h.id FROM jobs_live h WHERE h.company_id = $2 AND h.resource_key = j.resource_key
                   AND h.state = 'queued' ORDER BY h.priority DESC, h.seq LIMIT 1) AS first_in_line,
               o.created_at AS "bell_since?", o.refusals AS "bell_refusals?",
               (SELECT count(*) FROM (SELECT FROM outbox a WHERE a.company_id = $2 AND a.id < o.id LIMIT $3) before)
                   AS "bells_ahead!",
               (SELECT count(*) FROM (SELECT FROM jobs_live q WHERE q.company_id = $2 AND q.state = 'queued'
                   AND q.queue = j.queue AND q.queued_at < j.queued_at LIMIT $3) before) AS "ahead!",
               (SELECT max(r.started_at) FROM jobs_live r WHERE r.company_id = $2 AND r.queue = j.queue
                   AND r.state = 'running') AS running_since,
               (SELECT max(f.started_at) FROM jobs_finished f WHERE f.company_id = $2 AND f.queue = j.queue
                   AND f.finished_at > clock_timestamp() - interval '10 minutes') AS finished_since
           FROM jobs j
           LEFT JOIN resource_leases l ON l.company_id = j.company_id AND l.resource_key = j.resource_key
               AND l.expires_at > clock_timestamp()
           LEFT JOIN LATERAL (SELECT b.id, b.created_at, b.refusals FROM outbox b WHERE b.job_id = j.id
               ORDER BY b.id LIMIT 1) o ON true
           WHERE j.id = $1 AND j.company_id = $2"#,
        job.uuid(),
        company.uuid(),
        MOST_AHEAD,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("explaining a job")?;
    let Some(row) = row else { return Ok(None) };
    let state: JobState = row
        .state
        .parse()
        .map_err(|_| StoreError::Malformed { what: "jobs.state", value: row.state.clone() })?;
    let last_code = row.last_error.as_ref().and_then(|e| e["code"].as_str()).map(str::to_owned);
    let bell = row.bell_since.map(|since| Bell {
        since,
        refusals: row.bell_refusals.unwrap_or(0),
        ahead: row.bells_ahead,
    });
    let facts = Facts {
        id: job.uuid(),
        state,
        now: row.now,
        run_at: row.run_at,
        queued_at: row.queued_at,
        deadline: row.deadline,
        cancel_requested: row.cancel_requested,
        park_reason: row.park_reason,
        last_code,
        held: row.held_by.zip(row.held_until),
        first_in_line: row.first_in_line,
        bell,
        queue_runs: false,
        last_claim_at: row.running_since.max(row.finished_since),
        ahead: row.ahead,
        breaker_until: None,
        throttled_until: None,
    };
    Ok(Some(Explained {
        kind: row.kind,
        queue: row.queue,
        resource_key: row.resource_key,
        last_error: row.last_error,
        facts,
    }))
}

/// When the newest attempt that runs now in a queue began, of whatever company. Call it in a dispatch transaction;
/// nothing else of another company leaves it.
///
/// # Errors
/// As every statement.
pub async fn newest_running(tx: &mut Tx, queue: &str) -> Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!(
        "SELECT max(started_at) FROM jobs_live
         WHERE state = 'running' AND queue = $1 AND lease_expires_at > clock_timestamp()",
        queue,
    )
    .fetch_one(tx.conn())
    .await
    .doing("looking for running jobs of a queue")
}
