//! Push channels of calendars.
//!
//! A row is committed as `registering`, with the digest of the channel's token, before Google is asked: its first
//! message may overtake its answer.

use chrono::{DateTime, Utc};
use domain::calendar::channel::RENEW_AT;
use domain::ids::CompanyId;
use uuid::Uuid;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Our id.
    pub id: Uuid,
    /// Owner.
    pub company_id: Uuid,
    /// The calendar's connection.
    pub connection_id: Uuid,
    /// Google's id of the calendar.
    pub calendar_id: String,
    /// Ours, unique in the project.
    pub channel_id: String,
    /// SHA-256 of the channel's token.
    pub token_sha256: Vec<u8>,
    /// Google's; none while registering.
    pub resource_id: Option<String>,
    /// Milliseconds since the epoch; none while registering.
    pub expiration_timestamp: Option<i64>,
    /// `registering`, `active`, `replaced`, `stopped`, `orphaned`, `failed`.
    pub state: String,
    /// Number of the newest message.
    pub last_message_number: Option<i64>,
}

/// Writes the row of a channel that is about to be asked for; commit before asking.
///
/// # Errors
/// As every statement.
pub async fn register(
    tx: &mut Tx,
    company: CompanyId,
    connection: Uuid,
    channel_id: &str,
    token_sha256: &[u8],
    address: &str,
) -> Result<Uuid> {
    let id = chassis::ids::new_id();
    sqlx::query!(
        "INSERT INTO google_calendar_webhooks
             (id, company_id, connection_id, calendar_id, channel_id, token_sha256, address)
         SELECT $1, $2, id, calendar_id, $4, $5, $6 FROM google_calendar_connections
         WHERE company_id = $2 AND id = $3",
        id,
        company.uuid(),
        connection,
        channel_id,
        token_sha256,
        address,
    )
    .execute(tx.conn())
    .await
    .doing("registering a channel")?;
    Ok(id)
}

