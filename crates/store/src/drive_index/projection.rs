//! Files: documents follow the index, in sequence order.

use super::IndexedDrive;
use crate::error::{Doing, Result};
use crate::pool::Tx;

/// What a projection would take away, counted before anything is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removals {
    /// Live documents of the drive.
    pub existing: i64,
    /// Of these, how many would go.
    pub would_delete: i64,
    /// Paths of a few of them, for the person who decides.
    pub sample: Vec<String>,
}

/// Counts what the pending rows would remove. Below `minimum` the drive's documents are not counted (`existing`
/// is then just what would go): nobody asks for a share of so few, and a drive may have a million.
///
/// # Errors
/// As every statement.
pub async fn pending_removals(
    tx: &mut Tx,
    drive: &IndexedDrive,
    from: i64,
    to: i64,
    minimum: i64,
) -> Result<Removals> {
    let row = sqlx::query!(
        r#"WITH leaving AS MATERIALIZED (
            SELECT f.item_id FROM drive_items f
            LEFT JOIN drive_items p ON p.drive_no = f.drive_no AND p.item_id = f.parent_id
            WHERE f.drive_no = $1 AND f.changed_seq > $2 AND f.changed_seq <= $3
                AND (f.deleted_at IS NOT NULL OR f.malware OR p.ao_id IS NULL OR p.category IS NULL)
        ), going AS (
            SELECT d.path FROM documents d
            WHERE d.onedrive_id = ANY (ARRAY (SELECT item_id FROM leaving)) AND d.deleted_at IS NULL
        )
        SELECT count(*) AS "going!",
            coalesce((SELECT array_agg(path) FROM (SELECT path FROM going ORDER BY path LIMIT 10) s), '{}')
                AS "sample!: Vec<String>"
        FROM going"#,
        drive.drive_no,
        from,
        to,
    )
    .fetch_one(tx.conn())
    .await
    .doing("counting removals")?;
    if row.going < minimum.max(1) {
        return Ok(Removals { existing: row.going, would_delete: row.going, sample: row.sample });
    }
    let existing = sqlx::query_scalar!(
        r#"SELECT count(*) AS "n!" FROM documents
           WHERE company_id = $1 AND drive_id = $2 AND deleted_at IS NULL"#,
        drive.company.uuid(),
        drive.drive_id,
    )
    .fetch_one(tx.conn())
    .await
    .doing("counting documents")?;
    Ok(Removals { existing, would_delete: row.going, sample: row.sample })
}

/// Where a projection stands: everything up to and including this row is done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mark {
    /// Sequence number.
    pub seq: i64,
    /// Item id within the sequence number.
    pub item_id: String,
}

/// What one chunk did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChunkEffect {
    /// Documents that are new, or came back.
    pub added: i64,
    /// Documents whose metadata or place changed.
    pub updated: i64,
    /// Documents that left.
    pub removed: i64,
    /// Documents that would have left, had removing been asked for.
    pub withheld: i64,
    /// The last row of the chunk; `None` when nothing was left.
    pub mark: Option<Mark>,
}

/// Brings the documents of up to `limit` pending rows in line with the index. With `remove` false, nothing
/// is taken away.
///
/// # Errors
/// As every statement.
pub async fn project_chunk(
    tx: &mut Tx,
    drive: &IndexedDrive,
    after: &Mark,
    to: i64,
    remove: bool,
    limit: i64,
) -> Result<ChunkEffect> {
    let row = sqlx::query!(
        r#"WITH chunk AS MATERIALIZED (
            SELECT f.item_id, f.changed_seq, f.name, f.kind, f.size, f.e_tag, f.quick_xor_hash, f.mime_type,
                f.modified_at, p.path || '/' || f.name AS path, p.ao_id, p.category,
                f.kind IN ('file', 'package', 'remote') AND f.deleted_at IS NULL AND NOT f.malware
                    AND p.ao_id IS NOT NULL AND p.category IS NOT NULL AS is_document
            FROM (
                SELECT * FROM drive_items
                WHERE drive_no = $1 AND changed_seq <= $5 AND (changed_seq, item_id) > ($3, $4)
                ORDER BY changed_seq, item_id LIMIT $7
            ) f
            LEFT JOIN drive_items p ON p.drive_no = f.drive_no AND p.item_id = f.parent_id
        ), leaving AS MATERIALIZED (
            SELECT d.id FROM documents d
            WHERE d.onedrive_id = ANY (ARRAY (SELECT item_id FROM chunk WHERE is_document IS NOT TRUE))
                AND d.deleted_at IS NULL
        ), written AS (
            INSERT INTO documents AS cur (company_id, entity_type, entity_id, name, category, path, onedrive_id,
                drive_id, kind, size, e_tag, quick_xor_hash, mime_type, modified_at)
            SELECT $2, 'ao', ao_id, name, category, path, item_id, $8, kind, size, e_tag, quick_xor_hash,
                mime_type, modified_at
            FROM chunk WHERE is_document
            ON CONFLICT ON CONSTRAINT documents_onedrive_id_unique DO UPDATE SET
                entity_id = excluded.entity_id, name = excluded.name, category = excluded.category,
                path = excluded.path, drive_id = excluded.drive_id, kind = excluded.kind, size = excluded.size,
                e_tag = excluded.e_tag, quick_xor_hash = excluded.quick_xor_hash,
                mime_type = excluded.mime_type, modified_at = excluded.modified_at,
                deleted_at = NULL, updated_at = now(),
                created_at = CASE WHEN cur.deleted_at IS NULL THEN cur.created_at ELSE now() END
            WHERE cur.deleted_at IS NOT NULL
                OR (cur.entity_id, cur.name, cur.category, cur.path, cur.kind, cur.size, cur.e_tag,
                    cur.quick_xor_hash, cur.mime_type, cur.modified_at, cur.drive_id)
                IS DISTINCT FROM (excluded.entity_id, excluded.name, excluded.category, excluded.path,
                    excluded.kind, excluded.size, excluded.e_tag, excluded.quick_xor_hash,
                    excluded.mime_type, excluded.modified_at, excluded.drive_id)
            RETURNING xmax = 0 OR created_at = updated_at AS added
        ), removed AS (
            UPDATE documents d SET deleted_at = now(), updated_at = now()
            WHERE $6 AND d.id = ANY (ARRAY (SELECT id FROM leaving))
            RETURNING 1
        )
        SELECT (SELECT count(*) FROM written WHERE added) AS "added!",
            (SELECT count(*) FROM written WHERE NOT added) AS "updated!",
            (SELECT count(*) FROM removed) AS "removed!",
            (SELECT count(*) FROM leaving) AS "leaving!",
            last.changed_seq AS "last_seq?", last.item_id AS "last_item?"
        FROM (SELECT 1) one
        LEFT JOIN LATERAL (SELECT changed_seq, item_id FROM chunk ORDER BY changed_seq DESC, item_id DESC LIMIT 1)
            last ON true"#,
        drive.drive_no,
        drive.company.uuid(),
        after.seq,
        after.item_id,
        to,
        remove,
        limit,
        drive.drive_id,
    )
    .fetch_one(tx.conn())
    .await
    .doing("projecting documents")?;
    Ok(ChunkEffect {
        added: row.added,
        updated: row.updated,
        removed: row.removed,
        withheld: row.leaving - row.removed,
        mark: row.last_seq.zip(row.last_item).map(|(seq, item_id)| Mark { seq, item_id }),
    })
}

