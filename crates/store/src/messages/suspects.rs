//! Messages that may be gone: marked, looked up once, and only then deleted.

use domain::ids::CompanyId;

use super::Place;
use crate::error::{Doing, Result};
use crate::pool::Tx;

/// A message to be looked up.
#[derive(Debug, Clone)]
pub struct Doubt {
    /// Provider's id.
    pub provider_id: String,
    /// Root message of a reply, else empty.
    pub reply_to_id: String,
    /// Folder that it is stored in.
    pub folder_id: Option<String>,
}

/// Marks messages of a folder (any, when `None`) that the feed named as gone.
///
/// # Errors
/// As every statement.
pub async fn suspect(tx: &mut Tx, place: &Place, folder: Option<&str>, ids: &[String]) -> Result<u64> {
    sqlx::query!(
        "UPDATE messages SET suspect = 1
         WHERE company_id = $1 AND source = $2 AND place = $3 AND provider_id = ANY($4) AND deleted_at IS NULL
             AND ($5::text IS NULL OR folder_id = $5) AND suspect = 0",
        place.company.uuid(),
        place.source,
        place.id,
        ids,
        folder,
    )
    .execute(tx.conn())
    .await
    .doing("noting messages that went")
    .map(|done| done.rows_affected())
}

/// Marks the messages of a folder (of a channel: the root messages) that a complete enumeration did not see, among
/// those that occurred since `since`.
///
/// # Errors
/// As every statement.
pub async fn suspect_unseen(
    tx: &mut Tx,
    place: &Place,
    folder: Option<&str>,
    generation: i64,
    since: Option<chrono::DateTime<chrono::Utc>>,
) -> Result<u64> {
    sqlx::query!(
        "UPDATE messages SET suspect = 1
         WHERE company_id = $1 AND source = $2 AND place = $3 AND generation < $4 AND deleted_at IS NULL
             AND ($5::text IS NULL OR folder_id = $5) AND ($6::timestamptz IS NULL OR occurred_at >= $6)
             AND reply_to_id = '' AND suspect = 0",
        place.company.uuid(),
        place.source,
        place.id,
        generation,
        folder,
        since,
    )
    .execute(tx.conn())
    .await
    .doing("noting unseen messages")
    .map(|done| done.rows_affected())
}

/// Messages to be looked up, at most `limit`.
///
/// # Errors
/// As every statement.
pub async fn doubts(tx: &mut Tx, place: &Place, limit: i64) -> Result<Vec<Doubt>> {
    sqlx::query_as!(
        Doubt,
        "SELECT provider_id, reply_to_id, folder_id FROM messages
         WHERE company_id = $1 AND source = $2 AND place = $3 AND suspect = 1 ORDER BY id LIMIT $4",
        place.company.uuid(),
        place.source,
        place.id,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("reading messages to be looked up")
}

/// Looked up: the provider knows them no longer. They are deleted together, when the breaker lets them.
///
/// # Errors
/// As every statement.
pub async fn gone(tx: &mut Tx, place: &Place, gone: &[Doubt]) -> Result<()> {
    let ids: Vec<String> = gone.iter().map(|d| d.provider_id.clone()).collect();
    let roots: Vec<String> = gone.iter().map(|d| d.reply_to_id.clone()).collect();
    sqlx::query!(
        "UPDATE messages m SET suspect = 2 FROM UNNEST($4::text[], $5::text[]) AS g (id, root)
         WHERE m.company_id = $1 AND m.source = $2 AND m.place = $3 AND m.provider_id = g.id
             AND m.reply_to_id = g.root AND m.deleted_at IS NULL",
        place.company.uuid(),
        place.source,
        place.id,
        &ids,
        &roots,
    )
    .execute(tx.conn())
    .await
    .doing("noting messages that are gone")
    .map(drop)
}

/// Looked up: they could not be read, and stay.
///
/// # Errors
/// As every statement.
pub async fn restore(tx: &mut Tx, place: &Place, ids: &[String]) -> Result<()> {
    sqlx::query!(
        "UPDATE messages SET suspect = 0
         WHERE company_id = $1 AND source = $2 AND place = $3 AND provider_id = ANY($4) AND suspect = 1",
        place.company.uuid(),
        place.source,
        place.id,
        ids,
    )
    .execute(tx.conn())
    .await
    .doing("keeping messages")
    .map(drop)
}

/// Living messages of a place, and how many of them are gone at the provider.
///
/// # Errors
/// As every statement.
pub async fn existing(tx: &mut Tx, place: &Place) -> Result<(i64, i64)> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "living!", count(*) FILTER (WHERE suspect = 2) AS "gone!" FROM messages
           WHERE company_id = $1 AND source = $2 AND place = $3 AND deleted_at IS NULL"#,
        place.company.uuid(),
        place.source,
        place.id,
    )
    .fetch_one(tx.conn())
    .await
    .doing("counting messages")?;
    Ok((row.living, row.gone))
}

