//! Reading operations.

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use uuid::Uuid;

use super::Operation;
use crate::error::{Doing, Result};
use crate::pool::Tx;

/// One operation of the company.
///
/// # Errors
/// As every statement.
pub async fn find(tx: &mut Tx, company: CompanyId, id: Uuid) -> Result<Option<Operation>> {
    sqlx::query_as!(
        Operation,
        r#"SELECT id, state, filter, planned, taken, wave, wave_to - wave_from + 1 AS "wave_size!", requested_by,
               reason, ended_because, created_at, started_at, ended_at, settled_at
           FROM operations WHERE id = $1 AND company_id = $2"#,
        id,
        company.uuid(),
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading an operation")
}

/// Operations of the company, newest first.
///
/// # Errors
/// As every statement.
pub async fn list(
    tx: &mut Tx,
    company: CompanyId,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Operation>> {
    let (at, id) = before.unzip();
    sqlx::query_as!(
        Operation,
        r#"SELECT id, state, filter, planned, taken, wave, wave_to - wave_from + 1 AS "wave_size!", requested_by,
               reason, ended_because, created_at, started_at, ended_at, settled_at
           FROM operations
           WHERE company_id = $1 AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3))
           ORDER BY created_at DESC, id DESC LIMIT $4"#,
        company.uuid(),
        at,
        id,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing operations")
}

/// Items by result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// (result, items), of the results that occur.
    pub by_result: Vec<(String, i64)>,
}

impl Counts {
    /// Items with this result.
    pub fn of(&self, result: &str) -> i64 {
        self.by_result.iter().find(|(name, _)| name == result).map_or(0, |(_, number)| *number)
    }
}

/// Items of one cause.
#[derive(Debug, Clone)]
pub struct GroupCount {
    /// Kind of the jobs.
    pub kind: String,
    /// Error fingerprint that they had when the plan was made.
    pub fingerprint: Option<String>,
    /// Items.
    pub planned: i64,
    /// Of them succeeded.
    pub succeeded: i64,
    /// Of them failed again (still trying, dead or parked).
    pub failed_again: i64,
}

/// Items by result, and by kind and fingerprint (the largest 100 groups).
///
/// # Errors
/// As every statement.
pub async fn groups(tx: &mut Tx, operation: Uuid) -> Result<(Counts, Vec<GroupCount>)> {
    let rows = sqlx::query!(
        r#"SELECT result, count(*) AS "number!" FROM operation_items WHERE operation_id = $1 GROUP BY result"#,
        operation,
    )
    .fetch_all(tx.conn())
    .await
    .doing("counting an operation's results")?;
    let counts = Counts { by_result: rows.into_iter().map(|r| (r.result, r.number)).collect() };
    let groups = sqlx::query_as!(
        GroupCount,
        r#"SELECT kind, fingerprint, count(*) AS "planned!",
               count(*) FILTER (WHERE result = 'succeeded') AS "succeeded!",
               count(*) FILTER (WHERE result IN ('failing', 'failed_again', 'parked')) AS "failed_again!"
           FROM operation_items WHERE operation_id = $1
           GROUP BY kind, fingerprint ORDER BY count(*) DESC, kind, fingerprint LIMIT 100"#,
        operation,
    )
    .fetch_all(tx.conn())
    .await
    .doing("grouping an operation's items")?;
    Ok((counts, groups))
}
