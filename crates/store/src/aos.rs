//! AOs (calls for tenders): the entities that documents belong to.

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use domain::names::name_key;

use crate::drive_index::placement;
use crate::error::{Doing, Result, StoreError};
use crate::pool::Tx;

/// An AO.
#[derive(Debug, Clone)]
pub struct Ao {
    /// Id, such as `ao-2503`.
    pub id: String,
    /// Reference, as it stands in the folder's name behind the prefix.
    pub reference: String,
    /// Title.
    pub title: String,
    /// Drive in which its folder lies; none = the company's first.
    pub drive_id: Option<String>,
    /// Its folder, once it was seen.
    pub folder_item_id: Option<String>,
    /// Found in the drive; false when an operator or application wrote it.
    pub discovered: bool,
    /// End of its last run.
    pub last_synced_at: Option<DateTime<Utc>>,
    /// `success` or `error`.
    pub last_sync_status: Option<String>,
    /// What failed in its last run.
    pub last_error: Option<String>,
    /// First of the failures since its last successful run.
    pub failing_since: Option<DateTime<Utc>>,
    /// Living documents.
    pub documents: i64,
    /// Written at.
    pub created_at: DateTime<Utc>,
    /// Changed at.
    pub updated_at: DateTime<Utc>,
}

/// One AO.
///
/// # Errors
/// As every statement.
pub async fn get(tx: &mut Tx, company: CompanyId, id: &str) -> Result<Option<Ao>> {
    sqlx::query_as!(
        Ao,
        r#"SELECT id, reference, title, drive_id, folder_item_id, discovered,
               greatest(last_synced_at, (SELECT r.last_delta_at FROM drives r WHERE r.company_id = $1
                   AND r.drive_id = a.drive_id)) AS last_synced_at, last_sync_status,
               last_error, failing_since, created_at, updated_at,
               (SELECT count(*) FROM documents d WHERE d.company_id = $1 AND d.entity_type = 'ao'
                   AND d.entity_id = a.id AND d.deleted_at IS NULL) AS "documents!"
           FROM aos a WHERE company_id = $1 AND id = $2"#,
        company.uuid(),
        id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading an AO")
}

/// The AO with a reference; the provider compares names without case, and so does this.
async fn find_reference(tx: &mut Tx, company: CompanyId, reference: &str) -> Result<Option<String>> {
    sqlx::query_scalar!(
        "SELECT id FROM aos WHERE company_id = $1 AND reference_key = $2",
        company.uuid(),
        name_key(reference),
    )
    .fetch_optional(tx.conn())
    .await
    .doing("looking up a reference")
}

/// AOs of the company in the order of their ids, after `after`.
///
/// # Errors
/// As every statement.
pub async fn list(tx: &mut Tx, company: CompanyId, after: Option<&str>, limit: i64) -> Result<Vec<Ao>> {
    sqlx::query_as!(
        Ao,
        r#"SELECT id, reference, title, drive_id, folder_item_id, discovered,
               greatest(last_synced_at, (SELECT r.last_delta_at FROM drives r WHERE r.company_id = $1
                   AND r.drive_id = a.drive_id)) AS last_synced_at, last_sync_status,
               last_error, failing_since, created_at, updated_at,
               (SELECT count(*) FROM documents d WHERE d.company_id = $1 AND d.entity_type = 'ao'
                   AND d.entity_id = a.id AND d.deleted_at IS NULL) AS "documents!"
           FROM aos a WHERE company_id = $1 AND ($2::text IS NULL OR id > $2) ORDER BY id LIMIT $3"#,
        company.uuid(),
        after,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing AOs")
}

/// Id and drive of every AO (at most `limit`), with the company's oldest enabled drive where it has none.
///
/// # Errors
/// As every statement.
pub async fn ids_with_drive(
    tx: &mut Tx,
    company: CompanyId,
    limit: i64,
) -> Result<Vec<(String, Option<String>)>> {
    let rows = sqlx::query!(
        r#"SELECT id, coalesce(drive_id, (SELECT d.drive_id FROM drives d WHERE d.company_id = $1 AND d.enabled
               ORDER BY d.drive_no LIMIT 1)) AS drive_id
           FROM aos WHERE company_id = $1 ORDER BY id LIMIT $2"#,
        company.uuid(),
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing AO ids")?;
    Ok(rows.into_iter().map(|r| (r.id, r.drive_id)).collect())
}

/// What became of a written AO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AoWritten {
    /// A new row.
    Created,
    /// The row was brought up to date.
    Updated,
    /// Another AO, named here, has the reference; nothing was written.
    Duplicate(String),
}

