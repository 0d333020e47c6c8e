//! Answers of POST requests that carried an `Idempotency-Key`.

use domain::ids::CompanyId;
use serde_json::Value;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// A remembered answer.
#[derive(Debug, Clone)]
pub struct Remembered {
    /// SHA-256 of method, path, query and body.
    pub request_hash: Vec<u8>,
    /// HTTP status.
    pub status: u16,
    /// JSON body and headers worth keeping.
    pub body: Value,
}

/// Serialises requests with the same key until the transaction ends, then reads what is remembered.
///
/// # Errors
/// As every statement.
pub async fn lock_and_get(tx: &mut Tx, company: CompanyId, key: &str) -> Result<Option<Remembered>> {
    sqlx::query!(
        r#"SELECT pg_advisory_xact_lock(hashtextextended($1, 7310)) AS "locked!: ()""#,
        format!("{company}/{key}"),
    )
    .fetch_one(tx.conn())
    .await
    .doing("locking an idempotency key")?;
    let row = sqlx::query!(
        "SELECT request_hash, status, body FROM idempotency_keys WHERE company_id = $1 AND key = $2",
        company.uuid(),
        key,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading an idempotency key")?;
    Ok(row.map(|r| Remembered {
        request_hash: r.request_hash,
        status: u16::try_from(r.status).unwrap_or(500),
        body: r.body,
    }))
}

/// Remembers an answer; the first one stays.
///
/// # Errors
/// As every statement.
pub async fn put(tx: &mut Tx, company: CompanyId, key: &str, answer: &Remembered) -> Result<()> {
    sqlx::query!(
        "INSERT INTO idempotency_keys (company_id, key, request_hash, status, body)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (company_id, key) DO NOTHING",
        company.uuid(),
        key,
        answer.request_hash,
        i16::try_from(answer.status).unwrap_or(500),
        answer.body,
    )
    .execute(tx.conn())
    .await
    .doing("remembering an answer")
    .map(drop)
}
