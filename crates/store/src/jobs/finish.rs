//! How an attempt ends. Each function checks the fence in the statement that writes.

use std::collections::HashSet;
use std::time::Duration;

use domain::ids::{CompanyId, JobId};
use serde_json::{Value, json};
use uuid::Uuid;

use super::claim::Fence;
use super::outcome;
use crate::error::{Doing, Result};
use crate::pool::Tx;

/// A failed attempt, for the job's error chain.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Short code, such as `throttled` or `AADSTS7000222`.
    pub code: String,
    /// What went wrong, with the value and what to do.
    pub message: String,
    /// Causes, outermost first.
    pub chain: Vec<String>,
    /// Groups equal failures; see `domain::job::error_fingerprint`.
    pub fingerprint: String,
}

impl Failure {
    fn entry(&self, attempt: i32) -> Value {
        json!([{
            "attempt": attempt, "code": self.code, "message": self.message, "chain": self.chain,
            "fingerprint": self.fingerprint,
        }])
    }
}

/// Marks the job succeeded, gives its resource back and rings the next in line: call it in the transaction
/// that commits the job's effect.
///
/// # Errors
/// [`crate::StoreError::Fenced`] when the attempt no longer owns the job.
pub async fn succeed(tx: &mut Tx, fence: &Fence, result: &Value) -> Result<()> {
    if let Some(record) = outcome::statement(fence, result) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(record))
            .execute(tx.conn())
            .await
            .doing("recording what a job changed")?;
    }
    finish(tx, fence, "succeeded", Some(result)).await
}

/// As [`succeed`], and commits the transaction, in one round trip, also when the job changed something and leaves a
/// record of it.
///
/// # Errors
/// [`crate::StoreError::Fenced`] when the attempt no longer owns the job; the transaction is rolled back then.
pub async fn succeed_and_commit(tx: Tx, fence: &Fence, result: &Value) -> Result<()> {
    let record = outcome::statement(fence, result).map_or_else(String::new, |record| record + "; ");
    let (job, epoch, result) = (fence.job, fence.epoch, literal(&result.to_string()));
    let last = format!("{record}SELECT finish_job_or_fail('{job}', {epoch}, 'succeeded', {result})");
    let committed = tx.commit_after(&last, "committing a finished job").await;
    committed.map_err(|error| if error.is_lost_job() { fence.lost() } else { error })
}