/// Creates or changes an AO on behalf of a person or application. An absent title or drive keeps what is
/// stored.
///
/// # Errors
/// As every statement.
pub async fn put(
    tx: &mut Tx,
    company: CompanyId,
    id: &str,
    reference: &str,
    title: Option<&str>,
    drive_id: Option<&str>,
) -> Result<AoWritten> {
    if let Some(other) = find_reference(tx, company, reference).await?.filter(|other| other != id) {
        return Ok(AoWritten::Duplicate(other));
    }
    let before = sqlx::query!(
        "SELECT drive_id, folder_item_id FROM aos WHERE company_id = $1 AND id = $2 FOR UPDATE",
        company.uuid(),
        id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading an AO")?;
    let written = sqlx::query!(
        r#"INSERT INTO aos AS a (company_id, id, reference, reference_key, title, drive_id)
           VALUES ($1, $2, $3, $4, coalesce($5, ''), $6)
           ON CONFLICT (company_id, id) DO UPDATE
               SET reference = excluded.reference, reference_key = excluded.reference_key,
                   title = coalesce($5, a.title), drive_id = coalesce($6, a.drive_id),
                   folder_item_id = CASE WHEN a.reference_key = excluded.reference_key
                       AND coalesce($6, a.drive_id) IS NOT DISTINCT FROM a.drive_id
                       THEN a.folder_item_id END,
                   updated_at = clock_timestamp()
           RETURNING (xmax = 0) AS "new!", folder_item_id"#,
        company.uuid(),
        id,
        reference,
        name_key(reference),
        title,
        drive_id,
    )
    .fetch_one(tx.conn())
    .await
    .doing("writing an AO");
    match written {
        Ok(row) if row.new => Ok(AoWritten::Created),
        Ok(row) => {
            let left = before.and_then(|b| b.folder_item_id.map(|folder| (b.drive_id, folder)));
            if let Some((drive, folder)) = left.filter(|_| row.folder_item_id.is_none()) {
                placement::detach(tx, company, drive.as_deref(), &folder).await?;
            }
            Ok(AoWritten::Updated)
        }
        // Two requests raced for one reference; the transaction is over, the caller asks again.
        Err(StoreError::Constraint { constraint, .. }) if constraint == "aos_reference_unique" => {
            Ok(AoWritten::Duplicate(String::new()))
        }
        Err(error) => Err(error),
    }
}

/// Notes the end of a run for AOs; `error` is `None` after a success.
///
/// # Errors
/// As every statement.
pub async fn record_sync(tx: &mut Tx, company: CompanyId, ids: &[String], error: Option<&str>) -> Result<()> {
    sqlx::query!(
        "UPDATE aos SET last_synced_at = clock_timestamp(), last_error = $3,
             last_sync_status = CASE WHEN $3::text IS NULL THEN 'success' ELSE 'error' END,
             failing_since = CASE WHEN $3::text IS NULL THEN NULL
                 ELSE coalesce(failing_since, clock_timestamp()) END
         WHERE company_id = $1 AND id = ANY($2)",
        company.uuid(),
        ids,
        error,
    )
    .execute(tx.conn())
    .await
    .doing("noting the runs of AOs")
    .map(drop)
}

/// As [`record_sync`] for every AO of a drive, but writes only those whose status changes: when each was last
/// synchronised follows from the drive (`drives.last_delta_at`), and a delta must not cost a write for every AO.
/// Returns how many AOs the drive has.
///
/// # Errors
/// As every statement.
pub async fn record_drive_sync(
    tx: &mut Tx,
    company: CompanyId,
    drive_id: &str,
    error: Option<&str>,
) -> Result<u64> {
    match error {
        Some(error) => drive_failed(tx, company, drive_id, error).await?,
        None => drive_succeeded(tx, company, drive_id).await?,
    }
    let kept = sqlx::query_scalar!(
        "SELECT ao_count FROM drives WHERE company_id = $1 AND drive_id = $2",
        company.uuid(),
        drive_id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading how many AOs a drive has")?;
    let aos = match kept.flatten() {
        Some(aos) => aos,
        None => count(tx, company, drive_id).await?,
    };
    Ok(u64::try_from(aos).unwrap_or(0))
}

/// Counts a drive's AOs and keeps the number, until one comes or goes (trigger `aos_forget_count`).
async fn count(tx: &mut Tx, company: CompanyId, drive_id: &str) -> Result<i64> {
    sqlx::query_scalar!(
        "UPDATE drives SET ao_count = (SELECT count(*) FROM aos WHERE company_id = $1 AND drive_id = $2)
         WHERE company_id = $1 AND drive_id = $2 RETURNING ao_count",
        company.uuid(),
        drive_id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("counting a drive's AOs")
    .map(|aos| aos.flatten().unwrap_or(0))
}

/// Looks at the unsettled AOs alone (index `aos_unsettled`).
async fn drive_succeeded(tx: &mut Tx, company: CompanyId, drive_id: &str) -> Result<()> {
    sqlx::query!(
        "UPDATE aos SET last_synced_at = clock_timestamp(), last_error = NULL, last_sync_status = 'success',
             failing_since = NULL
         WHERE company_id = $1 AND drive_id = $2 AND (last_error IS NOT NULL
             OR last_sync_status IS DISTINCT FROM 'success' OR failing_since IS NOT NULL)",
        company.uuid(),
        drive_id,
    )
    .execute(tx.conn())
    .await
    .doing("noting the run of a drive's AOs")
    .map(drop)
}

async fn drive_failed(tx: &mut Tx, company: CompanyId, drive_id: &str, error: &str) -> Result<()> {
    sqlx::query!(
        "UPDATE aos SET last_synced_at = clock_timestamp(), last_error = $3, last_sync_status = 'error',
             failing_since = coalesce(failing_since, clock_timestamp())
         WHERE company_id = $1 AND drive_id = $2 AND (last_error IS DISTINCT FROM $3::text
             OR last_sync_status IS DISTINCT FROM 'error' OR failing_since IS NULL)",
        company.uuid(),
        drive_id,
        error,
    )
    .execute(tx.conn())
    .await
    .doing("noting the failed run of a drive's AOs")
    .map(drop)
}

/// AOs that have failed without a success since before `before`, the oldest trouble first; after the pair
/// (failing_since, id) of the previous page's last row.
///
/// # Errors
/// As every statement.
pub async fn failing(
    tx: &mut Tx,
    company: CompanyId,
    before: DateTime<Utc>,
    after: Option<(DateTime<Utc>, String)>,
    limit: i64,
) -> Result<Vec<Ao>> {
    let (at, id) = after.unzip();
    sqlx::query_as!(
        Ao,
        r#"SELECT id, reference, title, drive_id, folder_item_id, discovered,
               greatest(last_synced_at, (SELECT r.last_delta_at FROM drives r WHERE r.company_id = $1
                   AND r.drive_id = a.drive_id)) AS last_synced_at, last_sync_status,
               last_error, failing_since, created_at, updated_at,
               (SELECT count(*) FROM documents d WHERE d.company_id = $1 AND d.entity_type = 'ao'
                   AND d.entity_id = a.id AND d.deleted_at IS NULL) AS "documents!"
           FROM aos a WHERE company_id = $1 AND failing_since <= $2
               AND ($3::timestamptz IS NULL OR (failing_since, id) > ($3, $4))
           ORDER BY failing_since, id LIMIT $5"#,
        company.uuid(),
        before,
        at,
        id,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing failing AOs")
}
