//! Folders: where each stands in the taxonomy, worked out top down.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::CompanyId;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// A folder whose placement is due and whose parent's is known.
#[derive(Debug, Clone)]
pub struct DueFolder {
    /// The folder.
    pub item_id: String,
    /// Its name.
    pub name: String,
    /// The drive's root.
    pub is_root: bool,
    /// Tombstoned.
    pub deleted: bool,
    /// What was computed last time.
    pub before: Place,
    /// Whether anything was ever computed.
    pub placed_before: bool,
    /// The parent's place; `None` for the root.
    pub parent: Option<Place>,
}

/// Where a folder stands and what a file in it belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Encoded `domain::taxonomy::Placement`; `None` when it cannot be reached from the root.
    pub placement: Option<String>,
    /// Path from the root, segments separated by '/'.
    pub path: Option<String>,
    /// AO that the folder belongs to.
    pub ao_id: Option<String>,
    /// Category that the folder belongs to.
    pub category: Option<String>,
}

/// Folders that can be placed now.
///
/// # Errors
/// As every statement.
pub async fn due(tx: &mut Tx, drive_no: i64, limit: i64) -> Result<Vec<DueFolder>> {
    let rows = sqlx::query!(
        r#"SELECT f.item_id, f.name, f.kind = 'root' AS "is_root!", f.deleted_at IS NOT NULL AS "deleted!",
               f.placement, f.path, f.ao_id, f.category, f.placed_seq IS NOT NULL AS "placed_before!",
               p.item_id AS "parent_id?", p.placement AS "parent_placement?", p.path AS "parent_path?",
               p.ao_id AS "parent_ao?", p.category AS "parent_category?"
           FROM drive_items f
           LEFT JOIN drive_items p ON p.drive_no = f.drive_no AND p.item_id = f.parent_id
               AND p.kind IN ('root', 'folder')
           WHERE f.drive_no = $1 AND f.kind IN ('root', 'folder')
               AND (f.placed_seq IS NULL OR f.placed_seq < f.changed_seq)
               AND (f.kind = 'root' OR f.deleted_at IS NOT NULL OR p.placed_seq >= p.changed_seq)
           ORDER BY f.item_id LIMIT $2"#,
        drive_no,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("finding folders to place")?;
    Ok(rows
        .into_iter()
        .map(|r| DueFolder {
            item_id: r.item_id,
            name: r.name,
            is_root: r.is_root,
            deleted: r.deleted,
            before: Place { placement: r.placement, path: r.path, ao_id: r.ao_id, category: r.category },
            placed_before: r.placed_before,
            parent: r.parent_id.map(|_| Place {
                placement: r.parent_placement,
                path: r.parent_path,
                ao_id: r.parent_ao,
                category: r.parent_category,
            }),
        })
        .collect())
}

/// Which of these items the index has, with their place where they are folders whose place is up to date.
///
/// # Errors
/// As every statement.
pub async fn stored(tx: &mut Tx, drive_no: i64, ids: &[String]) -> Result<BTreeMap<String, Option<Place>>> {
    let rows = sqlx::query!(
        r#"SELECT item_id, placement, path, ao_id, category,
               coalesce(kind IN ('root', 'folder') AND placed_seq >= changed_seq, false) AS "placed!"
           FROM drive_items WHERE drive_no = $1 AND item_id = ANY($2)"#,
        drive_no,
        ids,
    )
    .fetch_all(tx.conn())
    .await
    .doing("reading places")?;
    Ok(rows
        .into_iter()
        .map(|r| {
            let place = Place { placement: r.placement, path: r.path, ao_id: r.ao_id, category: r.category };
            (r.item_id, r.placed.then_some(place))
        })
        .collect())
}

/// A folder that nothing can place: its parent is not in the index, or its ancestors form a cycle.
#[derive(Debug, Clone)]
pub struct StuckFolder {
    /// The folder.
    pub item_id: String,
    /// Its name.
    pub name: String,
    /// The parent is not in the index (otherwise: a cycle, or below one).
    pub parent_missing: bool,
}

/// What is left when [`due`] finds nothing more.
///
/// # Errors
/// As every statement.
pub async fn stuck(tx: &mut Tx, drive_no: i64, limit: i64) -> Result<Vec<StuckFolder>> {
    sqlx::query_as!(
        StuckFolder,
        r#"SELECT f.item_id, f.name, p.item_id IS NULL AS "parent_missing!"
           FROM drive_items f
           LEFT JOIN drive_items p ON p.drive_no = f.drive_no AND p.item_id = f.parent_id
               AND p.kind IN ('root', 'folder')
           WHERE f.drive_no = $1 AND f.kind IN ('root', 'folder')
               AND (f.placed_seq IS NULL OR f.placed_seq < f.changed_seq)
           ORDER BY (p.item_id IS NULL) DESC, f.item_id LIMIT $2"#,
        drive_no,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("finding folders that cannot be placed")
}

/// Stores places, and stamps the children of folders whose place changed so that they follow. Children that
/// are pending anyway are left alone.
///
/// # Errors
/// As every statement.
pub async fn place(
    tx: &mut Tx,
    drive_no: i64,
    seq: i64,
    projected_seq: i64,
    places: &[(String, Place)],
    changed: &[String],
) -> Result<()> {
    let ids: Vec<String> = places.iter().map(|(id, _)| id.clone()).collect();
    let placement: Vec<Option<String>> = places.iter().map(|(_, p)| p.placement.clone()).collect();
    let path: Vec<Option<String>> = places.iter().map(|(_, p)| p.path.clone()).collect();
    let ao: Vec<Option<String>> = places.iter().map(|(_, p)| p.ao_id.clone()).collect();
    let category: Vec<Option<String>> = places.iter().map(|(_, p)| p.category.clone()).collect();
    sqlx::query!(
        "UPDATE drive_items d SET placement = u.placement, path = u.path, ao_id = u.ao_id, category = u.category,
             placed_seq = d.changed_seq
         FROM UNNEST($2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
             AS u (item_id, placement, path, ao_id, category)
         WHERE d.drive_no = $1 AND d.item_id = ANY($2) AND d.item_id = u.item_id",
        drive_no,
        &ids,
        &placement as &[Option<String>],
        &path as &[Option<String>],
        &ao as &[Option<String>],
        &category as &[Option<String>],
    )
    .execute(tx.conn())
    .await
    .doing("placing folders")?;
    if !changed.is_empty() {
        // A folder may be placed more than once in a run, and then its folders have this number already.
        sqlx::query!(
            "UPDATE drive_items SET changed_seq = $2::bigint,
                 placed_seq = CASE WHEN changed_seq < $2 THEN placed_seq ELSE $2::bigint - 1 END
             WHERE drive_no = $1 AND parent_id = ANY($4) AND CASE
                 WHEN kind IN ('root', 'folder') THEN placed_seq >= changed_seq
                 ELSE changed_seq < $2 AND changed_seq <= $3 END",
            drive_no,
            seq,
            projected_seq,
            changed,
        )
        .execute(tx.conn())
        .await
        .doing("stamping the children of moved folders")?;
    }
    Ok(())
}

/// Stamps every folder, because the taxonomy changed.
///
/// # Errors
/// As every statement.
pub async fn restamp_all(tx: &mut Tx, drive_no: i64, seq: i64, fingerprint: &str) -> Result<()> {
    sqlx::query!(
        "UPDATE drive_items SET changed_seq = $2 WHERE drive_no = $1 AND kind IN ('root', 'folder')",
        drive_no,
        seq,
    )
    .execute(tx.conn())
    .await
    .doing("stamping all folders")?;
    sqlx::query!("UPDATE drives SET taxonomy_fingerprint = $2 WHERE drive_no = $1", drive_no, fingerprint)
        .execute(tx.conn())
        .await
        .doing("storing the taxonomy's fingerprint")
        .map(drop)
}

/// Stamps the folders that carry an AO's name and hold none, when some AO has no folder: after an AO was
/// written over REST, or after the folder that held a reference went away. Returns how many.
///
/// # Errors
/// As every statement.
pub async fn restamp_unbound(tx: &mut Tx, drive_no: i64, seq: i64) -> Result<u64> {
    let any_free =
        sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM aos WHERE folder_item_id IS NULL) AS "any!""#)
            .fetch_one(tx.conn())
            .await
            .doing("looking for AOs without a folder")?;
    if !any_free {
        return Ok(0);
    }
    sqlx::query!(
        "UPDATE drive_items SET changed_seq = $2::bigint,
             placed_seq = CASE WHEN placed_seq IS NOT NULL THEN $2::bigint - 1 END
         WHERE drive_no = $1 AND placement LIKE 'a/%' AND ao_id IS NULL AND deleted_at IS NULL",
        drive_no,
        seq,
    )
    .execute(tx.conn())
    .await
    .doing("stamping folders without an AO")
    .map(|done| done.rows_affected())
}

/// Takes the AO from its folder, because a person gave the AO another reference or drive: [`restamp_unbound`] then
/// finds the folder, and its files follow.
///
/// # Errors
/// As every statement.
pub async fn detach(tx: &mut Tx, company: CompanyId, drive_id: Option<&str>, folder: &str) -> Result<()> {
    sqlx::query!(
        "UPDATE drive_items SET ao_id = NULL WHERE item_id = $3
             AND drive_no = (SELECT drive_no FROM drives WHERE company_id = $1 AND drive_id = $2)",
        company.uuid(),
        drive_id,
        folder,
    )
    .execute(tx.conn())
    .await
    .doing("taking an AO from its folder")
    .map(drop)
}

/// The folder that an AO reference belongs to, or belongs to from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// `aos.id`.
    pub ao_id: String,
    /// True when the asking folder holds the reference.
    pub ours: bool,
    /// The folder of the same drive that lost the reference to the asking one.
    pub displaced: Option<String>,
}

/// Binds an AO reference to a folder, creating the AO when it is new. When two folders of the same
/// reference exist, the one with the smaller item id keeps it, whatever the order in which they are seen.
/// `bound_here`: folders that got their reference in this transaction and whose place is not stored yet.
///
/// # Errors
/// As every statement.
pub async fn bind_ao(
    tx: &mut Tx,
    company: CompanyId,
    drive_id: &str,
    folder: &str,
    reference: &str,
    reference_key: &str,
    bound_here: &BTreeSet<String>,
) -> Result<Binding> {
    // The reference may be taken by an id that is spelled differently, and the id by another reference.
    let row = sqlx::query!(
        r#"INSERT INTO aos (company_id, id, reference, reference_key, drive_id, folder_item_id, discovered)
           VALUES ($1, CASE WHEN EXISTS (SELECT FROM aos WHERE company_id = $1 AND id = 'ao-' || $3
                   AND reference_key <> $3) THEN 'ao-' || $3 || '-' || md5($5) ELSE 'ao-' || $3 END,
               $2, $3, $4, $5, true)
           ON CONFLICT ON CONSTRAINT aos_reference_unique DO UPDATE SET updated_at = now()
           RETURNING id, folder_item_id, drive_id"#,
        company.uuid(),
        reference,
        reference_key,
        drive_id,
        folder,
    )
    .fetch_one(tx.conn())
    .await
    .doing("binding an AO")?;
    let ao_id = row.id;
    match row.folder_item_id {
        Some(held) if held == folder => Ok(Binding { ao_id, ours: true, displaced: None }),
        Some(held)
            if held.as_str() < folder
                && (bound_here.contains(&held)
                    || still_holds(tx, company, row.drive_id.as_deref(), &held, &ao_id).await?) =>
        {
            Ok(Binding { ao_id, ours: false, displaced: None })
        }
        held => {
            sqlx::query!(
                "UPDATE aos SET drive_id = $3, folder_item_id = $4, updated_at = now()
                 WHERE company_id = $1 AND id = $2",
                company.uuid(),
                ao_id,
                drive_id,
                folder,
            )
            .execute(tx.conn())
            .await
            .doing("moving an AO to another folder")?;
            let elsewhere = row.drive_id.filter(|holder| holder != drive_id);
            if let (Some(other), Some(folder)) = (&elsewhere, &held) {
                restamp_in(tx, company, other, folder).await?;
            }
            Ok(Binding { ao_id, ours: true, displaced: held.filter(|_| elsewhere.is_none()) })
        }
    }
}

async fn still_holds(
    tx: &mut Tx,
    company: CompanyId,
    drive_id: Option<&str>,
    folder: &str,
    ao_id: &str,
) -> Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM drive_items WHERE item_id = $3 AND ao_id = $4 AND deleted_at IS NULL
               AND drive_no = (SELECT drive_no FROM drives WHERE company_id = $1 AND drive_id = $2)) AS "is!""#,
        company.uuid(),
        drive_id,
        folder,
        ao_id,
    )
    .fetch_one(tx.conn())
    .await
    .doing("checking who holds an AO")
}

