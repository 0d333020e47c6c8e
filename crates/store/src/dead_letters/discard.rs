//! Giving a dead letter up: it stays in the history as cancelled, with who and why.

use domain::ids::{CompanyId, JobId};
use serde_json::json;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// Moves a dead letter to the finished jobs; false when the job is no dead letter.
///
/// # Errors
/// As every statement.
pub async fn discard(
    tx: &mut Tx,
    company: CompanyId,
    job: JobId,
    by: &str,
    reason: Option<&str>,
) -> Result<bool> {
    let discarded = sqlx::query!(
        "WITH gone AS (DELETE FROM jobs_dead WHERE id = $1 AND company_id = $2 RETURNING *)
         INSERT INTO jobs_finished (id, company_id, seq, kind, version, queue, payload, dedupe_key, resource_key,
             priority, state, attempt, max_attempts, epoch, interruptions, run_at, queued_at, deadline,
             attempt_seconds, started_at, progress_done, progress_total, progress_unit, result, errors,
             error_fingerprint, first_failed_at, cancel_requested, batch_id, requested_by, traceparent, tracestate,
             created_at, updated_at, finished_at)
         SELECT id, company_id, seq, kind, version, queue, payload, dedupe_key, resource_key, priority, 'cancelled',
             attempt, max_attempts, epoch + 1, interruptions, run_at, queued_at, deadline, attempt_seconds,
             started_at, progress_done, progress_total, progress_unit, $3, errors, error_fingerprint,
             first_failed_at, true, batch_id, requested_by, traceparent, tracestate, created_at, clock_timestamp(),
             clock_timestamp()
         FROM gone",
        job.uuid(),
        company.uuid(),
        json!({ "discarded_by": by, "reason": reason }),
    )
    .execute(tx.conn())
    .await
    .doing("discarding a dead letter")?;
    Ok(discarded.rows_affected() > 0)
}
