//! What leaves for good.

use domain::ids::CompanyId;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// Removes up to `limit` each of the company's tombstoned documents and index rows, answered receipts,
/// finished jobs and idempotency keys that are older than `days`; call it until it returns 0.
///
/// # Errors
/// As every statement.
pub async fn tombstones(tx: &mut Tx, company: CompanyId, days: i32, limit: i64) -> Result<u64> {
    let row = sqlx::query!(
        r#"WITH line AS (SELECT clock_timestamp() - make_interval(days => $2) AS at),
        documents_gone AS (
            DELETE FROM documents WHERE id IN (SELECT id FROM documents, line
                WHERE company_id = $1 AND deleted_at < line.at LIMIT $3) RETURNING 1
        ), items_gone AS (
            DELETE FROM drive_items i USING (SELECT drive_no, item_id FROM drive_items, line
                WHERE company_id = $1 AND deleted_at < line.at LIMIT $3) old
            WHERE i.drive_no = old.drive_no AND i.item_id = old.item_id RETURNING 1
        ), receipts_gone AS (
            DELETE FROM webhook_receipts WHERE id IN (SELECT id FROM webhook_receipts, line
                WHERE company_id = $1 AND received_at < line.at LIMIT $3) RETURNING 1
        ), jobs_gone AS (
            DELETE FROM jobs_finished WHERE id IN (SELECT id FROM jobs_finished, line
                WHERE company_id = $1 AND finished_at < line.at LIMIT $3) RETURNING 1
        ), keys_gone AS (
            DELETE FROM idempotency_keys WHERE (company_id, key) IN (SELECT company_id, key FROM idempotency_keys, line
                WHERE company_id = $1 AND created_at < line.at LIMIT $3) RETURNING 1
        )
        SELECT (SELECT count(*) FROM documents_gone) + (SELECT count(*) FROM items_gone)
            + (SELECT count(*) FROM receipts_gone) + (SELECT count(*) FROM jobs_gone)
            + (SELECT count(*) FROM keys_gone) AS "gone!""#,
        company.uuid(),
        days,
        limit,
    )
    .fetch_one(tx.conn())
    .await
    .doing("purging old rows")?;
    Ok(u64::try_from(row.gone).unwrap_or(0))
}
