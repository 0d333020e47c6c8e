//! Messages that no worker could claim, as the archivist found them.

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use serde_json::Value;
use uuid::Uuid;

use super::DeadFilter;
use crate::error::{Doing, Result};
use crate::pool::Tx;

/// An archived message.
#[derive(Debug, Clone)]
pub struct BrokerLetter {
    /// Id of the row.
    pub id: Uuid,
    /// Job that it rang for, when the body says.
    pub job_id: Option<Uuid>,
    /// Routing key: the job's kind.
    pub routing_key: String,
    /// Why the broker gave it up.
    pub reason: String,
    /// AMQP headers.
    pub headers: Value,
    /// Body, as far as asked for.
    pub body: Vec<u8>,
    /// Length of the whole body in bytes.
    pub size: i32,
    /// Found at.
    pub archived_at: DateTime<Utc>,
    /// Given up at.
    pub discarded_at: Option<DateTime<Utc>>,
}

/// Messages of the company that were not discarded, newest first, with the first `body` bytes of each.
///
/// # Errors
/// As every statement.
pub async fn list_broker(
    tx: &mut Tx,
    company: CompanyId,
    filter: &DeadFilter,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
    body: i32,
) -> Result<Vec<BrokerLetter>> {
    let (at, id) = before.unzip();
    sqlx::query_as!(
        BrokerLetter,
        r#"SELECT id, job_id, routing_key, reason, headers, substring(body FROM 1 FOR $7) AS "body!",
               octet_length(body) AS "size!", archived_at, discarded_at
           FROM broker_dead_letters
           WHERE company_id = $1 AND discarded_at IS NULL AND ($2::text IS NULL OR routing_key = $2)
               AND ($3::timestamptz IS NULL OR archived_at >= $3)
               AND ($4::text IS NULL OR position(lower($4) IN lower(reason)) > 0)
               AND ($5::timestamptz IS NULL OR (archived_at, id) < ($5, $6))
           ORDER BY archived_at DESC, id DESC LIMIT $8"#,
        company.uuid(),
        filter.kind,
        filter.since,
        filter.error,
        at,
        id,
        body,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing dead messages")
}

/// One message of the company, discarded or not, with the first `body` bytes.
///
/// # Errors
/// As every statement.
pub async fn find_broker(
    tx: &mut Tx,
    company: CompanyId,
    id: Uuid,
    body: i32,
) -> Result<Option<BrokerLetter>> {
    sqlx::query_as!(
        BrokerLetter,
        r#"SELECT id, job_id, routing_key, reason, headers, substring(body FROM 1 FOR $3) AS "body!",
               octet_length(body) AS "size!", archived_at, discarded_at
           FROM broker_dead_letters WHERE id = $1 AND company_id = $2"#,
        id,
        company.uuid(),
        body,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading a dead message")
}

/// Gives a message up; the row stays. False when it is not there or was given up before.
///
/// # Errors
/// As every statement.
pub async fn discard_broker(
    tx: &mut Tx,
    company: CompanyId,
    id: Uuid,
    by: &str,
    reason: Option<&str>,
) -> Result<bool> {
    let done = sqlx::query!(
        "UPDATE broker_dead_letters
         SET discarded_at = clock_timestamp(), discarded_by = $3, discard_reason = $4
         WHERE id = $1 AND company_id = $2 AND discarded_at IS NULL",
        id,
        company.uuid(),
        by,
        reason,
    )
    .execute(tx.conn())
    .await
    .doing("discarding a dead message")?;
    Ok(done.rows_affected() > 0)
}

/// Messages that belong to no organization, since nobody could read them, newest first. Call it in a dispatch
/// transaction: no token, which always speaks for one organization, leads to them.
///
/// # Errors
/// As every statement.
pub async fn unassigned(tx: &mut Tx, limit: i64, body: i32) -> Result<Vec<BrokerLetter>> {
    sqlx::query_as!(
        BrokerLetter,
        r#"SELECT id, job_id, routing_key, reason, headers, substring(body FROM 1 FOR $1) AS "body!",
               octet_length(body) AS "size!", archived_at, discarded_at
           FROM broker_dead_letters WHERE company_id IS NULL AND discarded_at IS NULL
           ORDER BY archived_at DESC, id DESC LIMIT $2"#,
        body,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing unassigned dead messages")
}

/// Gives a message of no organization up; the row stays. Call it in a dispatch transaction.
///
/// # Errors
/// As every statement.
pub async fn discard_unassigned(tx: &mut Tx, id: Uuid, by: &str, reason: Option<&str>) -> Result<bool> {
    let done = sqlx::query!(
        "UPDATE broker_dead_letters
         SET discarded_at = clock_timestamp(), discarded_by = $2, discard_reason = $3
         WHERE id = $1 AND company_id IS NULL AND discarded_at IS NULL",
        id,
        by,
        reason,
    )
    .execute(tx.conn())
    .await
    .doing("discarding an unassigned dead message")?;
    Ok(done.rows_affected() > 0)
}
