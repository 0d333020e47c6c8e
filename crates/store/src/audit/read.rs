//! Sealed records, in the order of their chain.

use chrono::{DateTime, Utc};
use domain::audit::retention::{Line, OTHERS};
use domain::audit::{Hash, Record, Sealed};
use domain::ids::CompanyId;
use serde_json::Value;
use uuid::Uuid;

use super::seal::chain_id;
use crate::error::{Doing, Result, StoreError};
use crate::pool::Tx;

/// Makes the transaction see the database as it is now until it ends. Call it before anything else.
///
/// # Errors
/// As every statement.
pub async fn snapshot(tx: &mut Tx) -> Result<()> {
    sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        .execute(tx.conn())
        .await
        .doing("taking a snapshot")
        .map(drop)
}

/// The chain's records after `after` up to `last`, by sequence; rows of equal sequence (which nobody sealed) all of
/// them, so that no forged one hides behind a page's end.
///
/// # Errors
/// As every statement; `Malformed` when a hash has another length.
pub async fn page(
    tx: &mut Tx,
    company: Option<CompanyId>,
    after: i64,
    last: i64,
    limit: i64,
) -> Result<Vec<Sealed>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, company_id, sequence AS "sequence!", occurred_at, actor, role, address, action, resource, reason,
             request_id, trace_id, job_id, changes, details, key_id AS "key_id!", hash AS "hash!"
         FROM audit_events
         WHERE chain_id = $1 AND sequence IS NOT NULL AND sequence > $2 AND sequence <= $3
         ORDER BY sequence FETCH FIRST ($4::bigint) ROWS WITH TIES"#,
        chain_id(company),
        after,
        last,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("reading audit records")?;
    rows.into_iter().map(Row::sealed).collect()
}

/// The company's newest records before a sequence, newest first.
///
/// # Errors
/// As [`page`].
pub async fn newest(tx: &mut Tx, company: CompanyId, before: Option<i64>, limit: i64) -> Result<Vec<Sealed>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, company_id, sequence AS "sequence!", occurred_at, actor, role, address, action, resource, reason,
             request_id, trace_id, job_id, changes, details, key_id AS "key_id!", hash AS "hash!"
         FROM audit_events
         WHERE chain_id = $1 AND sequence IS NOT NULL AND sequence < coalesce($2, 9223372036854775807)
         ORDER BY sequence DESC LIMIT $3"#,
        company.uuid(),
        before,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("reading the newest audit records")?;
    rows.into_iter().map(Row::sealed).collect()
}

struct Row {
    id: Uuid,
    company_id: Option<Uuid>,
    sequence: i64,
    occurred_at: DateTime<Utc>,
    actor: String,
    role: String,
    address: Option<String>,
    action: String,
    resource: String,
    reason: Option<String>,
    request_id: Option<String>,
    trace_id: Option<String>,
    job_id: Option<Uuid>,
    changes: Option<Value>,
    details: Value,
    key_id: String,
    hash: Vec<u8>,
}

impl Row {
    fn sealed(self) -> Result<Sealed> {
        let hash = Hash::from_slice(&self.hash)
            .ok_or_else(|| StoreError::Malformed { what: "audit_events.hash", value: self.id.to_string() })?;
        let record = Record {
            id: self.id,
            company_id: self.company_id,
            sequence: u64::try_from(self.sequence).unwrap_or(0),
            key_id: self.key_id,
            occurred_at: self.occurred_at,
            actor: self.actor,
            role: self.role,
            address: self.address,
            action: self.action,
            resource: self.resource,
            reason: self.reason,
            request_id: self.request_id,
            trace_id: self.trace_id,
            job_id: self.job_id,
            changes: self.changes,
            details: self.details,
        };
        Ok(Sealed { record, hash })
    }
}

/// The last sequence up to which every record after `after` is due by its class's line; `after` when none is. Looks at
/// sequences up to `after + most`.
///
/// # Errors
/// As every statement.
pub async fn due_until(
    tx: &mut Tx,
    company: CompanyId,
    lines: &[Line],
    after: i64,
    most: i64,
) -> Result<i64> {
    let classes: Vec<String> = lines.iter().map(|line| line.class.clone()).collect();
    let before: Vec<DateTime<Utc>> =
        lines.iter().map(|line| line.before.unwrap_or(DateTime::UNIX_EPOCH)).collect();
    sqlx::query_scalar!(
        r#"WITH line AS (SELECT * FROM unnest($2::text[], $3::timestamptz[]) AS l (class, before)),
        looked AS (
            SELECT e.sequence, e.occurred_at < coalesce(
                (SELECT before FROM line WHERE class = split_part(e.action, '.', 1)),
                (SELECT before FROM line WHERE class = $6)) AS due
            FROM audit_events e
            WHERE e.chain_id = $1 AND e.sequence > $4 AND e.sequence <= $4 + $5
        )
        SELECT coalesce((SELECT min(sequence) - 1 FROM looked WHERE due IS NOT TRUE),
            (SELECT max(sequence) FROM looked), $4) AS "last!""#,
        company.uuid(),
        &classes,
        &before,
        after,
        most,
        OTHERS,
    )
    .fetch_one(tx.conn())
    .await
    .doing("looking for records that are due")
}
