//! What time does to jobs: delays end, leases expire. Call these in a dispatch transaction.
//!
//! Both look from a moment on: index entries of jobs that are long gone stay as long as any transaction is old
//! enough to see them, and a look from the beginning would walk them all, every time.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// The beginning of time, for looks that leave nothing out.
pub const EARLIEST: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// Queues scheduled and retrying jobs whose time came at `from` or later; returns how many.
///
/// # Errors
/// As every statement.
pub async fn promote_due(tx: &mut Tx, from: DateTime<Utc>, limit: i64) -> Result<u64> {
    sqlx::query!(
        "WITH due AS (
             SELECT id FROM jobs_live WHERE state IN ('scheduled', 'retrying')
                 AND run_at >= $1 AND run_at <= clock_timestamp()
             ORDER BY run_at LIMIT $2 FOR UPDATE SKIP LOCKED
         ), queued AS (
             UPDATE jobs_live j SET state = 'queued', queued_at = clock_timestamp(), updated_at = clock_timestamp()
             FROM due WHERE j.id = due.id
             RETURNING j.company_id, j.id, j.epoch, j.kind, j.queue, j.priority, j.traceparent, j.tracestate
         )
         INSERT INTO outbox (company_id, job_id, epoch, routing_key, queue, priority, traceparent, tracestate)
         SELECT company_id, id, epoch, kind, queue, priority, traceparent, tracestate FROM queued",
        from,
        limit,
    )
    .execute(tx.conn())
    .await
    .doing("promoting due jobs")
    .map(|done| done.rows_affected())
}

/// When the next delayed job is due.
///
/// # Errors
/// As every statement.
pub async fn next_due(tx: &mut Tx) -> Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!("SELECT min(run_at) FROM jobs_live WHERE state IN ('scheduled', 'retrying')")
        .fetch_one(tx.conn())
        .await
        .doing("reading the next due time")
}

/// What the reaper did with one expired lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaped {
    /// The job.
    pub job_id: Uuid,
    /// Its kind.
    pub kind: String,
    /// True when it was buried as a crash loop.
    pub buried: bool,
}

/// Re-queues jobs whose lease expired. The first `forgiven` interruptions spend no attempt; a job that was
/// interrupted `crash_loop` times is buried with that as its error. The fence moves on either way.
///
/// # Errors
/// As every statement.
pub async fn reap_expired(tx: &mut Tx, limit: i64, forgiven: i32, crash_loop: i32) -> Result<Vec<Reaped>> {
    reap_expired_since(tx, EARLIEST, limit, forgiven, crash_loop).await
}

/// As [`reap_expired`], for jobs that started at `since` or later.
///
/// # Errors
/// As every statement.
pub async fn reap_expired_since(
    tx: &mut Tx,
    since: DateTime<Utc>,
    limit: i64,
    forgiven: i32,
    crash_loop: i32,
) -> Result<Vec<Reaped>> {
    let expired = sqlx::query!(
        "SELECT id, company_id, kind, dedupe_key, resource_key, interruptions, attempt, lease_owner
         FROM jobs_live WHERE state = 'running' AND started_at >= $2 AND lease_expires_at < clock_timestamp()
         ORDER BY lease_expires_at LIMIT $1 FOR UPDATE SKIP LOCKED",
        limit,
        since,
    )
    .fetch_all(tx.conn())
    .await
    .doing("finding expired leases")?;
    let mut reaped = Vec::with_capacity(expired.len());
    // In the order in which claims and heartbeats take leases, so that nobody waits in a circle.
    let mut expired = expired;
    expired.sort_unstable_by(|a, b| (a.company_id, &a.resource_key).cmp(&(b.company_id, &b.resource_key)));
    for job in expired {
        let interruptions = job.interruptions + 1;
        let entry = interruption(job.attempt, interruptions, job.lease_owner);
        let buried = interruptions >= crash_loop;
        if buried {
            bury_crash_loop(tx, job.id, interruptions, &entry).await?;
        } else {
            fold_waiting_twin(tx, job.id, job.company_id, &job.kind, job.dedupe_key.as_deref()).await?;
            let forgive = i32::from(interruptions <= forgiven);
            sqlx::query!(
                "WITH back AS (
                     UPDATE jobs_live SET state = 'queued', epoch = epoch + 1, attempt = greatest(attempt - $2, 0),
                         interruptions = $3, queued_at = clock_timestamp(), lease_owner = NULL,
                         lease_expires_at = NULL, updated_at = clock_timestamp(),
                         errors = CASE WHEN jsonb_array_length(errors) >= 20 THEN errors - 0 ELSE errors END
                             || $4::jsonb
                     WHERE id = $1
                     RETURNING company_id, id, epoch, kind, queue, priority, traceparent, tracestate
                 )
                 INSERT INTO outbox
                     (company_id, job_id, epoch, routing_key, queue, priority, traceparent, tracestate)
                 SELECT company_id, id, epoch, kind, queue, priority, traceparent, tracestate FROM back",
                job.id,
                forgive,
                interruptions,
                entry,
            )
            .execute(tx.conn())
            .await
            .doing("re-queueing an expired job")?;
        }
        if let Some(resource) = &job.resource_key {
            sqlx::query!("SELECT release_resource($1, $2, $3)", job.company_id, resource, job.id)
                .execute(tx.conn())
                .await
                .doing("releasing the resource of an expired job")?;
        }
        reaped.push(Reaped { job_id: job.id, kind: job.kind, buried });
    }
    Ok(reaped)
}

