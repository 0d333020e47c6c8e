//! The cursor of a drive (`microsoft_sync_state`): it moves in the transaction that stores the page it covers.

use serde_json::Value;

use super::IndexedDrive;
use crate::error::{Doing, Result};
use crate::pool::Tx;

/// A stored cursor.
#[derive(Debug, Clone, Default)]
pub struct StoredCursor {
    /// Delta link of the last complete round.
    pub delta_link: Option<String>,
    /// Earlier good links, newest first.
    pub earlier_links: Vec<String>,
    /// The round in progress.
    pub walk: Option<Value>,
}

/// Reads the cursor; a drive without a row (never synced, or the table was emptied) starts afresh.
///
/// # Errors
/// As every statement.
pub async fn load(tx: &mut Tx, drive: &IndexedDrive) -> Result<StoredCursor> {
    let row = sqlx::query!(
        "SELECT delta_link, earlier_links, walk FROM microsoft_sync_state
         WHERE company_id = $1 AND resource_type = 'drive' AND resource_id = $2 AND user_id = ''",
        drive.company.uuid(),
        drive.drive_id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading the cursor")?;
    Ok(row.map_or_else(StoredCursor::default, |r| StoredCursor {
        delta_link: r.delta_link,
        earlier_links: r.earlier_links,
        walk: r.walk,
    }))
}

/// Stores the state of a round after a page.
///
/// # Errors
/// As every statement.
pub async fn save_walk(tx: &mut Tx, drive: &IndexedDrive, walk: &Value) -> Result<()> {
    sqlx::query!(
        "INSERT INTO microsoft_sync_state (company_id, resource_type, resource_id, walk, last_run_at)
         VALUES ($1, 'drive', $2, $3, clock_timestamp())
         ON CONFLICT (company_id, resource_type, resource_id, user_id) DO UPDATE
             SET walk = excluded.walk, last_run_at = excluded.last_run_at, updated_at = clock_timestamp()",
        drive.company.uuid(),
        drive.drive_id,
        walk,
    )
    .execute(tx.conn())
    .await
    .doing("storing the round")
    .map(drop)
}

/// A round is complete: its delta link becomes the cursor, the one before is kept for a while.
///
/// # Errors
/// As every statement.
pub async fn complete(tx: &mut Tx, drive: &IndexedDrive, delta_link: &str) -> Result<()> {
    sqlx::query!(
        "INSERT INTO microsoft_sync_state AS cur (company_id, resource_type, resource_id, delta_link, last_run_at,
             last_success_at)
         VALUES ($1, 'drive', $2, $3, clock_timestamp(), clock_timestamp())
         ON CONFLICT (company_id, resource_type, resource_id, user_id) DO UPDATE SET
             earlier_links = CASE WHEN cur.delta_link IS NULL OR cur.delta_link = excluded.delta_link
                 THEN cur.earlier_links ELSE (array_prepend(cur.delta_link, cur.earlier_links))[1:3] END,
             delta_link = excluded.delta_link, walk = NULL, last_error = NULL, consecutive_failures = 0,
             last_run_at = excluded.last_run_at, last_success_at = excluded.last_success_at,
             updated_at = clock_timestamp()",
        drive.company.uuid(),
        drive.drive_id,
        delta_link,
    )
    .execute(tx.conn())
    .await
    .doing("storing the delta link")
    .map(drop)
}

/// A round was given up; the cursor of the last complete one stays. Returns the failures in a row.
///
/// # Errors
/// As every statement.
pub async fn fail(tx: &mut Tx, drive: &IndexedDrive, error: &str, forget_walk: bool) -> Result<i32> {
    sqlx::query_scalar!(
        "INSERT INTO microsoft_sync_state AS cur (company_id, resource_type, resource_id, last_error, last_run_at,
             consecutive_failures)
         VALUES ($1, 'drive', $2, $3, clock_timestamp(), 1)
         ON CONFLICT (company_id, resource_type, resource_id, user_id) DO UPDATE SET
             last_error = excluded.last_error, consecutive_failures = cur.consecutive_failures + 1,
             walk = CASE WHEN $4 THEN NULL ELSE cur.walk END, last_run_at = excluded.last_run_at,
             updated_at = clock_timestamp()
         RETURNING consecutive_failures",
        drive.company.uuid(),
        drive.drive_id,
        error,
        forget_walk,
    )
    .fetch_one(tx.conn())
    .await
    .doing("storing a failed round")
}

/// Forgets the round in progress; the delta link of the last complete one stays.
///
/// # Errors
/// As every statement.
pub async fn forget_walk(tx: &mut Tx, drive: &IndexedDrive) -> Result<()> {
    sqlx::query!(
        "UPDATE microsoft_sync_state SET walk = NULL, updated_at = clock_timestamp()
         WHERE company_id = $1 AND resource_type = 'drive' AND resource_id = $2 AND user_id = ''",
        drive.company.uuid(),
        drive.drive_id,
    )
    .execute(tx.conn())
    .await
    .doing("forgetting a round")
    .map(drop)
}