/// Google made it. False when the row is gone, or was ended meanwhile (the calendar was disconnected): the channel
/// has to be stopped then.
///
/// # Errors
/// As every statement.
pub async fn activate(
    tx: &mut Tx,
    company: CompanyId,
    id: Uuid,
    resource_id: &str,
    expiration_timestamp: i64,
) -> Result<bool> {
    let done = sqlx::query!(
        r#"UPDATE google_calendar_webhooks w
         SET resource_id = $3, expiration_timestamp = $4, updated_at = clock_timestamp(), last_error = NULL,
             state = CASE WHEN w.state = 'registering' THEN 'active' ELSE w.state END
         FROM google_calendar_connections c
         WHERE w.company_id = $1 AND w.id = $2 AND c.id = w.connection_id
         RETURNING w.state = 'active' AND c.state = 'active' AND c.enabled AS "living!""#,
        company.uuid(),
        id,
        resource_id,
        expiration_timestamp,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("activating a channel")?;
    Ok(done.is_some_and(|row| row.living))
}

/// It ended: `replaced`, `stopped`, `orphaned` or `failed`.
///
/// # Errors
/// As every statement.
pub async fn end(tx: &mut Tx, company: CompanyId, id: Uuid, state: &str, reason: &str) -> Result<()> {
    sqlx::query!(
        "UPDATE google_calendar_webhooks
         SET state = $3, last_error = $4, enabled = false, updated_at = clock_timestamp()
         WHERE company_id = $1 AND id = $2",
        company.uuid(),
        id,
        state,
        reason,
    )
    .execute(tx.conn())
    .await
    .doing("ending a channel")
    .map(drop)
}

/// Channels of a connection that may still deliver, newest first.
///
/// # Errors
/// As every statement.
pub async fn living(tx: &mut Tx, company: CompanyId, connection: Uuid) -> Result<Vec<Webhook>> {
    sqlx::query_as!(
        Webhook,
        "SELECT id, company_id, connection_id, calendar_id, channel_id, token_sha256, resource_id,
             expiration_timestamp, state, last_message_number
         FROM google_calendar_webhooks
         WHERE company_id = $1 AND connection_id = $2 AND state IN ('registering', 'active')
         ORDER BY created_at DESC, id DESC",
        company.uuid(),
        connection,
    )
    .fetch_all(tx.conn())
    .await
    .doing("reading a calendar's channels")
}

/// One channel of the company.
///
/// # Errors
/// As every statement.
pub async fn get(tx: &mut Tx, company: CompanyId, id: Uuid) -> Result<Option<Webhook>> {
    sqlx::query_as!(
        Webhook,
        "SELECT id, company_id, connection_id, calendar_id, channel_id, token_sha256, resource_id,
             expiration_timestamp, state, last_message_number
         FROM google_calendar_webhooks WHERE company_id = $1 AND id = $2",
        company.uuid(),
        id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading a channel")
}

/// A channel as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Our id.
    pub id: Uuid,
    /// The calendar's connection.
    pub connection_id: Uuid,
    /// Google's id of the calendar.
    pub calendar_id: String,
    /// Ours, unique in the project.
    pub channel_id: String,
    /// Where Google delivers.
    pub address: Option<String>,
    /// `registering`, `active`, `replaced`, `stopped`, `orphaned`, `failed`.
    pub state: String,
    /// Ends at.
    pub expires_at: Option<DateTime<Utc>>,
    /// Last message (to a few seconds).
    pub last_notification_at: Option<DateTime<Utc>>,
    /// What failed last, or why it ended.
    pub last_error: Option<String>,
    /// Begun at.
    pub created_at: DateTime<Utc>,
}

/// Channels of the company, newest first, before (created_at, id) of the previous page's last row.
///
/// # Errors
/// As every statement.
pub async fn list(
    tx: &mut Tx,
    company: CompanyId,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Channel>> {
    let (at, id) = before.unzip();
    sqlx::query_as!(
        Channel,
        "SELECT id, connection_id, calendar_id, channel_id, address, state,
             to_timestamp(expiration_timestamp / 1000.0) AS expires_at, last_notification_at, last_error, created_at
         FROM google_calendar_webhooks
         WHERE company_id = $1 AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3))
         ORDER BY created_at DESC, id DESC LIMIT $4",
        company.uuid(),
        at,
        id,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing channels")
}

/// By Google's words, whoever owns it: in a dispatch transaction. Ended channels too: they fire for a while.
///
/// # Errors
/// As every statement.
pub async fn find_channel(tx: &mut Tx, channel_id: &str) -> Result<Option<Webhook>> {
    sqlx::query_as!(
        Webhook,
        "SELECT id, company_id, connection_id, calendar_id, channel_id, token_sha256, resource_id,
             expiration_timestamp, state, last_message_number
         FROM google_calendar_webhooks WHERE channel_id = $1",
        channel_id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("finding a channel")
}

/// A message came; at most every few seconds per row, so that a burst does not bloat it. The `sync` message of a
/// channel whose registration is not answered yet also teaches its resource.
///
/// # Errors
/// As every statement.
pub async fn touch(tx: &mut Tx, id: Uuid, message_number: Option<i64>, resource_id: &str) -> Result<()> {
    sqlx::query!(
        "UPDATE google_calendar_webhooks
         SET last_notification_at = clock_timestamp(), last_message_number = greatest(last_message_number, $2),
             resource_id = coalesce(resource_id, $3)
         WHERE id = $1 AND (resource_id IS NULL OR last_notification_at IS NULL
             OR last_notification_at < clock_timestamp() - interval '5 seconds')",
        id,
        message_number,
        resource_id,
    )
    .execute(tx.conn())
    .await
    .doing("noting a message")
    .map(drop)
}

/// Active connections that are to have a channel and have none that lasts longer than `hours` and is younger than
/// [`RENEW_AT`] of its life.
///
/// # Errors
/// As every statement.
pub async fn to_renew(tx: &mut Tx, company: CompanyId, hours: i32) -> Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "SELECT id FROM google_calendar_connections c
         WHERE company_id = $1 AND provider = 'google' AND enabled AND state = 'active'
             AND push_capability = 'push' AND NOT EXISTS (
             SELECT FROM google_calendar_webhooks w
             WHERE w.connection_id = c.id AND w.state = 'active'
                 AND w.expiration_timestamp
                     > extract(epoch FROM clock_timestamp() + make_interval(hours => $2)) * 1000
                 AND extract(epoch FROM clock_timestamp() - w.created_at) * 1000
                     < $3::float8 * (w.expiration_timestamp - extract(epoch FROM w.created_at) * 1000))
         ORDER BY id",
        company.uuid(),
        hours,
        RENEW_AT,
    )
    .fetch_all(tx.conn())
    .await
    .doing("looking for channels that end")
}

/// Active connections that are to have a channel and have no living one: what an alert counts. In a dispatch
/// transaction, of all companies.
///
/// # Errors
/// As every statement.
pub async fn without_channel(tx: &mut Tx) -> Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "n!" FROM google_calendar_connections c
         WHERE provider = 'google' AND enabled AND state = 'active' AND push_capability = 'push'
             AND created_at < clock_timestamp() - interval '5 minutes' AND NOT EXISTS (
             SELECT FROM google_calendar_webhooks w
             WHERE w.connection_id = c.id AND w.state = 'active'
                 AND w.expiration_timestamp > extract(epoch FROM clock_timestamp()) * 1000)"#,
    )
    .fetch_one(tx.conn())
    .await
    .doing("counting calendars without a channel")
}

/// Forgets at most `limit` channels that ended more than `days` ago; how many.
///
/// # Errors
/// As every statement.
pub async fn forget_ended(tx: &mut Tx, company: CompanyId, days: i32, limit: i64) -> Result<u64> {
    sqlx::query!(
        "DELETE FROM google_calendar_webhooks WHERE id IN (
             SELECT id FROM google_calendar_webhooks
             WHERE company_id = $1 AND state <> 'active'
                 AND updated_at < clock_timestamp() - make_interval(days => $2)
                 AND coalesce(expiration_timestamp, 0)
                     < extract(epoch FROM clock_timestamp() - make_interval(days => $2)) * 1000
             LIMIT $3)",
        company.uuid(),
        days,
        limit,
    )
    .execute(tx.conn())
    .await
    .doing("forgetting ended channels")
    .map(|done| done.rows_affected())
}
