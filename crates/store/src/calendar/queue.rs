//! The queue of app writes, which the triggers on `events` fill.

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use serde_json::Value;
use uuid::Uuid;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// An entry in work.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its id.
    pub id: Uuid,
    /// The event; its row may be gone.
    pub event_id: Uuid,
    /// `create`, `update`, `delete`: a hint, the row decides.
    pub action: String,
    /// Attempts that failed.
    pub retry_count: i32,
    /// Attempts before it is given up.
    pub max_retries: i32,
    /// The event's version when it was queued.
    pub app_version: i64,
    /// What a deletion needs once the row is gone.
    pub snapshot: Option<Value>,
    /// Queued at.
    pub created_at: DateTime<Utc>,
}

/// A connection with work that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Owner.
    pub company_id: Uuid,
    /// Connection that the work goes through.
    pub connection_id: Uuid,
    /// Some of it was written within the last minute: somebody waits for it.
    pub young: bool,
}

/// Connections with entries that are due, longest waiting first: in a dispatch transaction, of all companies.
/// Entries that no active connection takes wait.
///
/// # Errors
/// As every statement.
pub async fn due(tx: &mut Tx, limit: i64) -> Result<Vec<Due>> {
    sqlx::query_as!(
        Due,
        r#"WITH waiting AS (
             SELECT company_id, connection_id, run_at, created_at FROM google_calendar_sync_queue
             WHERE status = 'pending' AND run_at <= clock_timestamp() ORDER BY run_at LIMIT 10000
         ), asked AS (
             SELECT company_id, connection_id, min(run_at) AS since, max(created_at) AS newest
             FROM waiting GROUP BY 1, 2
         )
         SELECT a.company_id AS "company_id!", c.id AS "connection_id!",
             max(a.newest) > clock_timestamp() - interval '1 minute' AS "young!"
         FROM asked a JOIN google_calendar_connections c
             ON c.company_id = a.company_id AND (a.connection_id IS NULL OR c.id = a.connection_id)
         WHERE c.enabled AND c.state = 'active' AND c.sync_direction IN ('both', 'to_google')
         GROUP BY a.company_id, c.id ORDER BY min(a.since) LIMIT $1"#,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("looking for app writes that are due")
}

/// Takes entries of a connection into work, oldest first. An entry whose event has no connection yet goes to the
/// one that the function `calendar_connection_of` of the schema names.
///
/// # Errors
/// As every statement.
pub async fn claim(tx: &mut Tx, company: CompanyId, connection: Uuid, limit: i64) -> Result<Vec<Entry>> {
    sqlx::query_as!(
        Entry,
        "WITH mine AS (
             SELECT q.id FROM google_calendar_sync_queue q LEFT JOIN events e ON e.id = q.event_id
             WHERE q.company_id = $1 AND q.status = 'pending' AND q.run_at <= clock_timestamp()
                 AND calendar_connection_of($1, coalesce(q.connection_id, e.connection_id),
                     coalesce(e.google_calendar_id, q.snapshot ->> 'google_calendar_id'), e.user_id) = $2
             ORDER BY q.run_at, q.created_at LIMIT $3 FOR UPDATE OF q SKIP LOCKED
         ), taken AS (
             UPDATE google_calendar_sync_queue q
             SET status = 'processing', connection_id = $2, claimed_at = clock_timestamp(),
                 updated_at = clock_timestamp()
             FROM mine WHERE q.id = mine.id
             RETURNING q.id, q.event_id, q.action, q.retry_count, q.max_retries, q.app_version, q.snapshot,
                 q.created_at
         )
         SELECT * FROM taken ORDER BY created_at, id",
        company.uuid(),
        connection,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("taking app writes into work")
}

/// Puts entries back that a worker took into work and did not finish: the caller holds the connection's lease.
///
/// # Errors
/// As every statement.
pub async fn reclaim(tx: &mut Tx, company: CompanyId, connection: Uuid) -> Result<u64> {
    // One that waits beside it already stands for the same event.
    sqlx::query!(
        "WITH left_over AS (
             SELECT q.id, EXISTS (SELECT FROM google_calendar_sync_queue w
                 WHERE w.event_id = q.event_id AND w.status IN ('pending', 'parked')) AS doubled
             FROM google_calendar_sync_queue q
             WHERE q.company_id = $1 AND q.connection_id = $2 AND q.status = 'processing' FOR UPDATE OF q
         )
         UPDATE google_calendar_sync_queue q
         SET status = CASE WHEN l.doubled THEN 'completed' ELSE 'pending' END,
             error_message = CASE WHEN l.doubled THEN 'a newer entry stands for it' ELSE q.error_message END,
             completed_at = CASE WHEN l.doubled THEN clock_timestamp() END, updated_at = clock_timestamp()
         FROM left_over l WHERE q.id = l.id",
        company.uuid(),
        connection,
    )
    .execute(tx.conn())
    .await
    .doing("putting app writes back")
    .map(|done| done.rows_affected())
}

