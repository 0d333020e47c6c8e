//! Drives that a company has registered for synchronisation.

use chrono::{DateTime, Utc};
use contracts::jobs::{EnsureDriveSubscription, SyncDrive, SyncMode, Trigger, drive_resource};
use domain::ids::CompanyId;

use crate::error::{Doing, Result};
use crate::jobs::{NewJob, enqueue_many};
use crate::pool::Tx;

/// A registered drive.
#[derive(Debug, Clone)]
pub struct Drive {
    /// Graph drive id.
    pub drive_id: String,
    /// Short key of the index rows.
    pub drive_no: i64,
    /// Name; empty until the provider was asked.
    pub name: String,
    /// `driveType` of the drive resource, Graph v1.0; empty until the provider was asked.
    pub drive_type: String,
    /// Root item; unknown until the provider was asked.
    pub root_item_id: Option<String>,
    /// Sweeps and notifications are followed.
    pub enabled: bool,
    /// Number of the newest complete enumeration that was begun.
    pub generation: i64,
    /// End of the last complete enumeration.
    pub last_full_at: Option<DateTime<Utc>>,
    /// End of the last delta round.
    pub last_delta_at: Option<DateTime<Utc>>,
    /// Registered at.
    pub created_at: DateTime<Utc>,
}

/// Registers a drive; a known one keeps everything but an empty name. Returns true when the row is new.
///
/// # Errors
/// As every statement.
pub async fn register(tx: &mut Tx, company: CompanyId, drive_id: &str, name: &str) -> Result<bool> {
    sqlx::query_scalar!(
        r#"INSERT INTO drives AS d (company_id, drive_id, name) VALUES ($1, $2, $3)
           ON CONFLICT (company_id, drive_id) DO UPDATE
               SET name = CASE WHEN excluded.name = '' THEN d.name ELSE excluded.name END
           RETURNING (xmax = 0) AS "new!""#,
        company.uuid(),
        drive_id,
        name,
    )
    .fetch_one(tx.conn())
    .await
    .doing("registering a drive")
}

/// Stores what the provider says about a drive (drive resource, Graph v1.0).
///
/// # Errors
/// As every statement.
pub async fn describe(
    tx: &mut Tx,
    company: CompanyId,
    drive_id: &str,
    name: &str,
    drive_type: &str,
    root_item_id: &str,
) -> Result<()> {
    sqlx::query!(
        "UPDATE drives SET name = CASE WHEN $3 = '' THEN name ELSE $3 END, drive_type = $4, root_item_id = $5
         WHERE company_id = $1 AND drive_id = $2",
        company.uuid(),
        drive_id,
        name,
        drive_type,
        root_item_id,
    )
    .execute(tx.conn())
    .await
    .doing("describing a drive")
    .map(drop)
}

/// One drive.
///
/// # Errors
/// As every statement.
pub async fn get(tx: &mut Tx, company: CompanyId, drive_id: &str) -> Result<Option<Drive>> {
    sqlx::query_as!(
        Drive,
        "SELECT drive_id, drive_no, name, drive_type, root_item_id, enabled, generation, last_full_at,
             last_delta_at, created_at
         FROM drives WHERE company_id = $1 AND drive_id = $2",
        company.uuid(),
        drive_id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading a drive")
}

/// Drives of the company, oldest first, after the one with number `after`.
///
/// # Errors
/// As every statement.
pub async fn list(tx: &mut Tx, company: CompanyId, after: Option<i64>, limit: i64) -> Result<Vec<Drive>> {
    sqlx::query_as!(
        Drive,
        "SELECT drive_id, drive_no, name, drive_type, root_item_id, enabled, generation, last_full_at,
             last_delta_at, created_at
         FROM drives WHERE company_id = $1 AND ($2::bigint IS NULL OR drive_no > $2) ORDER BY drive_no LIMIT $3",
        company.uuid(),
        after,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing drives")
}

/// Ids of the drives that sweeps visit, oldest first.
///
/// # Errors
/// As every statement.
pub async fn list_enabled(tx: &mut Tx, company: CompanyId) -> Result<Vec<String>> {
    sqlx::query_scalar!(
        "SELECT drive_id FROM drives WHERE company_id = $1 AND enabled ORDER BY drive_no LIMIT 1000",
        company.uuid(),
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing enabled drives")
}

/// Ids of enabled drives that were never enumerated completely, oldest first: their AOs are not known yet.
///
/// # Errors
/// As every statement.
pub async fn list_unread(tx: &mut Tx, company: CompanyId) -> Result<Vec<String>> {
    sqlx::query_scalar!(
        "SELECT drive_id FROM drives d WHERE company_id = $1 AND enabled
             AND NOT EXISTS (SELECT FROM microsoft_sync_state s WHERE s.company_id = $1
                 AND s.resource_type = 'drive' AND s.resource_id = d.drive_id AND s.delta_link IS NOT NULL)
         ORDER BY drive_no LIMIT 1000",
        company.uuid(),
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing unread drives")
}

/// Switches a drive on or off; false when there is no such drive.
///
/// # Errors
/// As every statement.
pub async fn set_enabled(tx: &mut Tx, company: CompanyId, drive_id: &str, enabled: bool) -> Result<bool> {
    sqlx::query!(
        "UPDATE drives SET enabled = $3 WHERE company_id = $1 AND drive_id = $2",
        company.uuid(),
        drive_id,
        enabled,
    )
    .execute(tx.conn())
    .await
    .doing("switching a drive")
    .map(|done| done.rows_affected() > 0)
}

/// The drive in which an AO lies: its own, else the company's oldest enabled one. `None` when there is
/// neither; an unknown AO counts as one without a drive of its own.
///
/// # Errors
/// As every statement.
pub async fn of_ao(tx: &mut Tx, company: CompanyId, ao_id: &str) -> Result<Option<String>> {
    sqlx::query_scalar!(
        r#"SELECT coalesce(
               (SELECT drive_id FROM aos WHERE company_id = $1 AND id = $2),
               (SELECT drive_id FROM drives WHERE company_id = $1 AND enabled ORDER BY drive_no LIMIT 1)
           ) AS drive_id"#,
        company.uuid(),
        ao_id,
    )
    .fetch_one(tx.conn())
    .await
    .doing("finding the drive of an AO")
}

/// Enqueues the first run of a registered drive and its push subscription; both coalesce with what waits.
///
/// # Errors
/// As every statement.
pub async fn enqueue_first_sync(tx: &mut Tx, company: CompanyId, drive_id: &str, by: &str) -> Result<()> {
    let sync = SyncDrive {
        drive_id: drive_id.to_owned(),
        mode: SyncMode::Delta,
        trigger: Trigger::Manual,
        dry_run: false,
        approved_removals: None,
    };
    let ensure = EnsureDriveSubscription { drive_id: drive_id.to_owned() };
    let key = drive_resource(drive_id);
    let jobs = vec![
        NewJob::new(company, &sync, by)?.dedupe(&key).resource(&key).priority(8),
        NewJob::new(company, &ensure, by)?
            .dedupe(&key)
            .resource(format!("subscription:{drive_id}"))
            .priority(8),
    ];
    enqueue_many(tx, jobs).await.map(drop)
}
