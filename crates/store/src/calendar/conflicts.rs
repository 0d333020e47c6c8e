//! Edits that lost against another edit of the same field.

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use serde_json::Value;
use uuid::Uuid;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// A collision to keep.
#[derive(Debug, Clone, PartialEq)]
pub struct NewConflict<'a> {
    /// The event.
    pub event_id: Uuid,
    /// The calendar's connection.
    pub connection_id: Option<Uuid>,
    /// Google's id of the calendar.
    pub calendar_id: Option<&'a str>,
    /// Google's id of the event.
    pub google_event_id: Option<&'a str>,
    /// Field, such as `title` or `attendees/a@example.com`.
    pub field: &'a str,
    /// Value of the last agreement.
    pub base: Option<&'a Value>,
    /// The application's value.
    pub app: Option<&'a Value>,
    /// Google's value.
    pub provider: Option<&'a Value>,
    /// Whose value stands: `app` or `provider`.
    pub kept: &'a str,
    /// Rule that decided.
    pub policy: &'a str,
}

/// A collision as people see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    /// Its id.
    pub id: Uuid,
    /// `google` or `microsoft`.
    pub source: String,
    /// `event`.
    pub resource_type: String,
    /// The event.
    pub event_id: Option<Uuid>,
    /// The calendar's connection.
    pub connection_id: Option<Uuid>,
    /// Google's id of the calendar.
    pub calendar_id: Option<String>,
    /// Google's id of the event.
    pub google_event_id: Option<String>,
    /// Field.
    pub field: String,
    /// Value of the last agreement.
    pub base_value: Option<Value>,
    /// The application's value.
    pub app_value: Option<Value>,
    /// Google's value.
    pub provider_value: Option<Value>,
    /// Whose value stands: `app` or `provider`.
    pub kept: String,
    /// Rule that decided.
    pub policy: String,
    /// `open` or `resolved`.
    pub state: String,
    /// Who resolved it.
    pub resolved_by: Option<String>,
    /// When.
    pub resolved_at: Option<DateTime<Utc>>,
    /// Found at.
    pub created_at: DateTime<Utc>,
}

/// Keeps a collision.
///
/// # Errors
/// As every statement.
pub async fn record(tx: &mut Tx, company: CompanyId, new: &NewConflict<'_>) -> Result<Uuid> {
    let id = chassis::ids::new_id();
    sqlx::query!(
        "INSERT INTO sync_conflicts (id, company_id, event_id, connection_id, calendar_id, google_event_id, field,
             base_value, app_value, provider_value, kept, policy, source)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
             coalesce((SELECT provider FROM google_calendar_connections WHERE id = $4), 'google'))",
        id,
        company.uuid(),
        new.event_id,
        new.connection_id,
        new.calendar_id,
        new.google_event_id,
        new.field,
        new.base,
        new.app,
        new.provider,
        new.kept,
        new.policy,
    )
    .execute(tx.conn())
    .await
    .doing("keeping a conflict")?;
    Ok(id)
}

/// Collisions of the company, newest first, before (created_at, id) of the previous page's last row; of one state
/// or of all.
///
/// # Errors
/// As every statement.
pub async fn list(
    tx: &mut Tx,
    company: CompanyId,
    state: Option<&str>,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Conflict>> {
    let (at, id) = before.unzip();
    sqlx::query_as!(
        Conflict,
        "SELECT id, source, resource_type, event_id, connection_id, calendar_id, google_event_id, field, base_value,
             app_value, provider_value, kept, policy, state, resolved_by, resolved_at, created_at
         FROM sync_conflicts
         WHERE company_id = $1 AND ($2::text IS NULL OR state = $2)
             AND ($3::timestamptz IS NULL OR (created_at, id) < ($3, $4))
         ORDER BY created_at DESC, id DESC LIMIT $5",
        company.uuid(),
        state,
        at,
        id,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing conflicts")
}

/// One collision, locked until the transaction ends.
///
/// # Errors
/// As every statement.
pub async fn lock(tx: &mut Tx, company: CompanyId, id: Uuid) -> Result<Option<Conflict>> {
    sqlx::query_as!(
        Conflict,
        "SELECT id, source, resource_type, event_id, connection_id, calendar_id, google_event_id, field, base_value,
             app_value, provider_value, kept, policy, state, resolved_by, resolved_at, created_at
         FROM sync_conflicts WHERE company_id = $1 AND id = $2 FOR UPDATE",
        company.uuid(),
        id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading a conflict")
}

/// Somebody decided: `kept` stands. False when it was resolved before.
///
/// # Errors
/// As every statement.
pub async fn resolve(tx: &mut Tx, company: CompanyId, id: Uuid, kept: &str, by: &str) -> Result<bool> {
    sqlx::query!(
        "UPDATE sync_conflicts
         SET state = 'resolved', kept = $3, resolved_by = $4, resolved_at = clock_timestamp()
         WHERE company_id = $1 AND id = $2 AND state = 'open'",
        company.uuid(),
        id,
        kept,
        by,
    )
    .execute(tx.conn())
    .await
    .doing("resolving a conflict")
    .map(|done| done.rows_affected() > 0)
}
