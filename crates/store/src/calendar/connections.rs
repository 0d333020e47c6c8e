//! Calendars that are kept in step, and their cursors.

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use serde_json::Value;
use uuid::Uuid;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// A connected calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Our id.
    pub id: Uuid,
    /// `google` or `microsoft`.
    pub provider: String,
    /// The account behind it.
    pub account_id: Uuid,
    /// The account's address, else its subject.
    pub account: String,
    /// Owner of what comes from it.
    pub user_id: Option<String>,
    /// Google's id of the calendar.
    pub calendar_id: String,
    /// Its name.
    pub summary: Option<String>,
    /// Its time zone.
    pub time_zone: Option<String>,
    /// `owner`, `writer`, `reader`, `freeBusyReader`.
    pub access_role: Option<String>,
    /// Switched on.
    pub enabled: bool,
    /// `active`, `reauth_required`, `revoked`, `gone`.
    pub state: String,
    /// Why it is not active.
    pub state_reason: Option<String>,
    /// `both`, `to_google`, `from_google`.
    pub sync_direction: String,
    /// `push`, `poll`, `gone`.
    pub push_capability: String,
    /// End of the access token's life.
    pub expires_at: Option<DateTime<Utc>>,
    /// Last complete round.
    pub last_synced_at: Option<DateTime<Utc>>,
    /// What failed last.
    pub last_error: Option<String>,
    /// Connected at.
    pub created_at: DateTime<Utc>,
}

/// A calendar to connect.
#[derive(Debug, Clone)]
pub struct NewConnection<'a> {
    /// The account behind it.
    pub account_id: Uuid,
    /// Who connects it.
    pub user_id: &'a str,
    /// Google's id of the calendar.
    pub calendar_id: &'a str,
    /// Its name.
    pub summary: Option<&'a str>,
    /// Its time zone.
    pub time_zone: Option<&'a str>,
    /// `owner`, `writer`, `reader`, `freeBusyReader`.
    pub access_role: Option<&'a str>,
    /// `both`, `to_google`, `from_google`.
    pub sync_direction: &'a str,
    /// End of the access token's life.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Where a calendar's enumeration stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Cursor {
    /// Opaque; none before the first complete enumeration, or when the parameters changed.
    pub sync_token: Option<String>,
    /// State of the round in progress.
    pub walk: Option<Value>,
    /// Number of the newest full enumeration that was begun.
    pub generation: i64,
}

