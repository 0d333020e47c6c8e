//! The relay's side of the outbox. Call these in a dispatch transaction.

use domain::ids::CompanyId;
use uuid::Uuid;

use chassis::trace::TraceContext;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// A bell to ring.
#[derive(Debug, Clone)]
pub struct OutboxRow {
    /// `outbox.id`.
    pub id: i64,
    /// Owner of the job.
    pub company: CompanyId,
    /// The job.
    pub job_id: Uuid,
    /// Epoch for the bell.
    pub epoch: i64,
    /// Routing key: the job's kind.
    pub routing_key: String,
    /// Trace of the request that enqueued the job.
    pub trace: TraceContext,
}

/// Takes up to `limit` rows for `seconds`; other relays skip them meanwhile.
///
/// # Errors
/// As every statement.
pub async fn claim_bells(tx: &mut Tx, limit: i64, seconds: f64) -> Result<Vec<OutboxRow>> {
    let rows = sqlx::query!(
        "UPDATE outbox SET claimed_until = clock_timestamp() + make_interval(secs => $2)
         WHERE id IN (
             SELECT id FROM outbox WHERE claimed_until IS NULL OR claimed_until < clock_timestamp()
             ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
         RETURNING id, company_id, job_id, epoch, routing_key, traceparent, tracestate",
        limit,
        seconds,
    )
    .fetch_all(tx.conn())
    .await
    .doing("claiming outbox rows")?;
    let mut bells: Vec<OutboxRow> = rows
        .into_iter()
        .map(|r| OutboxRow {
            id: r.id,
            company: CompanyId(r.company_id),
            job_id: r.job_id,
            epoch: r.epoch,
            routing_key: r.routing_key,
            trace: TraceContext { traceparent: r.traceparent, tracestate: r.tracestate },
        })
        .collect();
    bells.sort_unstable_by_key(|b| b.id);
    Ok(bells)
}

/// Removes rows whose message the broker confirmed.
///
/// # Errors
/// As every statement.
pub async fn confirm_bells(tx: &mut Tx, ids: &[i64]) -> Result<u64> {
    sqlx::query!("DELETE FROM outbox WHERE id = ANY($1)", ids)
        .execute(tx.conn())
        .await
        .doing("confirming outbox rows")
        .map(|done| done.rows_affected())
}

/// Puts rows back whose message was returned, refused or of unknown fate; they are due again after `seconds`.
///
/// # Errors
/// As every statement.
pub async fn refuse_bells(tx: &mut Tx, ids: &[i64], seconds: f64) -> Result<u64> {
    sqlx::query!(
        "UPDATE outbox SET claimed_until = clock_timestamp() + make_interval(secs => $2), refusals = refusals + 1
         WHERE id = ANY($1)",
        ids,
        seconds,
    )
    .execute(tx.conn())
    .await
    .doing("returning outbox rows")
    .map(|done| done.rows_affected())
}

/// Rows waiting, and the age of the oldest in seconds.
///
/// # Errors
/// As every statement.
pub async fn backlog(tx: &mut Tx) -> Result<(i64, f64)> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "waiting!",
               coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8 AS "age!"
           FROM outbox"#
    )
    .fetch_one(tx.conn())
    .await
    .doing("counting the outbox")?;
    Ok((row.waiting, row.age))
}