/// A few of those that are gone at the provider, for the person who decides: their subjects, else their ids.
///
/// # Errors
/// As every statement.
pub async fn sample_gone(tx: &mut Tx, place: &Place) -> Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"SELECT coalesce(nullif(subject, ''), provider_id) AS "name!" FROM messages
           WHERE company_id = $1 AND source = $2 AND place = $3 AND suspect = 2 ORDER BY id LIMIT 10"#,
        place.company.uuid(),
        place.source,
        place.id,
    )
    .fetch_all(tx.conn())
    .await
    .doing("reading messages that are gone")
}

/// Tombstones what was looked up and is gone; a tombstone keeps no text.
///
/// # Errors
/// As every statement.
pub async fn tombstone_gone(tx: &mut Tx, place: &Place) -> Result<u64> {
    sqlx::query!(
        "UPDATE messages SET deleted_at = clock_timestamp(), suspect = 0, body = NULL, body_preview = NULL,
             updated_at = clock_timestamp()
         WHERE company_id = $1 AND source = $2 AND place = $3 AND suspect = 2",
        place.company.uuid(),
        place.source,
        place.id,
    )
    .execute(tx.conn())
    .await
    .doing("tombstoning messages")
    .map(|done| done.rows_affected())
}

/// Tombstones one message that a notification named and a look-up did not find.
///
/// # Errors
/// As every statement.
pub async fn tombstone(tx: &mut Tx, place: &Place, provider_id: &str, reply_to_id: &str) -> Result<u64> {
    sqlx::query!(
        "UPDATE messages SET deleted_at = clock_timestamp(), suspect = 0, body = NULL, body_preview = NULL,
             updated_at = clock_timestamp()
         WHERE company_id = $1 AND source = $2 AND place = $3 AND provider_id = $4 AND reply_to_id = $5
             AND deleted_at IS NULL",
        place.company.uuid(),
        place.source,
        place.id,
        provider_id,
        reply_to_id,
    )
    .execute(tx.conn())
    .await
    .doing("tombstoning a message")
    .map(|done| done.rows_affected())
}

/// Living messages of a folder.
///
/// # Errors
/// As every statement.
pub async fn count_in_folder(tx: &mut Tx, company: CompanyId, user_id: &str, folder_id: &str) -> Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "n!" FROM messages WHERE company_id = $1 AND source = 'mail' AND place = $2
           AND folder_id = $3 AND deleted_at IS NULL"#,
        company.uuid(),
        user_id,
        folder_id,
    )
    .fetch_one(tx.conn())
    .await
    .doing("counting a folder")
}

/// Ids of the living messages of a folder.
///
/// # Errors
/// As every statement.
pub async fn ids_in_folder(
    tx: &mut Tx,
    company: CompanyId,
    user_id: &str,
    folder_id: &str,
    limit: i64,
) -> Result<Vec<String>> {
    sqlx::query_scalar!(
        "SELECT provider_id FROM messages WHERE company_id = $1 AND source = 'mail' AND place = $2
         AND folder_id = $3 AND deleted_at IS NULL LIMIT $4",
        company.uuid(),
        user_id,
        folder_id,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing a folder")
}

/// Root messages of a channel whose thread had a message since `since` (all, when `None`), newest first.
///
/// # Errors
/// As every statement.
pub async fn thread_roots(
    tx: &mut Tx,
    place: &Place,
    since: Option<chrono::DateTime<chrono::Utc>>,
    limit: i64,
) -> Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"SELECT CASE WHEN reply_to_id = '' THEN provider_id ELSE reply_to_id END AS "root!" FROM messages
           WHERE company_id = $1 AND source = $2 AND place = $3
               AND ($4::timestamptz IS NULL OR greatest(occurred_at, modified_at) >= $4)
           GROUP BY 1 ORDER BY max(occurred_at) DESC LIMIT $5"#,
        place.company.uuid(),
        place.source,
        place.id,
        since,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing threads")
}