/// Connects a calendar, or the same calendar again: cursor and rows survive a disconnection. `None` when another
/// living account of the company has it.
///
/// # Errors
/// [`crate::StoreError::Constraint`] `google_calendar_connections_calendar_unique` when it belongs to another
/// company.
pub async fn connect(tx: &mut Tx, company: CompanyId, new: &NewConnection<'_>) -> Result<Option<Uuid>> {
    let kept = sqlx::query_scalar!(
        "UPDATE google_calendar_connections
         SET account_id = $3, user_id = $4, summary = $5, time_zone = $6, access_role = $7, sync_direction = $8,
             expires_at = $9, enabled = true, state = 'active', state_reason = NULL,
             push_capability = CASE push_capability WHEN 'gone' THEN 'push' ELSE push_capability END,
             -- A token belongs to the account that it was given to.
             sync_token = CASE WHEN account_id = $3 THEN sync_token END,
             sync_walk = CASE WHEN account_id = $3 THEN sync_walk END,
             consecutive_failures = 0, last_error = NULL, updated_at = clock_timestamp()
         WHERE company_id = $1 AND calendar_id = $2 AND (account_id = $3 OR state <> 'active')
         RETURNING id",
        company.uuid(),
        new.calendar_id,
        new.account_id,
        new.user_id,
        new.summary,
        new.time_zone,
        new.access_role,
        new.sync_direction,
        new.expires_at,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("connecting a calendar again")?;
    if kept.is_some() || by_calendar(tx, company, new.calendar_id).await?.is_some() {
        return Ok(kept);
    }
    sqlx::query_scalar!(
        "INSERT INTO google_calendar_connections
             (id, company_id, account_id, user_id, calendar_id, summary, time_zone, access_role, sync_direction,
              expires_at)
         VALUES ($10, $1, $3, $4, $2, $5, $6, $7, $8, $9) RETURNING id",
        company.uuid(),
        new.calendar_id,
        new.account_id,
        new.user_id,
        new.summary,
        new.time_zone,
        new.access_role,
        new.sync_direction,
        new.expires_at,
        chassis::ids::new_id(),
    )
    .fetch_one(tx.conn())
    .await
    .doing("connecting a calendar")
    .map(Some)
}

/// The connection of a calendar.
///
/// # Errors
/// As every statement.
pub async fn by_calendar(tx: &mut Tx, company: CompanyId, calendar_id: &str) -> Result<Option<Uuid>> {
    sqlx::query_scalar!(
        "SELECT id FROM google_calendar_connections WHERE company_id = $1 AND calendar_id = $2",
        company.uuid(),
        calendar_id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("looking for a calendar's connection")
}

/// One connection.
///
/// # Errors
/// As every statement.
pub async fn get(tx: &mut Tx, company: CompanyId, id: Uuid) -> Result<Option<Connection>> {
    sqlx::query_as!(
        Connection,
        r#"SELECT c.id, c.provider, account_id, coalesce(a.email, a.subject) AS "account!", user_id, calendar_id, summary,
             time_zone, access_role, enabled, c.state, c.state_reason, sync_direction, push_capability, expires_at,
             last_synced_at, last_error, c.created_at
         FROM google_calendar_connections c JOIN calendar_accounts a ON a.id = account_id
         WHERE c.company_id = $1 AND c.id = $2"#,
        company.uuid(),
        id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading a connection")
}

/// Connections of the company, newest first, before (created_at, id) of the previous page's last row.
///
/// # Errors
/// As every statement.
pub async fn list(
    tx: &mut Tx,
    company: CompanyId,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Connection>> {
    let (at, id) = before.unzip();
    sqlx::query_as!(
        Connection,
        r#"SELECT c.id, c.provider, account_id, coalesce(a.email, a.subject) AS "account!", user_id, calendar_id, summary,
             time_zone, access_role, enabled, c.state, c.state_reason, sync_direction, push_capability, expires_at,
             last_synced_at, last_error, c.created_at
         FROM google_calendar_connections c JOIN calendar_accounts a ON a.id = account_id
         WHERE c.company_id = $1 AND ($2::timestamptz IS NULL OR (c.created_at, c.id) < ($2, $3))
         ORDER BY c.created_at DESC, c.id DESC LIMIT $4"#,
        company.uuid(),
        at,
        id,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing connections")
}

/// What a call through a connection needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// The account behind it.
    pub account_id: Uuid,
    /// Google's id of the calendar.
    pub calendar_id: String,
    /// `active`, `reauth_required`, `revoked`, `gone`.
    pub state: String,
    /// Why it is not active.
    pub state_reason: Option<String>,
    /// Counts the account's consents.
    pub grant_version: i64,
    /// Seconds for which the account takes no writes.
    pub parked_seconds: Option<f64>,
}

/// The way of a call; `None` when there is no such connection.
///
/// # Errors
/// As every statement.
pub async fn route(tx: &mut Tx, company: CompanyId, id: Uuid) -> Result<Option<Route>> {
    sqlx::query_as!(
        Route,
        "SELECT c.account_id, c.calendar_id, c.state, c.state_reason, a.grant_version,
             CASE WHEN a.parked_until > clock_timestamp()
                 THEN extract(epoch FROM a.parked_until - clock_timestamp())::float8 END AS parked_seconds
         FROM google_calendar_connections c JOIN calendar_accounts a ON a.id = c.account_id
         WHERE c.company_id = $1 AND c.id = $2",
        company.uuid(),
        id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading the way of a call")
}

/// Connections of an account that a new consent brings back; their ids.
///
/// # Errors
/// As every statement.
pub async fn revive(tx: &mut Tx, company: CompanyId, account: Uuid) -> Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "UPDATE google_calendar_connections
         SET state = 'active', state_reason = NULL, last_error = NULL, updated_at = clock_timestamp()
         WHERE company_id = $1 AND account_id = $2 AND state = 'reauth_required' RETURNING id",
        company.uuid(),
        account,
    )
    .fetch_all(tx.conn())
    .await
    .doing("bringing connections back")
}

/// Connections that take part in syncing.
///
/// # Errors
/// As every statement.
pub async fn active(tx: &mut Tx, company: CompanyId) -> Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "SELECT id FROM google_calendar_connections
         WHERE company_id = $1 AND enabled AND state = 'active' ORDER BY created_at, id",
        company.uuid(),
    )
    .fetch_all(tx.conn())
    .await
    .doing("looking for active connections")
}

/// Stops taking part: `revoked` (disconnected) or `gone` (the calendar is gone). Answers the account behind it.
///
/// # Errors
/// As every statement.
pub async fn end(
    tx: &mut Tx,
    company: CompanyId,
    id: Uuid,
    state: &str,
    reason: &str,
) -> Result<Option<Uuid>> {
    sqlx::query_scalar!(
        "UPDATE google_calendar_connections
         SET state = $3, state_reason = $4, enabled = false, expires_at = NULL, updated_at = clock_timestamp()
         WHERE company_id = $1 AND id = $2 RETURNING account_id",
        company.uuid(),
        id,
        state,
        reason,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("ending a connection")
}

/// Calendars of the account that still take part, `except` left out.
///
/// # Errors
/// As every statement.
pub async fn others_of_account(tx: &mut Tx, company: CompanyId, account: Uuid, except: Uuid) -> Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "n!" FROM google_calendar_connections
         WHERE company_id = $1 AND account_id = $2 AND id <> $3 AND state IN ('active', 'reauth_required')"#,
        company.uuid(),
        account,
        except,
    )
    .fetch_one(tx.conn())
    .await
    .doing("counting calendars of an account")
}