/// Marks many jobs succeeded, as [`succeed`] does for one; returns those that are no longer ours. When there is one,
/// the transaction must be rolled back: it holds that job's effect.
///
/// # Errors
/// As every statement.
pub async fn succeed_many(tx: &mut Tx, fences: &[&Fence], results: &[Value]) -> Result<Vec<JobId>> {
    outcome::record_many(tx, fences, results).await?;
    let (ids, epochs): (Vec<Uuid>, Vec<i64>) =
        fences.iter().map(|fence| (fence.job.uuid(), fence.epoch)).unzip();
    let ended = sqlx::query_scalar!(r#"SELECT finish_jobs($1, $2, $3) AS "id!""#, &ids, &epochs, results)
        .fetch_all(tx.conn())
        .await
        .doing("finishing jobs")?;
    let ended: HashSet<Uuid> = ended.into_iter().collect();
    Ok(fences.iter().map(|fence| fence.job).filter(|job| !ended.contains(&job.uuid())).collect())
}

/// Ends a claimed attempt whose job was cancelled.
///
/// # Errors
/// [`crate::StoreError::Fenced`] when the attempt no longer owns the job.
pub async fn cancel_claimed(tx: &mut Tx, fence: &Fence) -> Result<()> {
    finish(tx, fence, "cancelled", None).await
}

async fn finish(tx: &mut Tx, fence: &Fence, state: &str, result: Option<&Value>) -> Result<()> {
    let ended = sqlx::query_scalar!(
        r#"SELECT finish_job($1, $2, $3, $4) AS "ended!""#,
        fence.job.uuid(),
        fence.epoch,
        state,
        result,
    )
    .fetch_one(tx.conn())
    .await
    .doing("finishing a job")?;
    if ended { Ok(()) } else { Err(fence.lost()) }
}

/// Text as a literal of SQL, whatever `standard_conforming_strings` says.
pub(super) fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

async fn release(tx: &mut Tx, fence: &Fence) -> Result<()> {
    if let Some(resource) = &fence.resource {
        sqlx::query!("SELECT release_resource($1, $2, $3)", fence.company.uuid(), resource, fence.job.uuid())
            .execute(tx.conn())
            .await
            .doing("releasing a resource")?;
    }
    Ok(())
}

/// The attempt failed and another follows after `delay`, on the database's clock. When a follow-up with the same dedupe key waits
/// already, that one is folded into this job.
///
/// # Errors
/// [`crate::StoreError::Fenced`] when the attempt no longer owns the job.
pub async fn retry(
    tx: &mut Tx,
    fence: &Fence,
    attempt: i32,
    delay: Duration,
    failure: &Failure,
) -> Result<()> {
    wait(tx, fence, attempt, Waiting::Delay(delay), failure).await
}

/// A person must mend the cause: the job waits, visibly, until released.
///
/// # Errors
/// [`crate::StoreError::Fenced`] when the attempt no longer owns the job.
pub async fn park(tx: &mut Tx, fence: &Fence, attempt: i32, reason: &str, failure: &Failure) -> Result<()> {
    wait(tx, fence, attempt, Waiting::For(reason), failure).await
}

/// What a failed job waits for.
enum Waiting<'a> {
    /// The end of a delay.
    Delay(Duration),
    /// A person, because of this.
    For(&'a str),
}

async fn wait(
    tx: &mut Tx,
    fence: &Fence,
    attempt: i32,
    waiting: Waiting<'_>,
    failure: &Failure,
) -> Result<()> {
    super::claim::hold(tx, fence).await?;
    fold_follow_up(tx, fence).await?;
    let (state, delay, reason) = match waiting {
        Waiting::Delay(delay) => ("retrying", Some(delay.as_secs_f64()), None),
        Waiting::For(reason) => ("parked", None, Some(reason)),
    };
    sqlx::query!(
        "UPDATE jobs_live SET state = $2, park_reason = $4, queued_at = NULL,
             run_at = coalesce(clock_timestamp() + make_interval(secs => $3), run_at), lease_owner = NULL, lease_expires_at = NULL, updated_at = clock_timestamp(), error_fingerprint = $6,
             first_failed_at = coalesce(first_failed_at, clock_timestamp()),
             errors = CASE WHEN jsonb_array_length(errors) >= 20 THEN errors - 0 ELSE errors END || $5::jsonb
         WHERE id = $1",
        fence.job.uuid(),
        state,
        delay,
        reason,
        failure.entry(attempt),
        failure.fingerprint,
    )
    .execute(tx.conn())
    .await
    .doing("making a failed job wait")?;
    release(tx, fence).await
}

/// The last attempt failed, or trying again cannot help: a dead letter.
///
/// # Errors
/// [`crate::StoreError::Fenced`] when the attempt no longer owns the job.
pub async fn bury(tx: &mut Tx, fence: &Fence, attempt: i32, failure: &Failure) -> Result<()> {
    super::claim::hold(tx, fence).await?;
    sqlx::query!(
        r#"WITH gone AS (DELETE FROM jobs_live WHERE id = $1 RETURNING *)
        INSERT INTO jobs_dead (id, company_id, seq, kind, version, queue, payload, dedupe_key, resource_key,
            priority, state, attempt, max_attempts, epoch, interruptions, run_at, queued_at, deadline,
            attempt_seconds, lease_owner, started_at, checkpoint, progress_done, progress_total,
            progress_unit, result, errors, error_fingerprint, first_failed_at, batch_id, requested_by,
            traceparent, tracestate, created_at, updated_at, finished_at)
        SELECT id, company_id, seq, kind, version, queue, payload, dedupe_key, resource_key, priority, 'dead',
            attempt, max_attempts, epoch, interruptions, run_at, queued_at, deadline, attempt_seconds,
            lease_owner, started_at, checkpoint, progress_done, progress_total, progress_unit, result,
            CASE WHEN jsonb_array_length(errors) >= 20 THEN errors - 0 ELSE errors END || $2::jsonb, $3,
            coalesce(first_failed_at, clock_timestamp()), batch_id, requested_by, traceparent, tracestate,
            created_at, clock_timestamp(), clock_timestamp()
        FROM gone"#,
        fence.job.uuid(),
        failure.entry(attempt),
        failure.fingerprint,
    )
    .execute(tx.conn())
    .await
    .doing("burying a job")?;
    release(tx, fence).await
}

/// Gives an unfinished job back at once (shutdown): another worker resumes from the checkpoint. Does not
/// spend an attempt.
///
/// # Errors
/// [`crate::StoreError::Fenced`] when the attempt no longer owns the job.
pub async fn hand_back(tx: &mut Tx, fence: &Fence) -> Result<()> {
    super::claim::hold(tx, fence).await?;
    fold_follow_up(tx, fence).await?;
    sqlx::query!(
        "WITH back AS (
             UPDATE jobs_live SET state = 'queued', epoch = epoch + 1, attempt = greatest(attempt - 1, 0),
                 queued_at = clock_timestamp(), lease_owner = NULL, lease_expires_at = NULL,
                 updated_at = clock_timestamp()
             WHERE id = $1 RETURNING company_id, id, epoch, kind, traceparent, tracestate, queue, priority
         )
         INSERT INTO outbox (company_id, job_id, epoch, routing_key, traceparent, tracestate, queue, priority)
         SELECT company_id, id, epoch, kind, traceparent, tracestate, queue, priority FROM back",
        fence.job.uuid(),
    )
    .execute(tx.conn())
    .await
    .doing("handing a job back")?;
    if let Some(resource) = &fence.resource {
        sqlx::query!(
            "DELETE FROM resource_leases WHERE company_id = $1 AND resource_key = $2 AND job_id = $3",
            fence.company.uuid(),
            resource,
            fence.job.uuid()
        )
        .execute(tx.conn())
        .await
        .doing("releasing a resource")?;
    }
    Ok(())
}

