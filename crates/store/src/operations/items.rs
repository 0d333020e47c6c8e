//! What became of each dead letter of an operation.

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use uuid::Uuid;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// An item.
#[derive(Debug, Clone)]
pub struct Item {
    /// Number in the plan, from 1.
    pub position: i32,
    /// The job.
    pub job_id: Uuid,
    /// Its kind.
    pub kind: String,
    /// Error fingerprint when the plan was made.
    pub fingerprint: Option<String>,
    /// One of [`super::RESULTS`].
    pub result: String,
    /// Wave that took it.
    pub wave: Option<i32>,
    /// Job that does its work, when coalesced.
    pub served_by: Option<Uuid>,
    /// When its result was last written.
    pub decided_at: Option<DateTime<Utc>>,
}

/// Which items.
#[derive(Debug, Clone, Default)]
pub struct ItemFilter {
    /// Only this result.
    pub result: Option<String>,
    /// Only those after this position.
    pub after: Option<i32>,
}

/// Items of an operation, in the order of the plan.
///
/// # Errors
/// As every statement.
pub async fn items(
    tx: &mut Tx,
    company: CompanyId,
    operation: Uuid,
    filter: &ItemFilter,
    limit: i64,
) -> Result<Vec<Item>> {
    sqlx::query_as!(
        Item,
        "SELECT position, job_id, kind, fingerprint, result, wave, served_by, decided_at FROM operation_items
         WHERE operation_id = $1 AND company_id = $2 AND position > $3 AND ($4::text IS NULL OR result = $4)
         ORDER BY position LIMIT $5",
        operation,
        company.uuid(),
        filter.after.unwrap_or(0),
        filter.result,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing an operation's items")
}
