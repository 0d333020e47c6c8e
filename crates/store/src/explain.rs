//! Facts behind "why is this job not running?".

use chrono::{DateTime, Utc};
use domain::ids::{CompanyId, JobId};
use uuid::Uuid;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// What holds a job back, as far as the ledger knows.
#[derive(Debug, Clone)]
pub struct Facts {
    /// State.
    pub state: String,
    /// Not before.
    pub run_at: DateTime<Utc>,
    /// Waiting since.
    pub queued_at: Option<DateTime<Utc>>,
    /// Why it is parked.
    pub park_reason: Option<String>,
    /// Cancellation was asked for.
    pub cancel_requested: bool,
    /// Resource that it needs.
    pub resource_key: Option<String>,
    /// Job that holds the resource now.
    pub held_by: Option<Uuid>,
    /// Until when, unless renewed.
    pub held_until: Option<DateTime<Utc>>,
    /// Job first in line for the resource.
    pub first_in_line: Option<Uuid>,
    /// Its bell waits in the outbox since.
    pub bell_waits_since: Option<DateTime<Utc>>,
    /// How often the broker refused the bell.
    pub bell_refusals: Option<i32>,
    /// Message of the newest failure.
    pub last_error: Option<String>,
    /// Jobs of the same queue that run now (of this company).
    pub running_in_queue: i64,
}

/// Facts about one job; `None` when there is none.
///
/// # Errors
/// As every statement.
pub async fn facts(tx: &mut Tx, company: CompanyId, job: JobId) -> Result<Option<Facts>> {
    sqlx::query_as!(
        Facts,
        r#"SELECT j.state AS "state!", j.run_at AS "run_at!", j.queued_at, j.park_reason,
               j.cancel_requested AS "cancel_requested!", j.resource_key,
               l.job_id AS "held_by?", l.expires_at AS "held_until?",
               (SELECT h.id FROM jobs_live h WHERE h.company_id = $2 AND h.resource_key = j.resource_key
                   AND h.state = 'queued' ORDER BY h.priority DESC, h.seq LIMIT 1) AS first_in_line,
               o.created_at AS "bell_waits_since?", o.refusals AS "bell_refusals?",
               j.errors -> -1 ->> 'message' AS last_error,
               (SELECT count(*) FROM jobs_live r WHERE r.company_id = $2 AND r.queue = j.queue
                   AND r.state = 'running') AS "running_in_queue!"
           FROM jobs j
           LEFT JOIN resource_leases l ON l.company_id = j.company_id AND l.resource_key = j.resource_key
               AND l.expires_at > clock_timestamp()
           LEFT JOIN LATERAL (SELECT created_at, refusals FROM outbox b WHERE b.job_id = j.id
               ORDER BY b.id LIMIT 1) o ON true
           WHERE j.id = $1 AND j.company_id = $2"#,
        job.uuid(),
        company.uuid(),
    )
    .fetch_optional(tx.conn())
    .await
    .doing("explaining a job")
}