/// Done, in the transaction that writes the event's row.
///
/// # Errors
/// As every statement.
pub async fn complete(tx: &mut Tx, company: CompanyId, id: Uuid) -> Result<()> {
    sqlx::query!(
        "UPDATE google_calendar_sync_queue
         SET status = 'completed', error_message = NULL, error_body = NULL, completed_at = clock_timestamp(),
             updated_at = clock_timestamp()
         WHERE company_id = $1 AND id = $2",
        company.uuid(),
        id,
    )
    .execute(tx.conn())
    .await
    .doing("finishing an app write")
    .map(drop)
}

/// How an entry that was not carried out goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Next {
    /// Again after this many seconds; given up after `max_retries`.
    Retry(f64),
    /// Again after this many seconds; the attempt does not count.
    Wait(f64),
    /// A person has to act first.
    Park,
    /// Given up.
    Fail,
}

/// What became of an entry that was not carried out; answers its status. One that waits beside it already stands
/// for the same event and takes its place.
///
/// # Errors
/// As every statement.
pub async fn put_back(
    tx: &mut Tx,
    company: CompanyId,
    id: Uuid,
    next: Next,
    message: &str,
    body: Option<&str>,
) -> Result<Option<String>> {
    let (status, seconds, counts) = match next {
        Next::Retry(seconds) => ("pending", seconds, 1),
        Next::Wait(seconds) => ("pending", seconds, 0),
        Next::Park => ("parked", 0.0, 0),
        Next::Fail => ("failed", 0.0, 1),
    };
    sqlx::query_scalar!(
        "UPDATE google_calendar_sync_queue q
         SET retry_count = retry_count + $5, error_message = $6, error_body = $7, updated_at = clock_timestamp(),
             run_at = clock_timestamp() + make_interval(secs => $4),
             status = CASE WHEN $3 = 'failed' THEN $3
                 WHEN EXISTS (SELECT FROM google_calendar_sync_queue w WHERE w.event_id = q.event_id
                     AND w.id <> q.id AND w.status IN ('pending', 'parked')) THEN 'completed'
                 WHEN $3 = 'pending' AND $5 > 0 AND retry_count + 1 > max_retries THEN 'failed' ELSE $3 END
         WHERE company_id = $1 AND id = $2 RETURNING status",
        company.uuid(),
        id,
        status,
        seconds,
        counts,
        message,
        body,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("putting an app write back")
}

/// Parks what waits for the calendars of an account.
///
/// # Errors
/// As every statement.
pub(super) async fn park_account(tx: &mut Tx, company: CompanyId, account: Uuid, reason: &str) -> Result<()> {
    sqlx::query!(
        "UPDATE google_calendar_sync_queue q
         SET status = 'parked', error_message = $3, updated_at = clock_timestamp()
         FROM google_calendar_connections c
         WHERE q.company_id = $1 AND c.company_id = $1 AND c.account_id = $2 AND q.connection_id = c.id
             AND q.status = 'pending'",
        company.uuid(),
        account,
        reason,
    )
    .execute(tx.conn())
    .await
    .doing("parking app writes")
    .map(drop)
}

/// Parks what waits for a connection that ended.
///
/// # Errors
/// As every statement.
pub async fn park_connection(tx: &mut Tx, company: CompanyId, connection: Uuid, reason: &str) -> Result<()> {
    sqlx::query!(
        "UPDATE google_calendar_sync_queue
         SET status = 'parked', error_message = $3, updated_at = clock_timestamp()
         WHERE company_id = $1 AND connection_id = $2 AND status = 'pending'",
        company.uuid(),
        connection,
        reason,
    )
    .execute(tx.conn())
    .await
    .doing("parking app writes")
    .map(drop)
}

/// Replays what was parked for a connection that is active again; how many.
///
/// # Errors
/// As every statement.
pub async fn replay(tx: &mut Tx, company: CompanyId, connection: Uuid) -> Result<u64> {
    sqlx::query!(
        "UPDATE google_calendar_sync_queue
         SET status = 'pending', run_at = clock_timestamp(), updated_at = clock_timestamp()
         WHERE company_id = $1 AND connection_id = $2 AND status = 'parked'",
        company.uuid(),
        connection,
    )
    .execute(tx.conn())
    .await
    .doing("replaying app writes")
    .map(|done| done.rows_affected())
}

/// Entries of all companies that wait and are in work: what the gauge of pending exports shows. In a dispatch
/// transaction.
///
/// # Errors
/// As every statement.
pub async fn pending(tx: &mut Tx) -> Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "n!" FROM google_calendar_sync_queue WHERE status IN ('pending', 'processing')"#,
    )
    .fetch_one(tx.conn())
    .await
    .doing("counting app writes")
}

/// Removes at most `limit` completed entries that are older than `days`; how many.
///
/// # Errors
/// As every statement.
pub async fn purge(tx: &mut Tx, company: CompanyId, days: i32, limit: i64) -> Result<u64> {
    sqlx::query!(
        "DELETE FROM google_calendar_sync_queue WHERE id IN (
             SELECT id FROM google_calendar_sync_queue
             WHERE company_id = $1 AND status = 'completed'
                 AND completed_at < clock_timestamp() - make_interval(days => $2) LIMIT $3)",
        company.uuid(),
        days,
        limit,
    )
    .execute(tx.conn())
    .await
    .doing("purging app writes")
    .map(|done| done.rows_affected())
}
