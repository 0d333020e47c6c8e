//! The folder tree of a mailbox.

use domain::ids::CompanyId;
use serde::Serialize;

use crate::error::{Doing, Result, StoreError};
use crate::pool::Tx;

/// A living folder.
#[derive(Debug, Clone)]
pub struct Folder {
    /// Graph's id.
    pub folder_id: String,
    /// Name.
    pub name: String,
    /// `inbox`, `sentitems`, ... where Graph says so.
    pub well_known_name: Option<String>,
    /// Messages, as the provider counted last.
    pub total_items: Option<i64>,
}

/// A folder as the provider reported it; what it left out keeps its stored value.
#[derive(Debug, Clone, Default, Serialize)]
pub struct NewFolder {
    /// Graph's id.
    pub folder_id: String,
    /// Folder above.
    pub parent_id: Option<String>,
    /// Name.
    pub name: Option<String>,
    /// `inbox`, `sentitems`, ...
    pub well_known_name: Option<String>,
    /// Messages.
    pub total_items: Option<i64>,
    /// Unread messages.
    pub unread_items: Option<i64>,
    /// Not shown to people.
    pub hidden: Option<bool>,
}

/// Stores a page of the tree: `live` ones, and those that the feed named as gone, which are to be looked up.
///
/// # Errors
/// As every statement.
pub async fn apply_folders(
    tx: &mut Tx,
    company: CompanyId,
    user_id: &str,
    generation: i64,
    live: &[NewFolder],
    removed: &[String],
) -> Result<u64> {
    let rows = serde_json::to_value(live)
        .map_err(|e| StoreError::Malformed { what: "folders", value: e.to_string() })?;
    let written = sqlx::query!(
        "INSERT INTO mail_folders AS f (company_id, user_id, folder_id, parent_id, name, well_known_name, total_items,
             unread_items, hidden, generation)
         SELECT $1, $2, t.folder_id, t.parent_id, coalesce(t.name, ''), t.well_known_name, t.total_items,
             t.unread_items, coalesce(t.hidden, false), $3
         FROM jsonb_to_recordset($4) AS t (folder_id text, parent_id text, name text, well_known_name text,
             total_items bigint, unread_items bigint, hidden boolean)
         ON CONFLICT (company_id, user_id, folder_id) DO UPDATE SET
             parent_id = coalesce(excluded.parent_id, f.parent_id),
             name = coalesce(nullif(excluded.name, ''), f.name),
             well_known_name = coalesce(excluded.well_known_name, f.well_known_name),
             total_items = coalesce(excluded.total_items, f.total_items),
             unread_items = coalesce(excluded.unread_items, f.unread_items),
             hidden = excluded.hidden OR f.hidden, generation = excluded.generation, suspect = false,
             deleted_at = NULL, updated_at = clock_timestamp()",
        company.uuid(),
        user_id,
        generation,
        rows,
    )
    .execute(tx.conn())
    .await
    .doing("storing folders")?
    .rows_affected();
    sqlx::query!(
        "UPDATE mail_folders SET suspect = true
         WHERE company_id = $1 AND user_id = $2 AND folder_id = ANY($3) AND deleted_at IS NULL",
        company.uuid(),
        user_id,
        removed,
    )
    .execute(tx.conn())
    .await
    .doing("noting folders that went")?;
    Ok(written)
}

/// Folders that a complete enumeration of the tree did not see are to be looked up.
///
/// # Errors
/// As every statement.
pub async fn suspect_unseen(tx: &mut Tx, company: CompanyId, user_id: &str, generation: i64) -> Result<u64> {
    sqlx::query!(
        "UPDATE mail_folders SET suspect = true
         WHERE company_id = $1 AND user_id = $2 AND generation < $3 AND deleted_at IS NULL",
        company.uuid(),
        user_id,
        generation,
    )
    .execute(tx.conn())
    .await
    .doing("noting unseen folders")
    .map(|done| done.rows_affected())
}

/// Folders to be looked up: named as gone, or below one that is.
///
/// # Errors
/// As every statement.
pub async fn suspects(tx: &mut Tx, company: CompanyId, user_id: &str) -> Result<Vec<String>> {
    sqlx::query_scalar!(
        "SELECT f.folder_id FROM mail_folders f
         LEFT JOIN mail_folders p
             ON p.company_id = f.company_id AND p.user_id = f.user_id AND p.folder_id = f.parent_id
         WHERE f.company_id = $1 AND f.user_id = $2 AND f.deleted_at IS NULL
             AND (f.suspect OR p.deleted_at > f.updated_at) ORDER BY f.folder_id LIMIT 1000",
        company.uuid(),
        user_id,
    )
    .fetch_all(tx.conn())
    .await
    .doing("reading folders to be looked up")
}

/// A folder was looked up: it lives, or it is gone and so its messages are to be looked up.
///
/// # Errors
/// As every statement.
pub async fn settle_folder(
    tx: &mut Tx,
    company: CompanyId,
    user_id: &str,
    folder_id: &str,
    lives: bool,
) -> Result<()> {
    sqlx::query!(
        "UPDATE mail_folders SET suspect = false, updated_at = clock_timestamp(),
             deleted_at = CASE WHEN $4 THEN NULL ELSE clock_timestamp() END
         WHERE company_id = $1 AND user_id = $2 AND folder_id = $3",
        company.uuid(),
        user_id,
        folder_id,
        lives,
    )
    .execute(tx.conn())
    .await
    .doing("settling a folder")?;
    if lives {
        return Ok(());
    }
    sqlx::query!(
        "UPDATE messages SET suspect = 1
         WHERE company_id = $1 AND source = 'mail' AND place = $2 AND folder_id = $3 AND deleted_at IS NULL
             AND suspect = 0",
        company.uuid(),
        user_id,
        folder_id,
    )
    .execute(tx.conn())
    .await
    .doing("noting the messages of a folder that is gone")?;
    sqlx::query!(
        "DELETE FROM microsoft_sync_state
         WHERE company_id = $1 AND resource_type = 'messages' AND user_id = $2 AND resource_id = $3",
        company.uuid(),
        user_id,
        folder_id,
    )
    .execute(tx.conn())
    .await
    .doing("forgetting the cursor of a folder that is gone")
    .map(drop)
}

/// Living folders of a mailbox, the inbox first.
///
/// # Errors
/// As every statement.
pub async fn list_folders(tx: &mut Tx, company: CompanyId, user_id: &str) -> Result<Vec<Folder>> {
    sqlx::query_as!(
        Folder,
        "SELECT folder_id, name, well_known_name, total_items FROM mail_folders
         WHERE company_id = $1 AND user_id = $2 AND deleted_at IS NULL
         ORDER BY (well_known_name = 'inbox') DESC NULLS LAST, folder_id LIMIT 10000",
        company.uuid(),
        user_id,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing folders")
}

/// One living folder.
///
/// # Errors
/// As every statement.
pub async fn folder(
    tx: &mut Tx,
    company: CompanyId,
    user_id: &str,
    folder_id: &str,
) -> Result<Option<Folder>> {
    sqlx::query_as!(
        Folder,
        "SELECT folder_id, name, well_known_name, total_items FROM mail_folders
         WHERE company_id = $1 AND user_id = $2 AND folder_id = $3 AND deleted_at IS NULL",
        company.uuid(),
        user_id,
        folder_id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading a folder")
}
