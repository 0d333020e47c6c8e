//! What notifications named and no run has read yet: `notification_hints`.

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// A message that a notification named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHint {
    /// Owner.
    pub company: CompanyId,
    /// Resource key of the job that reads it.
    pub resource_key: String,
    /// Provider id of the message; a reply is `{root}/{reply}`.
    pub hint: String,
    /// `created`, `updated` or `deleted`.
    pub change_type: String,
}

/// A hint as the run reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// Provider id of the message; a reply is `{root}/{reply}`.
    pub hint: String,
    /// `created`, `updated` or `deleted`.
    pub change_type: String,
    /// When it was named last.
    pub received_at: DateTime<Utc>,
}

/// Adds hints in one statement; one that waits already is named again. In a dispatch transaction when the companies
/// differ.
///
/// # Errors
/// As every statement.
pub async fn add(tx: &mut Tx, hints: &[NewHint]) -> Result<()> {
    if hints.is_empty() {
        return Ok(());
    }
    let companies: Vec<uuid::Uuid> = hints.iter().map(|h| h.company.uuid()).collect();
    let keys: Vec<String> = hints.iter().map(|h| h.resource_key.clone()).collect();
    let names: Vec<String> = hints.iter().map(|h| h.hint.clone()).collect();
    let changes: Vec<String> = hints.iter().map(|h| h.change_type.clone()).collect();
    sqlx::query!(
        "INSERT INTO notification_hints AS h (company_id, resource_key, hint, change_type)
         SELECT DISTINCT ON (1, 2, 3) * FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[])
             AS n (company_id, resource_key, hint, change_type)
         ORDER BY 1, 2, 3
         ON CONFLICT (company_id, resource_key, hint)
         DO UPDATE SET change_type = excluded.change_type, received_at = clock_timestamp()",
        &companies,
        &keys,
        &names,
        &changes,
    )
    .execute(tx.conn())
    .await
    .doing("noting what notifications named")
    .map(drop)
}

/// The oldest hints of a resource, at most `limit`.
///
/// # Errors
/// As every statement.
pub async fn waiting(tx: &mut Tx, company: CompanyId, resource_key: &str, limit: i64) -> Result<Vec<Hint>> {
    sqlx::query_as!(
        Hint,
        "SELECT hint, change_type, received_at FROM notification_hints
         WHERE company_id = $1 AND resource_key = $2 ORDER BY received_at LIMIT $3",
        company.uuid(),
        resource_key,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("reading what notifications named")
}

/// Takes hints out that a run has read, unless they were named again since. In the transaction that stores what it
/// read.
///
/// # Errors
/// As every statement.
pub async fn settle(tx: &mut Tx, company: CompanyId, resource_key: &str, read: &[Hint]) -> Result<()> {
    let names: Vec<String> = read.iter().map(|h| h.hint.clone()).collect();
    let seen: Vec<DateTime<Utc>> = read.iter().map(|h| h.received_at).collect();
    sqlx::query!(
        "DELETE FROM notification_hints h USING UNNEST($3::text[], $4::timestamptz[]) AS r (hint, received_at)
         WHERE h.company_id = $1 AND h.resource_key = $2 AND h.hint = r.hint AND h.received_at <= r.received_at",
        company.uuid(),
        resource_key,
        &names,
        &seen,
    )
    .execute(tx.conn())
    .await
    .doing("settling what notifications named")
    .map(drop)
}
