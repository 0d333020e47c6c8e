//! The index of a drive (metadata of everything in it) and the documents derived from it.
//!
//! A page of the feed is stored with [`items::apply_page`] and stamped with a sequence number. Documents
//! follow by [`placement`] (folders, top down) and [`projection`] (files, in sequence order): rows stamped
//! after `drives.projected_seq` are pending, so a crash at any moment resumes where it stopped, and work is
//! proportional to what changed.

pub mod cursor;
pub mod items;
pub mod placement;
pub mod projection;

use domain::ids::CompanyId;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// A drive as the sync sees it.
#[derive(Debug, Clone)]
pub struct IndexedDrive {
    /// Owner.
    pub company: CompanyId,
    /// Graph id.
    pub drive_id: String,
    /// Short key of the index rows.
    pub drive_no: i64,
    /// Whether it takes part in syncs.
    pub enabled: bool,
    /// Number of the newest complete enumeration that was begun.
    pub generation: i64,
    /// Documents reflect the index up to here.
    pub projected_seq: i64,
    /// Taxonomy that the placements were computed with.
    pub taxonomy_fingerprint: Option<String>,
    /// Whether a complete enumeration has ever ended.
    pub indexed: bool,
}

/// Reads a drive.
///
/// # Errors
/// As every statement.
pub async fn find(tx: &mut Tx, company: CompanyId, drive_id: &str) -> Result<Option<IndexedDrive>> {
    let row = sqlx::query!(
        "SELECT drive_no, enabled, generation, projected_seq, taxonomy_fingerprint, last_full_at
         FROM drives WHERE company_id = $1 AND drive_id = $2",
        company.uuid(),
        drive_id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading a drive")?;
    Ok(row.map(|r| IndexedDrive {
        company,
        drive_id: drive_id.to_owned(),
        drive_no: r.drive_no,
        enabled: r.enabled,
        generation: r.generation,
        projected_seq: r.projected_seq,
        taxonomy_fingerprint: r.taxonomy_fingerprint,
        indexed: r.last_full_at.is_some(),
    }))
}

/// Notes the taxonomy of the places to come, unless there is one already.
///
/// # Errors
/// As every statement.
pub async fn adopt_taxonomy(tx: &mut Tx, drive_no: i64, fingerprint: &str) -> Result<()> {
    sqlx::query!(
        "UPDATE drives SET taxonomy_fingerprint = $2 WHERE drive_no = $1 AND taxonomy_fingerprint IS NULL",
        drive_no,
        fingerprint,
    )
    .execute(tx.conn())
    .await
    .doing("storing the taxonomy's fingerprint")
    .map(drop)
}

/// Takes the next sequence number of the drive.
///
/// # Errors
/// As every statement.
pub async fn next_seq(tx: &mut Tx, drive_no: i64) -> Result<i64> {
    sqlx::query_scalar!(
        "UPDATE drives SET change_seq = change_seq + 1 WHERE drive_no = $1 RETURNING change_seq",
        drive_no,
    )
    .fetch_one(tx.conn())
    .await
    .doing("taking a sequence number")
}

/// Begins a round: rows that a complete enumeration of this generation will not have seen are gone at its end.
///
/// # Errors
/// As every statement.
pub async fn begin_generation(tx: &mut Tx, drive_no: i64) -> Result<i64> {
    sqlx::query_scalar!(
        "UPDATE drives SET generation = generation + 1 WHERE drive_no = $1 RETURNING generation",
        drive_no,
    )
    .fetch_one(tx.conn())
    .await
    .doing("beginning a round")
}

/// Notes that a round ended.
///
/// # Errors
/// As every statement.
pub async fn round_ended(tx: &mut Tx, drive_no: i64, full: bool) -> Result<()> {
    sqlx::query!(
        "UPDATE drives SET last_delta_at = clock_timestamp(),
             last_full_at = CASE WHEN $2 THEN clock_timestamp() ELSE last_full_at END,
             ao_count = CASE WHEN $2 THEN NULL ELSE ao_count END
         WHERE drive_no = $1",
        drive_no,
        full,
    )
    .execute(tx.conn())
    .await
    .doing("ending a round")
    .map(drop)
}

/// Notes that the newest enumeration is at least this one (a walk that restarts raises it by itself).
///
/// # Errors
/// As every statement.
pub async fn raise_generation(tx: &mut Tx, drive_no: i64, generation: i64) -> Result<()> {
    sqlx::query!(
        "UPDATE drives SET generation = $2 WHERE drive_no = $1 AND generation < $2",
        drive_no,
        generation,
    )
    .execute(tx.conn())
    .await
    .doing("raising the generation")
    .map(drop)
}