/// A running job is about to wait again: a follow-up that waits under the same dedupe key would do the same
/// work and would break the unique index, so it ends here, pointing at the job that serves it.
async fn fold_follow_up(tx: &mut Tx, fence: &Fence) -> Result<()> {
    let folded = sqlx::query_scalar!(
        "SELECT f.id FROM jobs_live f JOIN jobs_live mine ON mine.id = $1
         WHERE f.company_id = mine.company_id AND f.kind = mine.kind AND f.dedupe_key = mine.dedupe_key
             AND f.id <> mine.id AND f.state IN ('scheduled', 'queued', 'retrying', 'parked')
         FOR UPDATE OF f",
        fence.job.uuid(),
    )
    .fetch_optional(tx.conn())
    .await
    .doing("finding the follow-up")?;
    if let Some(id) = folded {
        end_waiting(tx, JobId(id), &json!({ "coalesced_into": fence.job.uuid() })).await?;
    }
    Ok(())
}

/// Moves a job that is not running to the finished ones as cancelled; false when it was not there.
pub(super) async fn end_waiting(tx: &mut Tx, job: JobId, result: &Value) -> Result<bool> {
    let moved = sqlx::query_scalar!(
        r#"WITH gone AS (DELETE FROM jobs_live WHERE id = $1 AND state <> 'running' RETURNING *), kept AS (
            INSERT INTO jobs_finished (id, company_id, seq, kind, version, queue, payload, dedupe_key,
                resource_key, priority, state, attempt, max_attempts, epoch, interruptions, run_at, queued_at,
                deadline, attempt_seconds, started_at, progress_done, progress_total, progress_unit, result,
                errors, error_fingerprint, first_failed_at, cancel_requested, batch_id, requested_by,
                traceparent, tracestate, created_at, updated_at, finished_at)
            SELECT id, company_id, seq, kind, version, queue, payload, dedupe_key, resource_key, priority,
                'cancelled', attempt, max_attempts, epoch, interruptions, run_at, queued_at, deadline,
                attempt_seconds, started_at, progress_done, progress_total, progress_unit, $2, errors,
                error_fingerprint, first_failed_at, true, batch_id, requested_by, traceparent, tracestate,
                created_at, clock_timestamp(), clock_timestamp()
            FROM gone RETURNING id
        )
        SELECT id AS "id!" FROM kept"#,
        job.uuid(),
        result,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("cancelling a job")?;
    Ok(moved.is_some())
}

/// Cancels a waiting job at once; asks a running one to stop (its heartbeat carries the word).
/// `None` when there is no such live job; `Some(true)` when it is already over.
///
/// # Errors
/// As every statement.
pub async fn request_cancel(tx: &mut Tx, company: CompanyId, job: JobId, by: &str) -> Result<Option<bool>> {
    let state = sqlx::query_scalar!(
        "UPDATE jobs_live SET cancel_requested = true, updated_at = clock_timestamp()
         WHERE id = $1 AND company_id = $2 RETURNING state",
        job.uuid(),
        company.uuid(),
    )
    .fetch_optional(tx.conn())
    .await
    .doing("asking for cancellation")?;
    match state.as_deref() {
        None => Ok(None),
        Some("running") => Ok(Some(false)),
        Some(_) => end_waiting(tx, job, &json!({ "cancelled_by": by })).await.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_backslashes_stay_inside_the_literal() {
        assert_eq!(literal(r#"{"a":"it's \" \\ "}"#), r#"E'{"a":"it''s \\" \\\\ "}'"#);
    }
}
