//! Back from the dead: a dead letter becomes the same job again, first in its line.

use domain::ids::CompanyId;
use uuid::Uuid;

use crate::error::{Doing, Result, StoreError};
use crate::pool::Tx;

/// Rounds against jobs that come and go under the same dedupe key meanwhile.
const ROUNDS: usize = 20;

/// What became of a request to retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retried {
    /// It is queued again.
    Queued(Uuid),
    /// A waiting job with the same dedupe key does its work; the dead letter ended as cancelled, naming it.
    Coalesced {
        /// The dead letter.
        id: Uuid,
        /// The job that serves it.
        into: Uuid,
    },
}

/// Queues dead letters again. What is no dead letter (any more) is not in the answer, so that of two callers one
/// acts. Attempts and interruptions begin anew and the deadline is gone; errors, checkpoint and `seq` stay, so the
/// job is first in the line of its resource again; the epoch grows, so that an old message finds nothing. When a
/// job with its dedupe key waits already, that one serves both, unless the payload was edited: then it runs as a
/// job of its own.
///
/// # Errors
/// As every statement.
pub async fn retry_many(tx: &mut Tx, company: CompanyId, ids: &[Uuid], by: &str) -> Result<Vec<Retried>> {
    let mut done = Vec::with_capacity(ids.len());
    for _ in 0..ROUNDS {
        let queued = queue(tx, company, ids).await?;
        done.extend(queued.into_iter().map(Retried::Queued));
        // Whatever is still dead now ran into a waiting job.
        let left = still_dead(tx, company, ids).await?;
        if left.is_empty() {
            return Ok(done);
        }
        release_edited(tx, &left).await?;
        done.extend(coalesce(tx, company, &left, by).await?);
    }
    Err(StoreError::Malformed { what: "dedupe keys", value: format!("{ROUNDS} rounds without an end") })
}

async fn queue(tx: &mut Tx, company: CompanyId, ids: &[Uuid]) -> Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"WITH asked AS (
            SELECT * FROM jobs_dead WHERE id = ANY($1) AND company_id = $2 ORDER BY seq FOR UPDATE
        ), written AS (
            INSERT INTO jobs_live (id, company_id, seq, kind, version, queue, payload, dedupe_key, resource_key,
                priority, state, attempt, max_attempts, epoch, interruptions, run_at, queued_at, attempt_seconds,
                checkpoint, progress_done, progress_total, progress_unit, errors, error_fingerprint,
                first_failed_at, batch_id, requested_by, traceparent, tracestate, created_at, updated_at)
            SELECT id, company_id, seq, kind, version, queue, payload, dedupe_key, resource_key, priority, 'queued',
                0, max_attempts, epoch + 1, 0, clock_timestamp(), clock_timestamp(), attempt_seconds, checkpoint,
                progress_done, progress_total, progress_unit, errors, error_fingerprint, first_failed_at, batch_id,
                requested_by, traceparent, tracestate, created_at, clock_timestamp()
            FROM asked ORDER BY seq
            ON CONFLICT (company_id, kind, dedupe_key)
                WHERE dedupe_key IS NOT NULL AND state IN ('scheduled', 'queued', 'retrying', 'parked')
                DO NOTHING
            RETURNING id, company_id, epoch, kind, traceparent, tracestate
        ), gone AS (
            DELETE FROM jobs_dead d USING written w WHERE d.id = w.id
        ), bells AS (
            INSERT INTO outbox (company_id, job_id, epoch, routing_key, traceparent, tracestate)
            SELECT company_id, id, epoch, kind, traceparent, tracestate FROM written
        )
        SELECT id AS "id!" FROM written"#,
        ids,
        company.uuid(),
    )
    .fetch_all(tx.conn())
    .await
    .doing("queueing dead letters again")
}

async fn still_dead(tx: &mut Tx, company: CompanyId, ids: &[Uuid]) -> Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "SELECT id FROM jobs_dead WHERE id = ANY($1) AND company_id = $2 ORDER BY seq",
        ids,
        company.uuid(),
    )
    .fetch_all(tx.conn())
    .await
    .doing("finding what stayed dead")
}

/// An edited payload asks for something that the waiting job does not do.
async fn release_edited(tx: &mut Tx, ids: &[Uuid]) -> Result<()> {
    sqlx::query!(
        "UPDATE jobs_dead SET dedupe_key = NULL
         WHERE id = ANY($1) AND EXISTS (SELECT FROM dead_letter_edits e WHERE e.job_id = jobs_dead.id)",
        ids,
    )
    .execute(tx.conn())
    .await
    .doing("separating edited dead letters")
    .map(drop)
}

/// Ends dead letters whose work a waiting job does. The waiting job stays locked until the caller commits, and is
/// released when it was parked, as for any other request for its work.
async fn coalesce(tx: &mut Tx, company: CompanyId, ids: &[Uuid], by: &str) -> Result<Vec<Retried>> {
    let pairs = sqlx::query!(
        r#"WITH pairs AS (
            SELECT d.id AS dead, l.id AS live, l.state
            FROM jobs_dead d JOIN jobs_live l ON l.company_id = d.company_id AND l.kind = d.kind
                AND l.dedupe_key = d.dedupe_key AND l.state IN ('scheduled', 'queued', 'retrying', 'parked')
            WHERE d.id = ANY($1) AND d.company_id = $2 FOR UPDATE OF l
        ), gone AS (
            DELETE FROM jobs_dead d USING pairs p WHERE d.id = p.dead RETURNING d.*, p.live AS live_id
        ), kept AS (
            INSERT INTO jobs_finished (id, company_id, seq, kind, version, queue, payload, dedupe_key, resource_key,
                priority, state, attempt, max_attempts, epoch, interruptions, run_at, queued_at, deadline,
                attempt_seconds, started_at, progress_done, progress_total, progress_unit, result, errors,
                error_fingerprint, first_failed_at, batch_id, requested_by, traceparent, tracestate, created_at,
                updated_at, finished_at)
            SELECT id, company_id, seq, kind, version, queue, payload, dedupe_key, resource_key, priority,
                'cancelled', attempt, max_attempts, epoch + 1, interruptions, run_at, queued_at, deadline,
                attempt_seconds, started_at, progress_done, progress_total, progress_unit,
                jsonb_build_object('coalesced_into', live_id, 'retried_by', $3::text), errors, error_fingerprint,
                first_failed_at, batch_id, requested_by, traceparent, tracestate, created_at, clock_timestamp(),
                clock_timestamp()
            FROM gone
        )
        SELECT dead AS "dead!", live AS "live!", state AS "state!" FROM pairs"#,
        ids,
        company.uuid(),
        by,
    )
    .fetch_all(tx.conn())
    .await
    .doing("coalescing dead letters")?;
    let mut done = Vec::with_capacity(pairs.len());
    for pair in pairs {
        if pair.state == "parked" {
            crate::parked_jobs::release_one(tx, company, pair.live).await?;
        }
        done.push(Retried::Coalesced { id: pair.dead, into: pair.live });
    }
    Ok(done)
}
