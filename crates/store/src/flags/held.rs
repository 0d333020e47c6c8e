//! Jobs that a switch holds, and switches whose time is over.

use chrono::{DateTime, Utc};
use domain::flags::Standing;
use domain::ids::CompanyId;
use serde_json::json;
use uuid::Uuid;

use crate::audit::{AuditEntry, record};
use crate::error::{Doing, Result};
use crate::pool::Tx;

/// Most switches that are ended in one step.
const LIMIT: i64 = 1_000;

/// What there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// A switch's time is over.
    pub expired: bool,
    /// A switch holds, or held, jobs.
    pub held: bool,
}

/// One look at what there is to do, of all companies. In a dispatch transaction.
///
/// # Errors
/// As every statement.
pub async fn due(tx: &mut Tx) -> Result<Due> {
    sqlx::query_as!(
        Due,
        r#"SELECT EXISTS (SELECT FROM operator_flags WHERE until <= clock_timestamp()) AS "expired!",
               EXISTS (SELECT FROM jobs_live WHERE state = 'parked' AND park_reason = 'flag') AS "held!""#
    )
    .fetch_one(tx.conn())
    .await
    .doing("looking at the switches")
}

/// Puts switches back whose time is over, each with its audit record; how many. In a dispatch transaction.
///
/// # Errors
/// As every statement.
pub async fn end_expired(tx: &mut Tx, by: &str) -> Result<usize> {
    let ended = sqlx::query!(
        "DELETE FROM operator_flags WHERE (company_id, name) IN (
             SELECT company_id, name FROM operator_flags WHERE until <= clock_timestamp()
             ORDER BY company_id, name LIMIT $1 FOR UPDATE SKIP LOCKED)
         RETURNING company_id, name, reason, until, changed_by",
        LIMIT,
    )
    .fetch_all(tx.conn())
    .await
    .doing("ending switches")?;
    for row in &ended {
        let entry = AuditEntry {
            actor: by.to_owned(),
            role: "service".to_owned(),
            action: "flag.expire".to_owned(),
            resource: format!("flag:{}", row.name),
            reason: Some("its time was over".to_owned()),
            request_id: None,
            trace_id: None,
            details: json!({ "was_for": row.reason, "until": row.until, "switched_by": row.changed_by }),
        };
        record(tx, Some(CompanyId(row.company_id)), &entry).await?;
    }
    Ok(ended.len())
}

/// Queues the jobs that were held and are not any more; how many. Of all companies in a dispatch transaction, else of
/// the transaction's own.
///
/// # Errors
/// As every statement.
pub async fn release_unheld(tx: &mut Tx, standing: &Standing, now: DateTime<Utc>) -> Result<u64> {
    let held = sqlx::query!(
        "SELECT DISTINCT company_id, kind FROM jobs_live WHERE state = 'parked' AND park_reason = 'flag' LIMIT 10000"
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing what switches hold")?;
    let free = |company, kind: &str| standing.held(CompanyId(company), kind, now).is_none();
    let (companies, kinds): (Vec<Uuid>, Vec<String>) = held
        .into_iter()
        .filter(|row| free(row.company_id, &row.kind))
        .map(|row| (row.company_id, row.kind))
        .unzip();
    release(tx, &companies, &kinds).await
}

/// Queues every held job of these pairs of company and kind, with all its attempts; how many.
///
/// # Errors
/// As every statement.
pub async fn release(tx: &mut Tx, companies: &[Uuid], kinds: &[String]) -> Result<u64> {
    if companies.is_empty() {
        return Ok(0);
    }
    sqlx::query!(
        "WITH released AS (
             UPDATE jobs_live j SET state = 'queued', attempt = 0, interruptions = 0, park_reason = NULL,
                 run_at = clock_timestamp(), queued_at = clock_timestamp(), updated_at = clock_timestamp()
             FROM UNNEST($1::uuid[], $2::text[]) AS free (company_id, kind)
             WHERE j.company_id = free.company_id AND j.kind = free.kind
                 AND j.state = 'parked' AND j.park_reason = 'flag'
             RETURNING j.company_id, j.id, j.seq, j.epoch, j.kind, j.queue, j.priority, j.traceparent, j.tracestate
         )
         INSERT INTO outbox (company_id, job_id, epoch, routing_key, queue, priority, traceparent, tracestate)
         SELECT company_id, id, epoch, kind, queue, priority, traceparent, tracestate FROM released ORDER BY seq",
        companies,
        kinds,
    )
    .execute(tx.conn())
    .await
    .doing("releasing what a switch held")
    .map(|done| done.rows_affected())
}
