//! What the door needs beside receipts: how far its spool is replayed, and hints with a bound. Call these in a dispatch
//! transaction.

use uuid::Uuid;

use crate::error::{Doing, Result};
use crate::hints::NewHint;
use crate::pool::Tx;

/// Entries of a segment that are replayed; the row is locked until the transaction ends.
///
/// # Errors
/// As every statement.
pub async fn replayed(tx: &mut Tx, segment: Uuid) -> Result<u64> {
    let found =
        sqlx::query_scalar!("SELECT replayed FROM door_spools WHERE segment = $1 FOR UPDATE", segment)
            .fetch_optional(tx.conn())
            .await
            .doing("reading how far the spool is replayed")?;
    Ok(found.and_then(|count| u64::try_from(count).ok()).unwrap_or_default())
}

/// Notes how far a segment is replayed, and forgets those that nobody has replayed for a month.
///
/// # Errors
/// As every statement.
pub async fn advance(tx: &mut Tx, segment: Uuid, replayed: u64) -> Result<()> {
    sqlx::query!(
        "WITH old AS (DELETE FROM door_spools WHERE updated_at < clock_timestamp() - interval '30 days')
         INSERT INTO door_spools AS s (segment, replayed) VALUES ($1, $2)
         ON CONFLICT (segment)
         DO UPDATE SET replayed = greatest(s.replayed, excluded.replayed), updated_at = clock_timestamp()",
        segment,
        i64::try_from(replayed).unwrap_or(i64::MAX),
    )
    .execute(tx.conn())
    .await
    .doing("noting how far the spool is replayed")
    .map(drop)
}

/// Adds hints, at most `limit` waiting ones for a resource: what is beyond is left to the repair read. One that waits
/// already is named again. Returns how many are new or named again.
///
/// # Errors
/// As every statement.
pub async fn add_hints(tx: &mut Tx, hints: &[NewHint], limit: i64) -> Result<u64> {
    if hints.is_empty() {
        return Ok(0);
    }
    let companies: Vec<Uuid> = hints.iter().map(|h| h.company.uuid()).collect();
    let keys: Vec<String> = hints.iter().map(|h| h.resource_key.clone()).collect();
    let names: Vec<String> = hints.iter().map(|h| h.hint.clone()).collect();
    let changes: Vec<String> = hints.iter().map(|h| h.change_type.clone()).collect();
    sqlx::query!(
        "WITH named AS (
             SELECT DISTINCT ON (company_id, resource_key, hint) company_id, resource_key, hint, change_type
             FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[])
                 AS n (company_id, resource_key, hint, change_type)
             ORDER BY company_id, resource_key, hint
         ), judged AS (
             SELECT n.*, w.hint IS NOT NULL AS waits,
                 row_number() OVER (PARTITION BY n.company_id, n.resource_key, w.hint IS NULL) AS position
             FROM named n LEFT JOIN notification_hints w USING (company_id, resource_key, hint)
         ), room AS (
             SELECT r.company_id, r.resource_key, $5 - (SELECT count(*) FROM (
                 SELECT FROM notification_hints w
                 WHERE w.company_id = r.company_id AND w.resource_key = r.resource_key LIMIT $5) waiting) AS left_over
             FROM (SELECT DISTINCT company_id, resource_key FROM named) r
         )
         INSERT INTO notification_hints AS h (company_id, resource_key, hint, change_type)
         SELECT company_id, resource_key, hint, change_type
         FROM judged JOIN room USING (company_id, resource_key)
         WHERE waits OR position <= left_over
         ORDER BY company_id, resource_key, hint
         ON CONFLICT (company_id, resource_key, hint)
         DO UPDATE SET change_type = excluded.change_type, received_at = clock_timestamp()",
        &companies,
        &keys,
        &names,
        &changes,
        limit,
    )
    .execute(tx.conn())
    .await
    .doing("noting what notifications named")
    .map(|done| done.rows_affected())
}
