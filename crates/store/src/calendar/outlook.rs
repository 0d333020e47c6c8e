//! Outlook calendars: connections whose provider is Microsoft, reached with the application's own permission.

use domain::ids::CompanyId;
use uuid::Uuid;

use super::connections::{self, NewConnection};
use crate::error::{Doing, Result};
use crate::pool::Tx;
use crate::sync_state::SyncState;

/// The provider's name in `google_calendar_connections` and `events`.
pub const PROVIDER: &str = "microsoft";

/// The default calendar of a mailbox, to be connected.
#[derive(Debug, Clone)]
pub struct NewOutlook<'a> {
    /// Object id of the mailbox's owner.
    pub mailbox: &'a str,
    /// Its address.
    pub address: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Who connects it.
    pub user_id: &'a str,
    /// `both`, `to_google` (to the provider) or `from_google` (from the provider).
    pub sync_direction: &'a str,
}

/// Connects the calendar, or the same one again; cursor and rows survive a disconnection.
///
/// # Errors
/// [`crate::StoreError::Constraint`] `google_calendar_connections_calendar_unique` when it belongs to another
/// company.
pub async fn connect(tx: &mut Tx, company: CompanyId, new: &NewOutlook<'_>) -> Result<Option<Uuid>> {
    let account = sqlx::query_scalar!(
        "INSERT INTO calendar_accounts AS a (id, company_id, provider, subject, email, state, grant_version)
         VALUES ($2, $1, 'microsoft', $3, $4, 'active', 1)
         ON CONFLICT (company_id, provider, subject) DO UPDATE
             SET email = excluded.email, state = 'active', state_reason = NULL, updated_at = clock_timestamp()
         RETURNING id",
        company.uuid(),
        chassis::ids::new_id(),
        new.mailbox,
        new.address,
    )
    .fetch_one(tx.conn())
    .await
    .doing("keeping the account of an Outlook calendar")?;
    let connection = NewConnection {
        account_id: account,
        user_id: new.user_id,
        calendar_id: new.mailbox,
        summary: Some(new.name),
        time_zone: None,
        access_role: Some("owner"),
        sync_direction: new.sync_direction,
        expires_at: None,
    };
    let Some(id) = connections::connect(tx, company, &connection).await? else { return Ok(None) };
    sqlx::query!(
        "UPDATE google_calendar_connections SET provider = 'microsoft' WHERE company_id = $1 AND id = $2",
        company.uuid(),
        id,
    )
    .execute(tx.conn())
    .await
    .doing("naming the provider of a calendar")?;
    Ok(Some(id))
}

/// Disconnects a calendar of Outlook; false when there is no such connection that still takes part.
///
/// # Errors
/// As every statement.
pub async fn disconnect(tx: &mut Tx, company: CompanyId, id: Uuid, reason: &str) -> Result<bool> {
    let ended = sqlx::query!(
        "UPDATE google_calendar_connections
         SET state = 'revoked', state_reason = $3, enabled = false, updated_at = clock_timestamp()
         WHERE company_id = $1 AND id = $2 AND provider = 'microsoft' RETURNING account_id, calendar_id",
        company.uuid(),
        id,
        reason,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("disconnecting an Outlook calendar")?;
    let Some(ended) = ended else { return Ok(false) };
    sqlx::query!(
        "UPDATE calendar_accounts SET state = 'revoked', state_reason = $3, updated_at = clock_timestamp()
         WHERE company_id = $1 AND id = $2",
        company.uuid(),
        ended.account_id,
        reason,
    )
    .execute(tx.conn())
    .await
    .doing("ending the account of an Outlook calendar")?;
    Ok(true)
}

/// The connection of a mailbox's calendar that takes part, by object id or, without case, by address; with its
/// mailbox's object id.
///
/// # Errors
/// As every statement.
pub async fn of_mailbox(tx: &mut Tx, company: CompanyId, user: &str) -> Result<Option<(Uuid, String)>> {
    let found = sqlx::query!(
        "SELECT c.id, c.calendar_id FROM google_calendar_connections c
         WHERE c.company_id = $1 AND c.provider = 'microsoft' AND c.enabled AND c.state = 'active'
             AND (c.calendar_id = $2 OR EXISTS (
                 SELECT FROM calendar_accounts a WHERE a.id = c.account_id AND lower(a.email) = lower($2)))
         ORDER BY (c.calendar_id = $2) DESC LIMIT 1",
        company.uuid(),
        user,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("looking for an Outlook calendar")?;
    Ok(found.map(|found| (found.id, found.calendar_id)))
}

/// The connection of a mailbox's calendar that takes part, by object id; in a transaction of any role.
///
/// # Errors
/// As every statement.
pub async fn by_owner(tx: &mut Tx, company: CompanyId, mailbox: &str) -> Result<Option<Uuid>> {
    sqlx::query_scalar!(
        "SELECT id FROM google_calendar_connections
         WHERE company_id = $1 AND provider = 'microsoft' AND calendar_id = $2 AND enabled AND state = 'active'",
        company.uuid(),
        mailbox,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("looking for the calendar of a notification")
}

/// Living series of a calendar by the provider's ids; at most `limit`.
///
/// # Errors
/// As every statement.
pub async fn series(tx: &mut Tx, calendar: &str, limit: i64) -> Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"SELECT google_event_id AS "id!" FROM events
           WHERE google_calendar_id = $1 AND google_event_id IS NOT NULL AND deleted_at IS NULL
               AND provider_etag IS NOT NULL AND cardinality(recurrence) > 0
               AND recurring_event_id IS NULL AND series_event_id IS NULL
           ORDER BY id LIMIT $2"#,
        calendar,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing the series of a calendar")
}

/// Forgets where the enumeration stands; the next run reads everything. One when there was such a connection.
///
/// # Errors
/// As every statement.
pub async fn forget_cursor(tx: &mut Tx, company: CompanyId, id: Uuid) -> Result<u64> {
    sqlx::query!(
        "UPDATE google_calendar_connections
         SET sync_token = NULL, sync_walk = NULL, updated_at = clock_timestamp()
         WHERE company_id = $1 AND id = $2",
        company.uuid(),
        id,
    )
    .execute(tx.conn())
    .await
    .doing("forgetting a calendar's cursor")
    .map(|done| done.rows_affected())
}

/// The state of the cursor of a mailbox's calendar.
///
/// # Errors
/// As every statement.
pub async fn state(tx: &mut Tx, company: CompanyId, id: Uuid) -> Result<Option<SyncState>> {
    sqlx::query_as!(
        SyncState,
        r#"SELECT calendar_id AS user_id, 'events' AS "resource_type!", id::text AS "resource_id!",
               (sync_token IS NOT NULL) AS "has_cursor!", (sync_walk IS NOT NULL) AS "walking!",
               (SELECT count(*) FROM events e WHERE e.connection_id = c.id AND e.deleted_at IS NULL) AS "items!",
               coalesce(last_synced_at, last_full_at) AS last_run_at, last_synced_at AS last_success_at,
               last_error, consecutive_failures
           FROM google_calendar_connections c WHERE company_id = $1 AND id = $2"#,
        company.uuid(),
        id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading the state of a calendar")
}
