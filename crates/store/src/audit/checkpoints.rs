//! Signed notes over the head of a chain.

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use uuid::Uuid;

use super::seal::chain_id;
use crate::error::{Doing, Result};
use crate::pool::Tx;

/// A stored checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Number.
    pub number: i64,
    /// Records under it.
    pub size: i64,
    /// The signed note.
    pub note: String,
}

/// Chains whose newest checkpoint is older than `before`, or older than `grown` with records since, or that have none.
/// In a dispatch transaction. An organization has a chain from its first record on.
///
/// # Errors
/// As every statement.
pub async fn due(
    tx: &mut Tx,
    before: DateTime<Utc>,
    grown: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Option<CompanyId>>> {
    let rows = sqlx::query_scalar!(
        "SELECT company_id FROM audit_chains WHERE checkpoint_at IS NULL OR checkpoint_at < $1
             OR (updated_at > checkpoint_at AND checkpoint_at < $2)
         ORDER BY checkpoint_at NULLS FIRST LIMIT $3",
        before,
        grown,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("looking for chains without a fresh checkpoint")?;
    Ok(rows.into_iter().map(|company: Option<Uuid>| company.map(CompanyId)).collect())
}

/// Adds a checkpoint over the head that the transaction has locked. In a dispatch transaction.
///
/// # Errors
/// As every statement.
pub async fn add(
    tx: &mut Tx,
    company: Option<CompanyId>,
    (number, size): (i64, i64),
    at: DateTime<Utc>,
    note: &str,
) -> Result<()> {
    sqlx::query!(
        "WITH note AS (
             INSERT INTO audit_checkpoints (chain_id, number, company_id, size, note) VALUES ($1, $2, $3, $4, $5))
         UPDATE audit_chains SET checkpoint = $2, checkpoint_at = $6 WHERE chain_id = $1",
        chain_id(company),
        number,
        company.map(CompanyId::uuid),
        size,
        note,
        at,
    )
    .execute(tx.conn())
    .await
    .doing("adding a checkpoint")
    .map(drop)
}

/// The company's checkpoints after `after`, by number.
///
/// # Errors
/// As every statement.
pub async fn list(tx: &mut Tx, company: Option<CompanyId>, after: i64, limit: i64) -> Result<Vec<Stored>> {
    sqlx::query_as!(
        Stored,
        "SELECT number, size, note FROM audit_checkpoints WHERE chain_id = $1 AND number > $2 ORDER BY number LIMIT $3",
        chain_id(company),
        after,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("reading checkpoints")
}

/// The first of the company's checkpoints over at least `size` records.
///
/// # Errors
/// As every statement.
pub async fn over(tx: &mut Tx, company: CompanyId, size: i64) -> Result<Option<Stored>> {
    sqlx::query_as!(
        Stored,
        "SELECT number, size, note FROM audit_checkpoints WHERE chain_id = $1 AND size >= $2 ORDER BY number LIMIT 1",
        company.uuid(),
        size,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading the first checkpoint over a record")
}

/// Chains whose newest checkpoint is not published yet, with that checkpoint. In a dispatch transaction.
///
/// # Errors
/// As every statement.
pub async fn unpublished(tx: &mut Tx, limit: i64) -> Result<Vec<(Option<CompanyId>, Stored)>> {
    let rows = sqlx::query!(
        "SELECT c.company_id, p.number, p.size, p.note FROM audit_chains c
         JOIN audit_checkpoints p ON p.chain_id = c.chain_id AND p.number = c.checkpoint
         WHERE c.published < c.checkpoint ORDER BY c.checkpoint_at LIMIT $1",
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("looking for checkpoints to publish")?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let stored = Stored { number: row.number, size: row.size, note: row.note };
            (row.company_id.map(CompanyId), stored)
        })
        .collect())
}

/// Notes that a checkpoint is published. In a dispatch transaction.
///
/// # Errors
/// As every statement.
pub async fn published(tx: &mut Tx, company: Option<CompanyId>, number: i64) -> Result<()> {
    sqlx::query!(
        "UPDATE audit_chains SET published = greatest(published, $2) WHERE chain_id = $1",
        chain_id(company),
        number,
    )
    .execute(tx.conn())
    .await
    .doing("noting a published checkpoint")
    .map(drop)
}