/// Notes that the documents reflect the index up to `seq`.
///
/// # Errors
/// As every statement.
pub async fn advance(tx: &mut Tx, drive_no: i64, seq: i64) -> Result<()> {
    sqlx::query!(
        "UPDATE drives SET projected_seq = greatest(projected_seq, $2) WHERE drive_no = $1",
        drive_no,
        seq
    )
    .execute(tx.conn())
    .await
    .doing("advancing the projection")
    .map(drop)
}

/// Something in the pending rows that an operator should see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oddity {
    /// The item.
    pub item_id: String,
    /// Quarantine code.
    pub code: String,
    /// What is odd.
    pub reason: String,
}

/// Malware, and names that differ only in case or Unicode form from a sibling's, among the pending rows.
///
/// # Errors
/// As every statement.
pub async fn oddities(tx: &mut Tx, drive_no: i64, from: i64, to: i64, limit: i64) -> Result<Vec<Oddity>> {
    sqlx::query_as!(
        Oddity,
        r#"WITH pending AS MATERIALIZED (
               SELECT f.item_id, f.parent_id, f.name, lower(normalize(f.name, NFC)) AS folded
               FROM drive_items f
               WHERE f.drive_no = $1 AND f.changed_seq > $2 AND f.changed_seq <= $3 AND f.deleted_at IS NULL
                   AND (SELECT count(*) FROM (SELECT FROM drive_items n WHERE n.drive_no = $1
                       AND n.changed_seq > $2 AND n.changed_seq <= $3 LIMIT 1001) few) <= 1000
           ), siblings AS MATERIALIZED (
               SELECT s.item_id, s.parent_id, s.name, s.changed_seq, lower(normalize(s.name, NFC)) AS folded
               FROM (SELECT DISTINCT parent_id FROM pending) p
               JOIN drive_items s ON s.drive_no = $1 AND s.parent_id = p.parent_id AND s.deleted_at IS NULL
           )
           SELECT f.item_id AS "item_id!", 'malware' AS "code!",
               'the provider reports malware in ' || f.name || '; it is kept out of documents' AS "reason!"
           FROM drive_items f
           WHERE f.drive_no = $1 AND f.changed_seq > $2 AND f.changed_seq <= $3 AND f.malware
               AND f.deleted_at IS NULL
           UNION ALL
           (SELECT f.item_id, 'name_collision', 'the name ' || f.name || ' differs only in case or Unicode form '
                   || 'from ' || s.name || ' in the same folder; both are kept'
           FROM pending f
           JOIN siblings s ON s.parent_id = f.parent_id AND s.folded = f.folded AND s.item_id <> f.item_id
               -- Of two pending ones the greater id reports; a pending one always does beside an older.
               AND (s.item_id < f.item_id OR s.changed_seq <= $2))
           LIMIT $4"#,
        drive_no,
        from,
        to,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("looking for oddities")
}

/// What the current transaction did to the drive's documents, as (operation, path): for dry runs.
///
/// # Errors
/// As every statement.
pub async fn changed_here(tx: &mut Tx, drive: &IndexedDrive, limit: i64) -> Result<Vec<(String, String)>> {
    let rows = sqlx::query!(
        r#"SELECT CASE WHEN deleted_at IS NOT NULL THEN 'deleted' WHEN created_at = now() THEN 'added'
               ELSE 'updated' END AS "operation!", path
           FROM documents WHERE company_id = $1 AND drive_id = $2 AND updated_at = now()
           ORDER BY path LIMIT $3"#,
        drive.company.uuid(),
        drive.drive_id,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing what changed")?;
    Ok(rows.into_iter().map(|r| (r.operation, r.path)).collect())
}
