//! Items that could not be stored, with their raw body and the reason (DESIGN law 4).

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use uuid::Uuid;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// Longest raw body kept, in bytes.
const RAW_LIMIT: usize = 64 * 1024;

/// An item to be put away.
#[derive(Debug, Clone)]
pub struct NewQuarantine {
    /// `onedrive`, ...
    pub source: String,
    /// Drive id, ...
    pub resource_id: String,
    /// Item id; empty when the body does not tell.
    pub item_id: String,
    /// `poison`, `cycle`, `missing_parent`, `malware`, `duplicate_ao_reference`, `name_collision`,
    /// `foreign_document`.
    pub code: String,
    /// What is wrong, for a person.
    pub reason: String,
    /// Body as it came; cut at 64 KiB.
    pub raw: Option<String>,
}

/// An item in quarantine.
#[derive(Debug, Clone)]
pub struct Quarantined {
    /// Id.
    pub id: Uuid,
    /// `onedrive`, ...
    pub source: String,
    /// Drive id, ...
    pub resource_id: String,
    /// Item id, or empty.
    pub item_id: String,
    /// Kind of trouble.
    pub code: String,
    /// What is wrong.
    pub reason: String,
    /// Body as it came.
    pub raw: Option<String>,
    /// `open` or `resolved`.
    pub state: String,
    /// How often it was met.
    pub occurrences: i32,
    /// First met.
    pub first_seen_at: DateTime<Utc>,
    /// Last met.
    pub last_seen_at: DateTime<Utc>,
    /// Mended at.
    pub resolved_at: Option<DateTime<Utc>>,
}

/// Puts items away; one that is there already is counted and opened again. Items of one call that share
/// (source, resource, item, code) are one.
///
/// # Errors
/// As every statement.
pub async fn put(tx: &mut Tx, company: CompanyId, items: &[NewQuarantine]) -> Result<()> {
    let mut columns: [Vec<String>; 5] = Default::default();
    let (mut ids, mut raws) = (Vec::new(), Vec::new());
    let mut seen = std::collections::HashSet::new();
    for item in items {
        if !seen.insert((&item.source, &item.resource_id, &item.item_id, &item.code)) {
            continue;
        }
        ids.push(chassis::ids::new_id());
        for (column, value) in
            columns.iter_mut().zip([&item.source, &item.resource_id, &item.item_id, &item.code, &item.reason])
        {
            column.push(storable(value));
        }
        raws.push(item.raw.as_deref().map(|raw| storable(&raw[..raw.floor_char_boundary(RAW_LIMIT)])));
    }
    if ids.is_empty() {
        return Ok(());
    }
    let [source, resource, item, code, reason] = &columns;
    sqlx::query!(
        "INSERT INTO sync_quarantine AS q (id, company_id, source, resource_id, item_id, code, reason, raw)
         SELECT id, $2, source, resource_id, item_id, code, reason, raw
         FROM UNNEST($1::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
             AS t (id, source, resource_id, item_id, code, reason, raw)
         ON CONFLICT (company_id, source, resource_id, item_id, code) DO UPDATE
             SET occurrences = q.occurrences + 1, last_seen_at = clock_timestamp(), state = 'open',
                 resolved_at = NULL, reason = excluded.reason, raw = coalesce(excluded.raw, q.raw)",
        &ids,
        company.uuid(),
        source,
        resource,
        item,
        code,
        reason,
        &raws as &[Option<String>],
    )
    .execute(tx.conn())
    .await
    .doing("putting items in quarantine")
    .map(drop)
}

/// PostgreSQL's text has no NUL.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Which items to list.
#[derive(Debug, Clone, Default)]
pub struct QuarantineFilter {
    /// Only this state.
    pub state: Option<String>,
    /// Only this source.
    pub source: Option<String>,
    /// Only this kind of trouble.
    pub code: Option<String>,
    /// Only older ones: (first_seen_at, id) of the last row of the previous page.
    pub before: Option<(DateTime<Utc>, Uuid)>,
}

/// Items of the company, newest first.
///
/// # Errors
/// As every statement.
pub async fn list(
    tx: &mut Tx,
    company: CompanyId,
    filter: &QuarantineFilter,
    limit: i64,
) -> Result<Vec<Quarantined>> {
    let (at, id) = filter.before.unzip();
    sqlx::query_as!(
        Quarantined,
        "SELECT id, source, resource_id, item_id, code, reason, raw, state, occurrences, first_seen_at,
             last_seen_at, resolved_at
         FROM sync_quarantine
         WHERE company_id = $1 AND ($2::text IS NULL OR state = $2) AND ($3::text IS NULL OR source = $3)
             AND ($4::text IS NULL OR code = $4)
             AND ($5::timestamptz IS NULL OR (first_seen_at, id) < ($5, $6))
         ORDER BY first_seen_at DESC, id DESC LIMIT $7",
        company.uuid(),
        filter.state,
        filter.source,
        filter.code,
        at,
        id,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing the quarantine")
}

/// One item.
///
/// # Errors
/// As every statement.
pub async fn get(tx: &mut Tx, company: CompanyId, id: Uuid) -> Result<Option<Quarantined>> {
    sqlx::query_as!(
        Quarantined,
        "SELECT id, source, resource_id, item_id, code, reason, raw, state, occurrences, first_seen_at,
             last_seen_at, resolved_at
         FROM sync_quarantine WHERE company_id = $1 AND id = $2",
        company.uuid(),
        id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading a quarantined item")
}

/// Closes open rows of items that are well now: those with the code, or with any when it is `None`.
/// Returns how many.
///
/// # Errors
/// As every statement.
pub async fn resolve(
    tx: &mut Tx,
    company: CompanyId,
    source: &str,
    resource_id: &str,
    item_ids: &[String],
    code: Option<&str>,
) -> Result<u64> {
    sqlx::query!(
        "UPDATE sync_quarantine SET state = 'resolved', resolved_at = clock_timestamp()
         WHERE company_id = $1 AND source = $2 AND resource_id = $3 AND item_id = ANY($4) AND state = 'open'
             AND ($5::text IS NULL OR code = $5)",
        company.uuid(),
        source,
        resource_id,
        item_ids,
        code,
    )
    .execute(tx.conn())
    .await
    .doing("resolving quarantined items")
    .map(|done| done.rows_affected())
}
