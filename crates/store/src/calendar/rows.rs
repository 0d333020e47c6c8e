//! Events as the calendar's engine sees them: rows of `events` to `domain::calendar::engine::Row` and back.
//!
//! Call these in a transaction of [`as_engine`], whose writes the triggers take for nobody's edit.

mod columns;

use chrono::{DateTime, Utc};
use domain::calendar::engine::Row;
use domain::ids::CompanyId;
use serde_json::Value;
use uuid::Uuid;

use crate::error::{Doing, Result, StoreError};
use crate::pool::Tx;

use columns::Columns;
pub use columns::{original_of, original_text};

/// A row and what stands beside the engine's part of it.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The engine's part.
    pub row: Row,
    columns: Columns,
    /// As it was loaded.
    before: Option<Row>,
    /// Its event is deleted for good: what is left of it is in this entry of the queue.
    entry: Option<Uuid>,
}

/// The calendar whose events these are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    /// Row of `google_calendar_connections`.
    pub connection: Uuid,
    /// The provider's id.
    pub id: String,
    /// Owner of what comes from it.
    pub user_id: Option<String>,
    /// `last_update_source` of what comes from it.
    pub source: &'static str,
}

impl Stored {
    /// A row that the engine made ([`domain::calendar::engine::adopt`]).
    pub fn new(row: Row) -> Self {
        Self { row, columns: Columns::default(), before: None, entry: None }
    }

    /// Whether there is something to write.
    pub fn is_changed(&self) -> bool {
        self.before.as_ref() != Some(&self.row)
    }

    /// The row's key as it is stored; `None` for a key that is none of ours.
    pub fn id(&self) -> Option<Uuid> {
        self.row.key.parse().ok()
    }

    fn load(value: Value) -> Result<Self> {
        let columns: Columns = serde_json::from_value(value)
            .map_err(|error| StoreError::Malformed { what: "row of events", value: error.to_string() })?;
        let row = columns.row()?;
        Ok(Self { before: Some(row.clone()), row, columns, entry: None })
    }
}

fn load(values: Vec<Value>) -> Result<Vec<Stored>> {
    values.into_iter().map(Stored::load).collect()
}

/// Marks the transaction's writes as the engine's.
///
/// # Errors
/// As every statement.
pub async fn as_engine(tx: &mut Tx) -> Result<()> {
    sqlx::query!("SET LOCAL app.write_source = 'engine'")
        .execute(tx.conn())
        .await
        .doing("writing as the engine")
        .map(drop)
}

