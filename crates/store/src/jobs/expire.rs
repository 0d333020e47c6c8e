//! A job whose deadline passed before it started.

use domain::ids::{CompanyId, JobId};
use serde_json::json;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// Moves a queued job whose deadline has passed to the dead letters, with that as its error; false when there
/// is no such job.
///
/// # Errors
/// As every statement.
pub async fn bury_expired(tx: &mut Tx, company: CompanyId, job: JobId) -> Result<bool> {
    let entry = json!([{
        "attempt": 0, "code": "deadline", "fingerprint": "deadline",
        "message": "the job was not started before its deadline", "chain": [],
    }]);
    let buried = sqlx::query!(
        r#"WITH gone AS (
            DELETE FROM jobs_live WHERE id = $1 AND company_id = $2 AND state = 'queued'
                AND deadline < clock_timestamp()
            RETURNING *
        )
        INSERT INTO jobs_dead (id, company_id, seq, kind, version, queue, payload, dedupe_key, resource_key,
            priority, state, attempt, max_attempts, epoch, interruptions, run_at, queued_at, deadline,
            attempt_seconds, started_at, checkpoint, progress_done, progress_total, progress_unit, errors,
            error_fingerprint, first_failed_at, batch_id, requested_by, traceparent, tracestate, created_at,
            updated_at, finished_at)
        SELECT id, company_id, seq, kind, version, queue, payload, dedupe_key, resource_key, priority, 'dead',
            attempt, max_attempts, epoch, interruptions, run_at, queued_at, deadline, attempt_seconds,
            started_at, checkpoint, progress_done, progress_total, progress_unit,
            CASE WHEN jsonb_array_length(errors) >= 20 THEN errors - 0 ELSE errors END || $3::jsonb, 'deadline',
            coalesce(first_failed_at, clock_timestamp()), batch_id, requested_by, traceparent, tracestate,
            created_at, clock_timestamp(), clock_timestamp()
        FROM gone"#,
        job.uuid(),
        company.uuid(),
        entry,
    )
    .execute(tx.conn())
    .await
    .doing("burying an expired job")?;
    Ok(buried.rows_affected() > 0)
}
