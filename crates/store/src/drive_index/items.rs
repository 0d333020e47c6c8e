//! Storing pages of the feed.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::drive::ItemChange;

use super::IndexedDrive;
use super::placement::Place;
use crate::error::{Doing, Result};
use crate::pool::Tx;

/// What a page did to the index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PageEffect {
    /// Items never seen before.
    pub novel: u64,
    /// Rows written for live items: new, changed, or seen for the first time in this round. A page that writes
    /// nothing says nothing new.
    pub written: u64,
    /// Items whose metadata changed.
    pub changed: u64,
    /// Items that were tombstoned.
    pub tombstoned: u64,
}

/// Stores a folded page (every id at most once). A property that the feed omitted keeps its stored value
/// (see `ItemChange::laid_over`); a row that did not change is written once a round, for its generation.
/// `places`: folders that are known to be new, with their place.
///
/// # Errors
/// As every statement.
pub async fn apply_page(
    tx: &mut Tx,
    drive: &IndexedDrive,
    generation: i64,
    seq: i64,
    page: &[ItemChange],
    places: &BTreeMap<String, Place>,
) -> Result<PageEffect> {
    let live = Columns::of(page.iter().filter(|i| !i.deleted), places);
    let mut effect = PageEffect::default();
    if !live.id.is_empty() {
        let written = sqlx::query!(
            r#"WITH written AS (
                INSERT INTO drive_items AS cur (drive_no, item_id, company_id, parent_id, name, kind, size, e_tag,
                    c_tag, quick_xor_hash, mime_type, modified_at, malware, remote_drive_id,
                    remote_item_id, generation, changed_seq, placement, path, ao_id, category, placed_seq)
                SELECT $1, id, $2, parent_id, coalesce(name, ''), kind, size, e_tag, c_tag, hash, mime_type,
                    modified_at, malware, remote_drive, remote_item, $3, $4, placement, path, ao_id, category,
                    CASE WHEN placed THEN $4::bigint END
                FROM UNNEST($5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[], $10::text[],
                    $11::text[], $12::text[], $13::text[], $14::timestamptz[], $15::boolean[], $16::text[],
                    $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::boolean[])
                    AS t (id, parent_id, name, kind, size, e_tag, c_tag, hash, mime_type, modified_at,
                        malware, remote_drive, remote_item, placement, path, ao_id, category, placed)
                ON CONFLICT (drive_no, item_id) DO UPDATE SET
                    parent_id = coalesce(excluded.parent_id, cur.parent_id),
                    name = coalesce(nullif(excluded.name, ''), cur.name),
                    kind = excluded.kind,
                    size = coalesce(excluded.size, cur.size),
                    e_tag = coalesce(excluded.e_tag, cur.e_tag),
                    c_tag = coalesce(excluded.c_tag, cur.c_tag),
                    quick_xor_hash = excluded.quick_xor_hash,
                    mime_type = coalesce(excluded.mime_type, cur.mime_type),
                    modified_at = coalesce(excluded.modified_at, cur.modified_at),
                    malware = excluded.malware,
                    remote_drive_id = coalesce(excluded.remote_drive_id, cur.remote_drive_id),
                    remote_item_id = coalesce(excluded.remote_item_id, cur.remote_item_id),
                    deleted_at = NULL,
                    generation = greatest(cur.generation, excluded.generation),
                    changed_seq = CASE WHEN
                        (cur.parent_id, cur.name, cur.kind, cur.size, cur.e_tag, cur.quick_xor_hash,
                         cur.mime_type, cur.modified_at, cur.malware)
                        IS DISTINCT FROM
                        (coalesce(excluded.parent_id, cur.parent_id),
                         coalesce(nullif(excluded.name, ''), cur.name), excluded.kind,
                         coalesce(excluded.size, cur.size), coalesce(excluded.e_tag, cur.e_tag),
                         excluded.quick_xor_hash,
                         coalesce(excluded.mime_type, cur.mime_type),
                         coalesce(excluded.modified_at, cur.modified_at), excluded.malware)
                        OR cur.deleted_at IS NOT NULL
                        THEN excluded.changed_seq ELSE cur.changed_seq END
                WHERE cur.generation < excluded.generation OR cur.deleted_at IS NOT NULL
                    OR (cur.parent_id, cur.name, cur.kind, cur.size, cur.e_tag, cur.quick_xor_hash,
                        cur.mime_type, cur.modified_at, cur.malware)
                    IS DISTINCT FROM
                    (coalesce(excluded.parent_id, cur.parent_id),
                     coalesce(nullif(excluded.name, ''), cur.name), excluded.kind,
                     coalesce(excluded.size, cur.size), coalesce(excluded.e_tag, cur.e_tag),
                     excluded.quick_xor_hash,
                     coalesce(excluded.mime_type, cur.mime_type),
                     coalesce(excluded.modified_at, cur.modified_at), excluded.malware)
                RETURNING xmax = 0 AS novel, changed_seq
            )
            SELECT count(*) FILTER (WHERE novel) AS "novel!", count(*) AS "written!",
                count(*) FILTER (WHERE NOT novel AND changed_seq = $4) AS "changed!" FROM written"#,
            drive.drive_no,
            drive.company.uuid(),
            generation,
            seq,
            &live.id,
            &live.parent as &[Option<String>],
            &live.name as &[Option<String>],
            &live.kind,
            &live.size as &[Option<i64>],
            &live.e_tag as &[Option<String>],
            &live.c_tag as &[Option<String>],
            &live.hash as &[Option<String>],
            &live.mime as &[Option<String>],
            &live.modified as &[Option<DateTime<Utc>>],
            &live.malware,
            &live.remote_drive as &[Option<String>],
            &live.remote_item as &[Option<String>],
            &live.placement as &[Option<String>],
            &live.path as &[Option<String>],
            &live.ao as &[Option<String>],
            &live.category as &[Option<String>],
            &live.placed,
        )
        .fetch_one(tx.conn())
        .await
        .doing("storing a page")?;
        effect.novel = u64::try_from(written.novel).unwrap_or(0);
        effect.written = u64::try_from(written.written).unwrap_or(0);
        effect.changed = u64::try_from(written.changed).unwrap_or(0);
    }
    let gone: Vec<String> = page.iter().filter(|i| i.deleted).map(|i| i.id.as_str().to_owned()).collect();
    effect.tombstoned = tombstone(tx, drive.drive_no, seq, &gone).await?;
    Ok(effect)
}