/// The row of an event, locked.
///
/// # Errors
/// As every statement; [`StoreError::Malformed`] when the row cannot be read.
pub async fn lock(tx: &mut Tx, company: CompanyId, id: Uuid) -> Result<Option<Stored>> {
    let value = sqlx::query_scalar!(
        r#"SELECT to_jsonb(e) AS "row!" FROM events e WHERE company_id = $1 AND id = $2 FOR UPDATE"#,
        company.uuid(),
        id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("locking an event")?;
    value.map(Stored::load).transpose()
}

/// What is left of an event that was deleted for good, from its entry in the queue.
///
/// # Errors
/// As every statement; [`StoreError::Malformed`] when it cannot be read.
pub async fn left_over(tx: &mut Tx, company: CompanyId, entry: Uuid) -> Result<Option<Stored>> {
    let found = sqlx::query!(
        "SELECT event_id, snapshot FROM google_calendar_sync_queue WHERE company_id = $1 AND id = $2 FOR UPDATE",
        company.uuid(),
        entry,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading what is left of an event")?;
    let Some((event, snapshot)) = found.and_then(|found| Some((found.event_id, found.snapshot?))) else {
        return Ok(None);
    };
    let row = columns::left_over(event, &snapshot)?;
    Ok(Some(Stored { before: Some(row.clone()), row, columns: Columns::default(), entry: Some(entry) }))
}

/// Rows of a calendar by the provider's ids, locked.
///
/// # Errors
/// As [`lock`].
pub async fn by_google_ids(tx: &mut Tx, calendar: &str, ids: &[String]) -> Result<Vec<Stored>> {
    let found = sqlx::query_scalar!(
        r#"SELECT to_jsonb(e) AS "row!" FROM events e
           WHERE google_calendar_id = $1 AND google_event_id = ANY ($2) FOR UPDATE"#,
        calendar,
        ids,
    )
    .fetch_all(tx.conn())
    .await
    .doing("finding events by id")?;
    load(found)
}

/// Rows by our own ids, locked: those of this calendar, or of none yet.
///
/// # Errors
/// As [`lock`].
pub async fn by_keys(tx: &mut Tx, company: CompanyId, calendar: &str, ids: &[Uuid]) -> Result<Vec<Stored>> {
    let found = sqlx::query_scalar!(
        r#"SELECT to_jsonb(e) AS "row!" FROM events e
           WHERE company_id = $1 AND id = ANY ($3) AND (google_calendar_id IS NULL OR google_calendar_id = $2)
           FOR UPDATE"#,
        company.uuid(),
        calendar,
        ids,
    )
    .fetch_all(tx.conn())
    .await
    .doing("finding events by stamp")?;
    load(found)
}

/// Rows of a calendar by iCalendar identifier, locked.
///
/// # Errors
/// As [`lock`].
pub async fn by_ical_uids(tx: &mut Tx, calendar: &str, uids: &[String]) -> Result<Vec<Stored>> {
    let found = sqlx::query_scalar!(
        r#"SELECT to_jsonb(e) AS "row!" FROM events e
           WHERE google_calendar_id = $1 AND ical_uid = ANY ($2) AND recurring_event_id IS NULL
               AND series_event_id IS NULL FOR UPDATE"#,
        calendar,
        uids,
    )
    .fetch_all(tx.conn())
    .await
    .doing("finding events by iCalendar identifier")?;
    load(found)
}

/// Exceptions of series, by the series' ids at the provider and by their rows, locked.
///
/// # Errors
/// As [`lock`].
pub async fn exceptions(
    tx: &mut Tx,
    calendar: &str,
    masters: &[String],
    rows: &[Uuid],
) -> Result<Vec<Stored>> {
    let found = sqlx::query_scalar!(
        r#"SELECT to_jsonb(e) AS "row!" FROM events e
           WHERE (google_calendar_id = $1 AND recurring_event_id = ANY ($2)) OR series_event_id = ANY ($3)
           FOR UPDATE"#,
        calendar,
        masters,
        rows,
    )
    .fetch_all(tx.conn())
    .await
    .doing("finding exceptions of series")?;
    load(found)
}

/// Exceptions whose series has ended, or may have: those that [`domain::calendar::engine::orphaned`] is asked about, each
/// with its master.
///
/// # Errors
/// As [`lock`].
pub async fn may_be_orphans(tx: &mut Tx, calendar: &str) -> Result<Vec<(Stored, Stored)>> {
    let found = sqlx::query!(
        r#"SELECT to_jsonb(e) AS "row!", to_jsonb(m) AS "master!" FROM events e JOIN events m
               ON m.id = e.series_event_id
                   OR (m.google_calendar_id = e.google_calendar_id AND m.google_event_id = e.recurring_event_id)
           WHERE e.google_calendar_id = $1 AND (e.recurring_event_id IS NOT NULL OR e.series_event_id IS NOT NULL)
               AND (m.deleted_at IS NOT NULL OR coalesce(cardinality(m.recurrence), 0) = 0
                   OR jsonb_typeof(e.link -> 'parked') = 'array')"#,
        calendar,
    )
    .fetch_all(tx.conn())
    .await
    .doing("finding exceptions without a series")?;
    found.into_iter().map(|found| Ok((Stored::load(found.row)?, Stored::load(found.master)?))).collect()
}

/// Exceptions that the application took back before the provider had them: those that
/// [`domain::calendar::engine::redundant`] is asked about.
///
/// # Errors
/// As [`lock`].
pub async fn unmade(tx: &mut Tx, calendar: &str) -> Result<Vec<Stored>> {
    let found = sqlx::query_scalar!(
        r#"SELECT to_jsonb(e) AS "row!" FROM events e
           WHERE google_calendar_id = $1 AND (recurring_event_id IS NOT NULL OR series_event_id IS NOT NULL)
               AND link @> '{"unmade": true}' FOR UPDATE"#,
        calendar,
    )
    .fetch_all(tx.conn())
    .await
    .doing("finding exceptions that were taken back")?;
    load(found)
}

/// Linked, living rows of a connection: how many, and those that no enumeration since `generation` has seen.
///
/// # Errors
/// As [`lock`].
pub async fn unseen(tx: &mut Tx, connection: Uuid, generation: i64) -> Result<(u64, Vec<Stored>)> {
    let existing = sqlx::query_scalar!(
        r#"SELECT count(*) AS "n!" FROM events
           WHERE connection_id = $1 AND google_event_id IS NOT NULL AND deleted_at IS NULL"#,
        connection,
    )
    .fetch_one(tx.conn())
    .await
    .doing("counting events")?;
    let found = sqlx::query_scalar!(
        r#"SELECT to_jsonb(e) AS "row!" FROM events e
           WHERE connection_id = $1 AND generation < $2 AND google_event_id IS NOT NULL FOR UPDATE"#,
        connection,
        generation,
    )
    .fetch_all(tx.conn())
    .await
    .doing("finding events that were not seen")?;
    Ok((u64::try_from(existing).unwrap_or(0), load(found)?))
}

/// Writes rows, new ones too. `source` is who changed the content: the provider ([`Calendar::source`]), or nobody new (`None`).
///
/// # Errors
/// As every statement; [`StoreError::Constraint`] when another row has the provider's id.
pub async fn save(
    tx: &mut Tx,
    company: CompanyId,
    calendar: &Calendar,
    rows: &[(&Stored, Option<&str>)],
    now: DateTime<Utc>,
) -> Result<()> {
    let mut changed = Vec::with_capacity(rows.len());
    for (stored, source) in rows {
        if let Some(entry) = stored.entry {
            save_left_over(tx, company, entry, &stored.row).await?;
        } else {
            changed.push(stored.columns.with(&stored.row, company, calendar, *source, now)?);
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    let changed = serde_json::to_value(&changed)
        .map_err(|error| StoreError::Malformed { what: "event to write", value: error.to_string() })?;
    sqlx::query!(
        "INSERT INTO events AS e (id, company_id, user_id, title, description, location, start_at, end_at, start_date,
             end_date, time_zone, end_time_zone, all_day, recurrence, attendees, reminders, status, visibility,
             transparency, color_id, conference, event_type, recurring_event_id, original_start, ical_uid,
             send_updates, connection_id, google_calendar_id, google_event_id, google_updated_at, last_update_source,
             last_synced_at, deleted_at, created_at, updated_at, provider_etag, raw, incarnation, generation,
             app_version, origin, app_changed_at, series_event_id, copied, link)
         SELECT id, company_id, user_id, title, description, location, start_at, end_at, start_date,
             end_date, time_zone, end_time_zone, all_day, recurrence, attendees, reminders, status, visibility,
             transparency, color_id, conference, event_type, recurring_event_id, original_start, ical_uid,
             send_updates, connection_id, google_calendar_id, google_event_id, google_updated_at, last_update_source,
             last_synced_at, deleted_at, created_at, updated_at, provider_etag, raw, incarnation, generation,
             app_version, origin, app_changed_at, series_event_id, copied, link
         FROM jsonb_populate_recordset(NULL::events, $1)
         ON CONFLICT (id) DO UPDATE SET title = excluded.title, description = excluded.description,
             location = excluded.location, start_at = excluded.start_at, end_at = excluded.end_at,
             start_date = excluded.start_date, end_date = excluded.end_date, time_zone = excluded.time_zone,
             end_time_zone = excluded.end_time_zone, all_day = excluded.all_day, recurrence = excluded.recurrence,
             attendees = excluded.attendees, reminders = excluded.reminders, status = excluded.status,
             visibility = excluded.visibility, transparency = excluded.transparency, color_id = excluded.color_id,
             conference = excluded.conference, event_type = excluded.event_type,
             recurring_event_id = excluded.recurring_event_id, original_start = excluded.original_start,
             ical_uid = excluded.ical_uid, send_updates = excluded.send_updates,
             connection_id = excluded.connection_id, google_calendar_id = excluded.google_calendar_id,
             google_event_id = excluded.google_event_id, google_updated_at = excluded.google_updated_at,
             last_update_source = excluded.last_update_source, last_synced_at = excluded.last_synced_at,
             deleted_at = excluded.deleted_at, updated_at = excluded.updated_at,
             provider_etag = excluded.provider_etag, raw = excluded.raw, incarnation = excluded.incarnation,
             generation = excluded.generation, series_event_id = excluded.series_event_id,
             copied = excluded.copied, link = excluded.link",
        changed,
    )
    .execute(tx.conn())
    .await
    .doing("writing events")
    .map(drop)
}

async fn save_left_over(tx: &mut Tx, company: CompanyId, entry: Uuid, row: &Row) -> Result<()> {
    let link = columns::link_value(row.link.as_ref())?;
    sqlx::query!(
        "UPDATE google_calendar_sync_queue
         SET snapshot = coalesce(snapshot, '{}') || jsonb_build_object('link', $3::jsonb)
         WHERE company_id = $1 AND id = $2",
        company.uuid(),
        entry,
        link,
    )
    .execute(tx.conn())
    .await
    .doing("keeping what is left of an event")
    .map(drop)
}

/// Removes the rows of exceptions that ended with their series.
///
/// # Errors
/// As every statement.
pub async fn remove(tx: &mut Tx, company: CompanyId, ids: &[Uuid]) -> Result<u64> {
    sqlx::query!("DELETE FROM events WHERE company_id = $1 AND id = ANY ($2)", company.uuid(), ids)
        .execute(tx.conn())
        .await
        .doing("removing exceptions")
        .map(|done| done.rows_affected())
}

/// Queues events that the provider has to be told of, unless they are queued; one that was parked goes on.
///
/// # Errors
/// As every statement.
pub async fn queue(tx: &mut Tx, company: CompanyId, connection: Uuid, ids: &[Uuid]) -> Result<()> {
    sqlx::query!(
        "INSERT INTO google_calendar_sync_queue (company_id, event_id, action, connection_id, app_version)
         SELECT company_id, id, CASE WHEN deleted_at IS NOT NULL THEN 'delete'
             WHEN google_event_id IS NULL THEN 'create' ELSE 'update' END, $2, app_version
         FROM events WHERE company_id = $1 AND id = ANY ($3)
         ON CONFLICT (event_id) WHERE status IN ('pending', 'parked') DO UPDATE
             SET status = 'pending', run_at = clock_timestamp(), updated_at = clock_timestamp()
             WHERE google_calendar_sync_queue.status = 'parked'",
        company.uuid(),
        connection,
        ids,
    )
    .execute(tx.conn())
    .await
    .doing("queueing events")
    .map(drop)
}
