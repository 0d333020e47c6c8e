//! Ranges of a chain in object storage, and what leaves the database because of them.

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use serde_json::Value;
use uuid::Uuid;

use crate::error::{Doing, Result, StoreError};
use crate::pool::Tx;

/// A range that is, or will be, in object storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Id.
    pub id: Uuid,
    /// First record.
    pub first_sequence: i64,
    /// Last record.
    pub last_sequence: i64,
    /// `planned`, `uploaded`, `verified`, `purging` or `purged`.
    pub state: String,
    /// `primary` or `fallback`; `None` while planned.
    pub store: Option<String>,
    /// Folder below the store.
    pub path: String,
    /// The signed manifest.
    pub manifest: Option<String>,
    /// When it was also brought to the primary store.
    pub reconciled_at: Option<DateTime<Utc>>,
    /// When it was planned.
    pub created_at: DateTime<Utc>,
}

/// The company's archives after a sequence, in the order of their records.
///
/// # Errors
/// As every statement.
pub async fn list(tx: &mut Tx, company: CompanyId, after: i64, limit: i64) -> Result<Vec<Archive>> {
    sqlx::query_as!(
        Archive,
        "SELECT id, first_sequence, last_sequence, state, store, path, manifest, reconciled_at, created_at
         FROM audit_archives WHERE company_id = $1 AND first_sequence > $2 ORDER BY first_sequence LIMIT $3",
        company.uuid(),
        after,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("reading archives")
}

impl Archive {
    /// Whether it was read back: before that it may be in any state, and is written again.
    pub fn is_settled(&self) -> bool {
        self.state == "verified" || self.stands_in()
    }

    /// Whether the archive stands for its records: some or all of them have left the database.
    pub fn stands_in(&self) -> bool {
        matches!(self.state.as_str(), "purging" | "purged")
    }
}

/// One archive.
///
/// # Errors
/// As every statement.
pub async fn find(tx: &mut Tx, company: CompanyId, id: Uuid) -> Result<Option<Archive>> {
    sqlx::query_as!(
        Archive,
        "SELECT id, first_sequence, last_sequence, state, store, path, manifest, reconciled_at, created_at
         FROM audit_archives WHERE company_id = $1 AND id = $2",
        company.uuid(),
        id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading an archive")
}

/// Last record of the company that is in an archive or planned to be; 0 when none is.
///
/// # Errors
/// As every statement.
pub async fn last(tx: &mut Tx, company: CompanyId) -> Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT coalesce(max(last_sequence), 0) AS "last!" FROM audit_archives WHERE company_id = $1"#,
        company.uuid(),
    )
    .fetch_one(tx.conn())
    .await
    .doing("reading the last archived record")
}

/// Plans an archive.
///
/// # Errors
/// [`StoreError::Constraint`] when another run planned the same range.
pub async fn plan(
    tx: &mut Tx,
    company: CompanyId,
    id: Uuid,
    (first, last): (i64, i64),
    path: &str,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO audit_archives (id, company_id, first_sequence, last_sequence, records, state, path)
         VALUES ($1, $2, $3, $4, $5, 'planned', $6)",
        id,
        company.uuid(),
        first,
        last,
        last - first + 1,
        path,
    )
    .execute(tx.conn())
    .await
    .doing("planning an archive")
    .map(drop)
}

/// What an upload left behind.
#[derive(Debug, Clone)]
pub struct Uploaded<'a> {
    /// `primary` or `fallback`.
    pub store: &'a str,
    /// The signed manifest.
    pub manifest: &'a str,
    /// Its SHA-256.
    pub sha256: &'a [u8],
    /// Compressed bytes of all parts.
    pub bytes: i64,
}

/// Notes that a planned archive is uploaded.
///
/// # Errors
/// As [`step`].
pub async fn uploaded(tx: &mut Tx, company: CompanyId, id: Uuid, what: &Uploaded<'_>) -> Result<()> {
    let done = sqlx::query!(
        "UPDATE audit_archives SET state = 'uploaded', store = $3, manifest = $4, manifest_sha256 = $5, bytes = $6
         WHERE company_id = $1 AND id = $2 AND state IN ('planned', 'uploaded')",
        company.uuid(),
        id,
        what.store,
        what.manifest,
        what.sha256,
        what.bytes,
    )
    .execute(tx.conn())
    .await
    .doing("noting an uploaded archive")?;
    one(done.rows_affected(), id)
}