/// Tombstones items by id; unknown ids and known tombstones are left alone.
///
/// # Errors
/// As every statement.
pub async fn tombstone(tx: &mut Tx, drive_no: i64, seq: i64, ids: &[String]) -> Result<u64> {
    if ids.is_empty() {
        return Ok(0);
    }
    sqlx::query!(
        "UPDATE drive_items SET deleted_at = clock_timestamp(), changed_seq = $2
         WHERE drive_no = $1 AND item_id = ANY($3) AND deleted_at IS NULL AND kind <> 'root'",
        drive_no,
        seq,
        ids,
    )
    .execute(tx.conn())
    .await
    .doing("storing tombstones")
    .map(|done| done.rows_affected())
}

/// Tombstones up to `limit` rows that a complete enumeration did not see (set difference); call it until it
/// returns 0.
///
/// # Errors
/// As every statement.
pub async fn tombstone_unseen(
    tx: &mut Tx,
    drive_no: i64,
    generation: i64,
    seq: i64,
    limit: i64,
) -> Result<u64> {
    sqlx::query!(
        "UPDATE drive_items SET deleted_at = clock_timestamp(), changed_seq = $3
         WHERE drive_no = $1 AND item_id IN (
             SELECT item_id FROM drive_items
             WHERE drive_no = $1 AND generation < $2 AND deleted_at IS NULL AND kind <> 'root' LIMIT $4)",
        drive_no,
        generation,
        seq,
        limit,
    )
    .execute(tx.conn())
    .await
    .doing("tombstoning what the enumeration did not see")
    .map(|done| done.rows_affected())
}

/// Live items below the folder of an AO, by id: what an AO scan must account for.
///
/// # Errors
/// As every statement.
pub async fn ids_below(tx: &mut Tx, drive_no: i64, folder: &str, limit: i64) -> Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"WITH RECURSIVE below AS (
            SELECT item_id, kind FROM drive_items
            WHERE drive_no = $1 AND parent_id = $2 AND deleted_at IS NULL
            UNION
            SELECT i.item_id, i.kind FROM drive_items i JOIN below b ON i.parent_id = b.item_id
            WHERE i.drive_no = $1 AND i.deleted_at IS NULL AND b.kind = 'folder'
        )
        SELECT item_id AS "item_id!" FROM below LIMIT $3"#,
        drive_no,
        folder,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing the items of a folder")
}

#[derive(Default)]
struct Columns {
    id: Vec<String>,
    parent: Vec<Option<String>>,
    name: Vec<Option<String>>,
    kind: Vec<String>,
    size: Vec<Option<i64>>,
    e_tag: Vec<Option<String>>,
    c_tag: Vec<Option<String>>,
    hash: Vec<Option<String>>,
    mime: Vec<Option<String>>,
    modified: Vec<Option<DateTime<Utc>>>,
    malware: Vec<bool>,
    remote_drive: Vec<Option<String>>,
    remote_item: Vec<Option<String>>,
    placement: Vec<Option<String>>,
    path: Vec<Option<String>>,
    ao: Vec<Option<String>>,
    category: Vec<Option<String>>,
    placed: Vec<bool>,
}

impl Columns {
    fn of<'a>(items: impl Iterator<Item = &'a ItemChange>, places: &BTreeMap<String, Place>) -> Self {
        let mut c = Columns::default();
        for item in items {
            c.id.push(item.id.as_str().to_owned());
            c.parent.push(item.parent_id.as_ref().map(|p| p.as_str().to_owned()));
            c.name.push(item.name.clone());
            c.kind.push(item.kind.as_str().to_owned());
            c.size.push(item.size);
            c.e_tag.push(item.e_tag.clone());
            c.c_tag.push(item.c_tag.clone());
            c.hash.push(item.quick_xor_hash.clone());
            c.mime.push(item.mime_type.clone());
            c.modified.push(item.modified_at);
            c.malware.push(item.malware);
            c.remote_drive.push(item.remote_drive_id.as_ref().map(|id| id.as_str().to_owned()));
            c.remote_item.push(item.remote_item_id.as_ref().map(|id| id.as_str().to_owned()));
            let place = places.get(item.id.as_str());
            c.placement.push(place.and_then(|p| p.placement.clone()));
            c.path.push(place.and_then(|p| p.path.clone()));
            c.ao.push(place.and_then(|p| p.ao_id.clone()));
            c.category.push(place.and_then(|p| p.category.clone()));
            c.placed.push(place.is_some());
        }
        c
    }
}