fn interruption(attempt: i32, interruptions: i32, owner: Option<Uuid>) -> Value {
    json!([{
        "attempt": attempt, "code": "interrupted", "fingerprint": "interrupted",
        "message": format!("the worker {} stopped renewing its lease (interruption {interruptions})",
            owner.map_or_else(|| "that ran it".to_owned(), |o| o.to_string())),
        "chain": [],
    }])
}

async fn bury_crash_loop(tx: &mut Tx, id: Uuid, interruptions: i32, entry: &Value) -> Result<()> {
    sqlx::query!(
        r#"WITH gone AS (DELETE FROM jobs_live WHERE id = $1 RETURNING *)
        INSERT INTO jobs_dead (id, company_id, seq, kind, version, queue, payload, dedupe_key, resource_key,
            priority, state, attempt, max_attempts, epoch, interruptions, run_at, queued_at, deadline,
            attempt_seconds, lease_owner, started_at, checkpoint, progress_done, progress_total, progress_unit,
            errors, error_fingerprint, first_failed_at, batch_id, requested_by, traceparent, tracestate,
            created_at, updated_at, finished_at)
        SELECT id, company_id, seq, kind, version, queue, payload, dedupe_key, resource_key, priority, 'dead',
            attempt, max_attempts, epoch + 1, $2, run_at, queued_at, deadline, attempt_seconds, lease_owner,
            started_at, checkpoint, progress_done, progress_total, progress_unit, errors || $3::jsonb,
            'crash_loop', coalesce(first_failed_at, clock_timestamp()), batch_id, requested_by, traceparent,
            tracestate, created_at, clock_timestamp(), clock_timestamp()
        FROM gone"#,
        id,
        interruptions,
        entry,
    )
    .execute(tx.conn())
    .await
    .doing("burying a crash loop")
    .map(drop)
}

async fn fold_waiting_twin(
    tx: &mut Tx,
    id: Uuid,
    company: Uuid,
    kind: &str,
    dedupe: Option<&str>,
) -> Result<()> {
    let Some(dedupe) = dedupe else { return Ok(()) };
    let twin = sqlx::query_scalar!(
        "SELECT id FROM jobs_live WHERE company_id = $1 AND kind = $2 AND dedupe_key = $3 AND id <> $4
             AND state IN ('scheduled', 'queued', 'retrying', 'parked') FOR UPDATE",
        company,
        kind,
        dedupe,
        id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("finding the follow-up of an expired job")?;
    if let Some(twin) = twin {
        super::finish::end_waiting(tx, domain::ids::JobId(twin), &json!({ "coalesced_into": id })).await?;
    }
    Ok(())
}