/// Stamps a folder of another drive of the company: its next run gives up the AO.
async fn restamp_in(tx: &mut Tx, company: CompanyId, drive_id: &str, folder: &str) -> Result<()> {
    let Some(drive) = super::find(tx, company, drive_id).await? else { return Ok(()) };
    let seq = super::next_seq(tx, drive.drive_no).await?;
    restamp(tx, drive.drive_no, seq, &[folder.to_owned()]).await
}

/// Frees the AO references that a folder held, because it has another name or place now; not the one that it may
/// have taken with the new name (`keeps`). Returns whether there were any: then [`restamp_unbound`] lets the folders
/// that wanted the reference try again.
///
/// # Errors
/// As every statement.
pub async fn unbind_folder(
    tx: &mut Tx,
    company: CompanyId,
    folder: &str,
    keeps: Option<&str>,
) -> Result<bool> {
    sqlx::query!(
        "UPDATE aos SET folder_item_id = NULL, updated_at = now()
         WHERE company_id = $1 AND folder_item_id = $2 AND id IS DISTINCT FROM $3",
        company.uuid(),
        folder,
        keeps,
    )
    .execute(tx.conn())
    .await
    .doing("unbinding an AO's folder")
    .map(|done| done.rows_affected() > 0)
}

/// Stamps folders, so that they are placed again.
///
/// # Errors
/// As every statement.
pub async fn restamp(tx: &mut Tx, drive_no: i64, seq: i64, folders: &[String]) -> Result<()> {
    sqlx::query!(
        "UPDATE drive_items SET changed_seq = $2::bigint,
             placed_seq = CASE WHEN placed_seq IS NOT NULL THEN $2::bigint - 1 END
         WHERE drive_no = $1 AND item_id = ANY($3)",
        drive_no,
        seq,
        folders,
    )
    .execute(tx.conn())
    .await
    .doing("stamping folders")
    .map(drop)
}
