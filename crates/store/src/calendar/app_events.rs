//! Events as the application reads and writes them. In a transaction of a user ([`crate::Store::tenant_user`])
//! row-level security leaves the user's own; the triggers queue what a calendar has to learn.

use chrono::{DateTime, Utc};
use domain::calendar::event::Event;
use domain::ids::CompanyId;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::content::Beside;
pub use super::content::Content;
use crate::error::{Doing, Result, StoreError};
use crate::pool::Tx;

/// A stored event.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct AppEvent {
    /// Its id.
    pub id: Uuid,
    /// Owner.
    pub user_id: Option<String>,
    /// What the application may write.
    #[serde(flatten)]
    pub content: Content,
    /// The zone in which it ends, where that is another than the one in which it begins.
    pub end_time_zone: Option<String>,
    /// Whole days.
    pub all_day: bool,
    /// `default`, or a type of the provider's.
    pub event_type: String,
    /// Conference data as the provider has it.
    pub conference: Option<Value>,
    /// The series' row, of an exception.
    pub series_event_id: Option<Uuid>,
    /// The series' id at the provider, of an exception.
    pub recurring_event_id: Option<String>,
    /// Where the series puts it, of an exception: an instant in UTC, or a day.
    pub original_start: Option<String>,
    /// The calendar's connection; none until it is decided.
    pub connection_id: Option<Uuid>,
    /// The provider's id of the calendar.
    pub google_calendar_id: Option<String>,
    /// The provider's id of the event.
    pub google_event_id: Option<String>,
    /// `app` or `google`.
    pub last_update_source: Option<String>,
    /// Last agreement of both sides.
    pub last_synced_at: Option<DateTime<Utc>>,
    /// Counts the application's writes.
    pub app_version: i64,
    /// Deleted at.
    pub deleted_at: Option<DateTime<Utc>>,
    /// Made at.
    pub created_at: DateTime<Utc>,
    /// Last write of either side.
    pub updated_at: DateTime<Utc>,
}

impl AppEvent {
    /// The content in canonical form, read as the provider's JSON would be.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when it cannot be read.
    pub fn canonical(&self) -> Result<Event> {
        let beside = Beside {
            end_time_zone: self.end_time_zone.as_deref(),
            conference: self.conference.as_ref(),
            event_type: &self.event_type,
        };
        let side = self.content.side(self.id, beside)?;
        let malformed = || StoreError::Malformed { what: "event", value: "not alive".to_owned() };
        side.event().cloned().ok_or_else(malformed)
    }
}

/// What a new row has beside its content.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The calendar's connection; absent: decided when it is pushed.
    pub connection_id: Option<Uuid>,
    /// The provider's id of that calendar, of an exception.
    pub google_calendar_id: Option<String>,
    /// The series' row, of an exception.
    pub series_event_id: Option<Uuid>,
    /// The series' id at the provider, of an exception.
    pub recurring_event_id: Option<String>,
    /// Where the series puts it, of an exception.
    pub original_start: Option<String>,
    /// The occurrence as it was copied from the series, in canonical form.
    pub copied: Option<Value>,
    /// The occurrence does not take place.
    pub cancelled: bool,
}

/// Which events to list.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Only events that end after this; a series counts as endless.
    pub from: Option<DateTime<Utc>>,
    /// Only events that begin before this.
    pub to: Option<DateTime<Utc>>,
    /// Only exceptions of this series.
    pub series: Option<Uuid>,
    /// Also deleted ones.
    pub deleted: bool,
    /// Only rows after (beginning, id): those of the previous page's last row.
    pub after: Option<(DateTime<Utc>, Uuid)>,
}

/// A listed event, and the beginning that it is sorted by.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The event.
    pub event: AppEvent,
    /// Its start; that of a day in UTC.
    pub begins: DateTime<Utc>,
}

fn read(value: Value) -> Result<AppEvent> {
    serde_json::from_value(value)
        .map_err(|error| StoreError::Malformed { what: "row of events", value: error.to_string() })
}