/// Notes that an uploaded archive was read back and holds what was sealed.
///
/// # Errors
/// [`StoreError::Malformed`] when it is in another state.
pub async fn verified(tx: &mut Tx, company: CompanyId, id: Uuid) -> Result<()> {
    let done = sqlx::query!(
        "UPDATE audit_archives SET state = 'verified', verified_at = clock_timestamp()
         WHERE company_id = $1 AND id = $2 AND state = 'uploaded'",
        company.uuid(),
        id,
    )
    .execute(tx.conn())
    .await
    .doing("noting a verified archive")?;
    one(done.rows_affected(), id)
}

/// Notes that the records of a verified archive begin to leave the database: from now on the archive stands for them.
///
/// # Errors
/// As [`verified`].
pub async fn purging(tx: &mut Tx, company: CompanyId, id: Uuid) -> Result<()> {
    let done = sqlx::query!(
        "UPDATE audit_archives SET state = 'purging'
         WHERE company_id = $1 AND id = $2 AND state IN ('verified', 'purging')",
        company.uuid(),
        id,
    )
    .execute(tx.conn())
    .await
    .doing("beginning to purge an archive")?;
    one(done.rows_affected(), id)
}

/// Notes that the records of a verified archive have left the database.
///
/// # Errors
/// As [`verified`].
pub async fn purged(tx: &mut Tx, company: CompanyId, id: Uuid) -> Result<()> {
    let done = sqlx::query!(
        "UPDATE audit_archives SET state = 'purged', purged_at = clock_timestamp()
         WHERE company_id = $1 AND id = $2 AND state = 'purging'",
        company.uuid(),
        id,
    )
    .execute(tx.conn())
    .await
    .doing("noting a purged archive")?;
    one(done.rows_affected(), id)
}

/// Notes that an archive of the fallback store is in the primary one as well.
///
/// # Errors
/// As every statement.
pub async fn reconciled(tx: &mut Tx, company: CompanyId, id: Uuid) -> Result<()> {
    sqlx::query!(
        "UPDATE audit_archives SET reconciled_at = clock_timestamp() WHERE company_id = $1 AND id = $2",
        company.uuid(),
        id,
    )
    .execute(tx.conn())
    .await
    .doing("noting a reconciled archive")
    .map(drop)
}

fn one(rows: u64, id: Uuid) -> Result<()> {
    if rows == 1 {
        return Ok(());
    }
    Err(StoreError::Malformed { what: "state of archive", value: id.to_string() })
}

/// Removes up to `limit` records that an archive holds which is being purged; how many. The database refuses it for any other.
///
/// # Errors
/// As every statement.
pub async fn purge(tx: &mut Tx, id: Uuid, limit: i32) -> Result<i64> {
    let gone = sqlx::query_scalar!("SELECT purge_audit_events($1, $2)", id, limit)
        .fetch_one(tx.conn())
        .await
        .doing("purging archived records")?;
    Ok(gone.unwrap_or(0))
}

/// Writes records of an archive into the side table `audit_restored`.
///
/// # Errors
/// As every statement.
pub async fn restore(tx: &mut Tx, company: CompanyId, id: Uuid, records: &[(i64, Value)]) -> Result<()> {
    let (sequences, values): (Vec<i64>, Vec<Value>) = records.iter().cloned().unzip();
    sqlx::query!(
        "INSERT INTO audit_restored (company_id, archive_id, sequence, record)
         SELECT $1, $2, r.sequence, r.record FROM unnest($3::bigint[], $4::jsonb[]) AS r (sequence, record)
         ON CONFLICT (archive_id, sequence) DO UPDATE SET record = excluded.record, restored_at = clock_timestamp()",
        company.uuid(),
        id,
        &sequences,
        &values,
    )
    .execute(tx.conn())
    .await
    .doing("restoring records")
    .map(drop)
}
