//! Old operations leave.

use domain::ids::CompanyId;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// Operations that one call removes, with all their items.
const MOST: i64 = 10;

/// Removes operations that ended more than `days` ago with their items, edits as old of jobs that are no dead letters
/// any more, and messages discarded as long ago; a few at a time: call it until it returns 0.
///
/// # Errors
/// As every statement.
pub async fn purge(tx: &mut Tx, company: CompanyId, days: i32) -> Result<u64> {
    let gone = sqlx::query_scalar!(
        r#"WITH line AS (SELECT clock_timestamp() - make_interval(days => $2) AS at), old AS (
            SELECT id FROM operations, line
            WHERE company_id = $1 AND created_at < line.at AND state <> 'running' LIMIT $3
        ), items AS (
            DELETE FROM operation_items i USING old WHERE i.operation_id = old.id
        ), operations_gone AS (
            DELETE FROM operations o USING old WHERE o.id = old.id RETURNING 1
        ), edits_gone AS (
            DELETE FROM dead_letter_edits e USING line WHERE e.company_id = $1 AND e.edited_at < line.at
                AND NOT EXISTS (SELECT FROM jobs_dead d WHERE d.id = e.job_id) RETURNING 1
        ), messages_gone AS (
            DELETE FROM broker_dead_letters b USING line WHERE b.company_id = $1 AND b.discarded_at < line.at RETURNING 1
        )
        SELECT (SELECT count(*) FROM operations_gone) + (SELECT count(*) FROM edits_gone)
            + (SELECT count(*) FROM messages_gone) AS "gone!""#,
        company.uuid(),
        days,
        MOST,
    )
    .fetch_one(tx.conn())
    .await
    .doing("purging old operations")?;
    Ok(u64::try_from(gone).unwrap_or(0))
}