fn write(content: &Content) -> Result<Value> {
    serde_json::to_value(content)
        .map_err(|error| StoreError::Malformed { what: "event to write", value: error.to_string() })
}

/// Events by their beginning.
///
/// # Errors
/// As every statement.
pub async fn list(tx: &mut Tx, company: CompanyId, filter: &EventFilter, limit: i64) -> Result<Vec<Listed>> {
    let (begins, id) = filter.after.unzip();
    let rows = sqlx::query!(
        r#"WITH listed AS (
             SELECT e AS event, e.id,
                 coalesce(start_at, start_date::timestamp AT TIME ZONE 'UTC', created_at) AS begins
             FROM events e
             WHERE company_id = $1 AND ($2 OR deleted_at IS NULL) AND ($3::uuid IS NULL OR series_event_id = $3)
                 AND ($4::timestamptz IS NULL OR cardinality(recurrence) > 0
                     OR coalesce(end_at, end_date::timestamp AT TIME ZONE 'UTC', created_at) > $4)
         )
         SELECT to_jsonb(event) AS "event!", begins AS "begins!" FROM listed
         WHERE ($5::timestamptz IS NULL OR begins < $5) AND ($6::timestamptz IS NULL OR (begins, id) > ($6, $7))
         ORDER BY begins, id LIMIT $8"#,
        company.uuid(),
        filter.deleted,
        filter.series,
        filter.from,
        filter.to,
        begins,
        id,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing events")?;
    rows.into_iter().map(|row| Ok(Listed { event: read(row.event)?, begins: row.begins })).collect()
}

