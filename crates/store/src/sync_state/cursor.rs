//! Cursors of mail and Teams: they move in the transaction that stores the page they cover.

use domain::ids::CompanyId;
use serde_json::Value;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// Which cursor.
#[derive(Debug, Clone)]
pub struct CursorKey {
    /// Owner.
    pub company: CompanyId,
    /// `messages` or `teams`.
    pub resource_type: &'static str,
    /// Mailbox; empty for Teams.
    pub user_id: String,
    /// Folder (`folders`: the tree), `{team}/{channel}` or chat.
    pub resource_id: String,
}

/// A stored cursor.
#[derive(Debug, Clone, Default)]
pub struct Cursor {
    /// Delta link of the last complete round; of a chat, the end of the last window.
    pub delta_link: Option<String>,
    /// What it was made with.
    pub options: String,
    /// The round in progress.
    pub walk: Option<Value>,
}

/// Reads a cursor; one without a row (never read, or the table was emptied) starts afresh.
///
/// # Errors
/// As every statement.
pub async fn load(tx: &mut Tx, key: &CursorKey) -> Result<Cursor> {
    let row = sqlx::query_as!(
        Cursor,
        "SELECT delta_link, options, walk FROM microsoft_sync_state
         WHERE company_id = $1 AND resource_type = $2 AND resource_id = $3 AND user_id = $4",
        key.company.uuid(),
        key.resource_type,
        key.resource_id,
        key.user_id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading a cursor")?;
    Ok(row.unwrap_or_default())
}

/// Stores the state of a round after a page; `None` forgets it.
///
/// # Errors
/// As every statement.
pub async fn save_walk(tx: &mut Tx, key: &CursorKey, walk: Option<&Value>) -> Result<()> {
    sqlx::query!(
        "INSERT INTO microsoft_sync_state (company_id, resource_type, resource_id, user_id, walk, last_run_at)
         VALUES ($1, $2, $3, $4, $5, clock_timestamp())
         ON CONFLICT (company_id, resource_type, resource_id, user_id) DO UPDATE
             SET walk = excluded.walk, last_run_at = excluded.last_run_at, updated_at = clock_timestamp()",
        key.company.uuid(),
        key.resource_type,
        key.resource_id,
        key.user_id,
        walk,
    )
    .execute(tx.conn())
    .await
    .doing("storing the round")
    .map(drop)
}

/// A round is complete: its delta link becomes the cursor, the one before is kept for a while. `None`: there is no
/// cursor to keep (a channel without messages).
///
/// # Errors
/// As every statement.
pub async fn complete(
    tx: &mut Tx,
    key: &CursorKey,
    delta_link: Option<&str>,
    options: &str,
    items: i64,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO microsoft_sync_state AS cur (company_id, resource_type, resource_id, user_id, delta_link, options,
             items, last_run_at, last_success_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, clock_timestamp(), clock_timestamp())
         ON CONFLICT (company_id, resource_type, resource_id, user_id) DO UPDATE SET
             earlier_links = CASE WHEN cur.delta_link IS NULL OR cur.delta_link = excluded.delta_link
                 THEN cur.earlier_links ELSE (array_prepend(cur.delta_link, cur.earlier_links))[1:3] END,
             delta_link = excluded.delta_link, options = excluded.options, items = excluded.items, walk = NULL,
             last_error = NULL, consecutive_failures = 0,
             last_run_at = CASE WHEN cur.walk IS NULL THEN excluded.last_run_at ELSE cur.last_run_at END,
             last_success_at = excluded.last_success_at, updated_at = clock_timestamp()",
        key.company.uuid(),
        key.resource_type,
        key.resource_id,
        key.user_id,
        delta_link,
        options,
        items,
    )
    .execute(tx.conn())
    .await
    .doing("storing the cursor")
    .map(drop)
}

/// A round was given up; the cursor of the last complete one stays. Returns the failures in a row.
///
/// # Errors
/// As every statement.
pub async fn fail(tx: &mut Tx, key: &CursorKey, error: &str) -> Result<i32> {
    sqlx::query_scalar!(
        "INSERT INTO microsoft_sync_state AS cur (company_id, resource_type, resource_id, user_id, last_error,
             last_run_at, consecutive_failures)
         VALUES ($1, $2, $3, $4, $5, clock_timestamp(), 1)
         ON CONFLICT (company_id, resource_type, resource_id, user_id) DO UPDATE SET
             last_error = excluded.last_error, consecutive_failures = cur.consecutive_failures + 1,
             last_run_at = excluded.last_run_at, updated_at = clock_timestamp()
         RETURNING consecutive_failures",
        key.company.uuid(),
        key.resource_type,
        key.resource_id,
        key.user_id,
        error,
    )
    .fetch_one(tx.conn())
    .await
    .doing("storing a failed round")
}

/// Forgets the cursors of a user or resource: the next run reads everything. Returns how many.
///
/// # Errors
/// As every statement.
pub async fn reset(
    tx: &mut Tx,
    company: CompanyId,
    resource_type: &str,
    user_or_resource: &str,
) -> Result<u64> {
    sqlx::query!(
        "DELETE FROM microsoft_sync_state WHERE company_id = $1 AND resource_type = $2
             AND (user_id = $3 OR (user_id = '' AND resource_id = $3))",
        company.uuid(),
        resource_type,
        user_or_resource,
    )
    .execute(tx.conn())
    .await
    .doing("forgetting cursors")
    .map(|done| done.rows_affected())
}

/// Whether every living folder of a mailbox was read to its end with these options.
///
/// # Errors
/// As every statement.
pub async fn mailbox_complete(tx: &mut Tx, company: CompanyId, user_id: &str, options: &str) -> Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM microsoft_sync_state WHERE company_id = $1 AND resource_type = 'messages'
               AND user_id = $2 AND resource_id = 'folders' AND delta_link IS NOT NULL)
           AND NOT EXISTS (SELECT FROM mail_folders f WHERE f.company_id = $1 AND f.user_id = $2
               AND f.deleted_at IS NULL AND NOT EXISTS (SELECT FROM microsoft_sync_state s WHERE s.company_id = $1
                   AND s.resource_type = 'messages' AND s.user_id = $2 AND s.resource_id = f.folder_id
                   AND s.delta_link IS NOT NULL AND s.options = $3)) AS "complete!""#,
        company.uuid(),
        user_id,
        options,
    )
    .fetch_one(tx.conn())
    .await
    .doing("asking whether a mailbox was read")
}