/// Switches it on or off, or turns its direction. False when there is none.
///
/// # Errors
/// As every statement.
pub async fn change(
    tx: &mut Tx,
    company: CompanyId,
    id: Uuid,
    enabled: Option<bool>,
    sync_direction: Option<&str>,
) -> Result<bool> {
    sqlx::query!(
        "UPDATE google_calendar_connections
         SET enabled = coalesce($3, enabled), sync_direction = coalesce($4, sync_direction),
             updated_at = clock_timestamp()
         WHERE company_id = $1 AND id = $2 AND state IN ('active', 'reauth_required')",
        company.uuid(),
        id,
        enabled,
        sync_direction,
    )
    .execute(tx.conn())
    .await
    .doing("changing a connection")
    .map(|done| done.rows_affected() > 0)
}

/// How its changes are learnt: `push`, `poll` or `gone`.
///
/// # Errors
/// As every statement.
pub async fn set_capability(tx: &mut Tx, company: CompanyId, id: Uuid, capability: &str) -> Result<()> {
    sqlx::query!(
        "UPDATE google_calendar_connections SET push_capability = $3, updated_at = clock_timestamp()
         WHERE company_id = $1 AND id = $2 AND push_capability <> $3",
        company.uuid(),
        id,
        capability,
    )
    .execute(tx.conn())
    .await
    .doing("noting how changes are learnt")
    .map(drop)
}

/// The end of the account's access token, shown with its connections.
pub(super) async fn set_token_expiry(
    tx: &mut Tx,
    company: CompanyId,
    account: Uuid,
    expires_at: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "UPDATE google_calendar_connections SET expires_at = $3
         WHERE company_id = $1 AND account_id = $2 AND state = 'active'",
        company.uuid(),
        account,
        expires_at,
    )
    .execute(tx.conn())
    .await
    .doing("noting a token's end")
    .map(drop)
}

/// Reads the cursor for a set of parameters and locks it; a token that other parameters made is not used. `None`
/// when there is no such connection.
///
/// # Errors
/// As every statement.
pub async fn lock_cursor(
    tx: &mut Tx,
    company: CompanyId,
    id: Uuid,
    params_hash: &str,
) -> Result<Option<Cursor>> {
    sqlx::query_as!(
        Cursor,
        "SELECT CASE WHEN sync_params_hash = $3 THEN sync_token END AS sync_token,
             CASE WHEN sync_params_hash = $3 THEN sync_walk END AS walk, generation
         FROM google_calendar_connections WHERE company_id = $1 AND id = $2 FOR UPDATE",
        company.uuid(),
        id,
        params_hash,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading a calendar's cursor")
}

/// Stores the cursor, in the transaction that stores the page that it covers. `full_done`: the page is the last of
/// a complete enumeration.
///
/// # Errors
/// As every statement.
pub async fn put_cursor(
    tx: &mut Tx,
    company: CompanyId,
    id: Uuid,
    params_hash: &str,
    cursor: &Cursor,
    full_done: bool,
) -> Result<()> {
    sqlx::query!(
        "UPDATE google_calendar_connections
         SET sync_params_hash = $3, sync_token = $4, sync_walk = $5, generation = $6,
             last_full_at = CASE WHEN $7 THEN clock_timestamp() ELSE last_full_at END,
             last_synced_at = CASE WHEN $5::jsonb IS NULL THEN clock_timestamp() ELSE last_synced_at END,
             consecutive_failures = CASE WHEN $5::jsonb IS NULL THEN 0 ELSE consecutive_failures END,
             last_error = CASE WHEN $5::jsonb IS NULL THEN NULL ELSE last_error END,
             updated_at = clock_timestamp()
         WHERE company_id = $1 AND id = $2",
        company.uuid(),
        id,
        params_hash,
        cursor.sync_token,
        cursor.walk,
        cursor.generation,
        full_done,
    )
    .execute(tx.conn())
    .await
    .doing("storing a calendar's cursor")
    .map(drop)
}

/// A round failed. Answers how many did in a row.
///
/// # Errors
/// As every statement.
pub async fn round_failed(tx: &mut Tx, company: CompanyId, id: Uuid, error: &str) -> Result<Option<i32>> {
    sqlx::query_scalar!(
        "UPDATE google_calendar_connections
         SET last_error = $3, consecutive_failures = consecutive_failures + 1, updated_at = clock_timestamp()
         WHERE company_id = $1 AND id = $2 RETURNING consecutive_failures",
        company.uuid(),
        id,
        error,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("noting a failed round")
}