/// One event, deleted ones too.
///
/// # Errors
/// As every statement.
pub async fn get(tx: &mut Tx, company: CompanyId, id: Uuid) -> Result<Option<AppEvent>> {
    sqlx::query_scalar!(
        r#"SELECT to_jsonb(e) AS "row!" FROM events e WHERE company_id = $1 AND id = $2"#,
        company.uuid(),
        id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading an event")?
    .map(read)
    .transpose()
}

/// As [`get`], locked until the transaction ends.
///
/// # Errors
/// As every statement.
pub async fn lock(tx: &mut Tx, company: CompanyId, id: Uuid) -> Result<Option<AppEvent>> {
    sqlx::query_scalar!(
        r#"SELECT to_jsonb(e) AS "row!" FROM events e WHERE company_id = $1 AND id = $2 FOR UPDATE"#,
        company.uuid(),
        id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("locking an event")?
    .map(read)
    .transpose()
}

/// Writes a new event of the transaction's user.
///
/// # Errors
/// As every statement; [`StoreError::is_forbidden`] when the user is no member of the company.
pub async fn insert(
    tx: &mut Tx,
    company: CompanyId,
    content: &Content,
    origin: &Origin,
    send_updates: Option<&str>,
) -> Result<AppEvent> {
    let row = sqlx::query_scalar!(
        r#"INSERT INTO events AS e (id, company_id, user_id, connection_id, google_calendar_id, series_event_id,
             recurring_event_id, original_start, copied, deleted_at, send_updates,
             title, description, location, start_at, end_at, start_date, end_date, time_zone, recurrence, attendees, reminders,
             status, visibility, transparency, color_id)
         SELECT $1, $2, app_user_id(), $4, $5, $6, $7, $8, $9, CASE WHEN $10 THEN clock_timestamp() END, $11,
             c.title, c.description, c.location, c.start_at, c.end_at, c.start_date, c.end_date, c.time_zone, c.recurrence,
             c.attendees, c.reminders, c.status, c.visibility, c.transparency, c.color_id
         FROM jsonb_populate_record(NULL::events, $3) c RETURNING to_jsonb(e) AS "row!""#,
        chassis::ids::new_id(),
        company.uuid(),
        write(content)?,
        origin.connection_id,
        origin.google_calendar_id,
        origin.series_event_id,
        origin.recurring_event_id,
        origin.original_start,
        origin.copied,
        origin.cancelled,
        send_updates,
    )
    .fetch_one(tx.conn())
    .await
    .doing("writing an event")?;
    read(row)
}

/// Writes an event's content and brings a deleted one back. Whom the provider mails stays as it was asked for when
/// `send_updates` says nothing. `None` when there is none.
///
/// # Errors
/// As every statement.
pub async fn update(
    tx: &mut Tx,
    company: CompanyId,
    id: Uuid,
    content: &Content,
    send_updates: Option<&str>,
) -> Result<Option<AppEvent>> {
    sqlx::query_scalar!(
        // The end's own zone goes with the times that it belonged to.
        r#"UPDATE events e SET deleted_at = NULL, send_updates = coalesce($4, e.send_updates),
             end_time_zone = CASE WHEN (e.start_at, e.end_at, e.time_zone) IS NOT DISTINCT FROM
                 (($3::jsonb ->> 'start_at')::timestamptz, ($3::jsonb ->> 'end_at')::timestamptz, $3::jsonb ->> 'time_zone')
                 THEN e.end_time_zone END,
             (title, description, location, start_at, end_at, start_date, end_date, time_zone, recurrence, attendees, reminders,
             status, visibility, transparency, color_id) = (SELECT
             c.title, c.description, c.location, c.start_at, c.end_at, c.start_date, c.end_date, c.time_zone, c.recurrence,
             c.attendees, c.reminders, c.status, c.visibility, c.transparency, c.color_id
             FROM jsonb_populate_record(NULL::events, $3) c)
         WHERE company_id = $1 AND id = $2 RETURNING to_jsonb(e) AS "row!""#,
        company.uuid(),
        id,
        write(content)?,
        send_updates,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("changing an event")?
    .map(read)
    .transpose()
}

/// Deletes an event; of an exception: its occurrence does not take place. False when there is none alive.
///
/// # Errors
/// As every statement.
pub async fn delete(tx: &mut Tx, company: CompanyId, id: Uuid, send_updates: Option<&str>) -> Result<bool> {
    sqlx::query!(
        "UPDATE events SET deleted_at = clock_timestamp(), send_updates = coalesce($3, send_updates)
         WHERE company_id = $1 AND id = $2 AND deleted_at IS NULL",
        company.uuid(),
        id,
        send_updates,
    )
    .execute(tx.conn())
    .await
    .doing("deleting an event")
    .map(|done| done.rows_affected() > 0)
}

/// The exception that a series has at an original start already.
///
/// # Errors
/// As every statement.
pub async fn exception(
    tx: &mut Tx,
    company: CompanyId,
    series: &AppEvent,
    original: &str,
) -> Result<Option<Uuid>> {
    sqlx::query_scalar!(
        "SELECT id FROM events
         WHERE company_id = $1 AND original_start = $2 AND (series_event_id = $3
             OR (google_calendar_id = $4 AND recurring_event_id = $5))",
        company.uuid(),
        original,
        series.id,
        series.google_calendar_id,
        series.google_event_id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("looking for an exception")
}

/// Exceptions of a series by their place, cancelled ones too, locked; the first `limit`.
///
/// # Errors
/// As every statement.
pub async fn exceptions(
    tx: &mut Tx,
    company: CompanyId,
    series: &AppEvent,
    limit: i64,
) -> Result<Vec<AppEvent>> {
    sqlx::query_scalar!(
        r#"SELECT to_jsonb(e) AS "row!" FROM events e
         WHERE company_id = $1 AND original_start IS NOT NULL AND (series_event_id = $2
             OR (google_calendar_id = $3 AND recurring_event_id = $4))
         ORDER BY original_start, id LIMIT $5 FOR UPDATE"#,
        company.uuid(),
        series.id,
        series.google_calendar_id,
        series.google_event_id,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("finding exceptions of a series")?
    .into_iter()
    .map(read)
    .collect()
}
