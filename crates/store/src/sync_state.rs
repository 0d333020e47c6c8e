//! The read side of `microsoft_sync_state`: ages and counts, never the cursor itself.

pub mod cursor;

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// State of one cursor.
#[derive(Debug, Clone)]
pub struct SyncState {
    /// Owner of the mailbox or calendar; empty for drives.
    pub user_id: String,
    /// `messages`, `events`, `drive`, `teams`.
    pub resource_type: String,
    /// Drive, folder, channel or calendar.
    pub resource_id: String,
    /// There is a delta link.
    pub has_cursor: bool,
    /// A round is half way through.
    pub walking: bool,
    /// Items known.
    pub items: i64,
    /// Last run, good or bad.
    pub last_run_at: Option<DateTime<Utc>>,
    /// Last good run; the age of the cursor counts from here.
    pub last_success_at: Option<DateTime<Utc>>,
    /// What failed last.
    pub last_error: Option<String>,
    /// Failed runs in a row.
    pub consecutive_failures: i32,
}

/// States of a user (or, for drives, of the drive with that id) and resource type; at most 200.
///
/// # Errors
/// As every statement.
pub async fn list(
    tx: &mut Tx,
    company: CompanyId,
    user: &str,
    resource_type: &str,
) -> Result<Vec<SyncState>> {
    sqlx::query_as!(
        SyncState,
        r#"SELECT user_id, resource_type, resource_id, (delta_link IS NOT NULL) AS "has_cursor!",
               (walk IS NOT NULL) AS "walking!", items, last_run_at, last_success_at, last_error,
               consecutive_failures
           FROM microsoft_sync_state
           WHERE company_id = $1 AND resource_type = $3 AND (user_id = $2 OR (user_id = '' AND resource_id = $2))
           ORDER BY resource_id LIMIT 200"#,
        company.uuid(),
        user,
        resource_type,
    )
    .fetch_all(tx.conn())
    .await
    .doing("reading sync states")
}

/// Living items in the index of a drive.
///
/// # Errors
/// As every statement.
pub async fn indexed_items(tx: &mut Tx, company: CompanyId, drive_id: &str) -> Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "n!" FROM drive_items i JOIN drives d ON d.drive_no = i.drive_no
           WHERE d.company_id = $1 AND d.drive_id = $2 AND i.deleted_at IS NULL"#,
        company.uuid(),
        drive_id,
    )
    .fetch_one(tx.conn())
    .await
    .doing("counting indexed items")
}
