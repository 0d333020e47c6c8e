//! The columns of `events`, and what of them is whose.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use domain::calendar::engine::{Link, Place, Row, Updates};
use domain::calendar::event::{Original, Side, When};
use domain::calendar::merge::Owner;
use domain::ids::CompanyId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::Calendar;
use crate::calendar::content::{Beside, Content};
use crate::error::{Result, StoreError};

/// A row of `events`, as `to_jsonb` prints it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Columns {
    id: Uuid,
    company_id: Uuid,
    user_id: Option<String>,
    #[serde(flatten)]
    content: Content,
    end_time_zone: Option<String>,
    all_day: bool,
    conference: Option<Value>,
    event_type: String,
    recurring_event_id: Option<String>,
    original_start: Option<String>,
    ical_uid: Option<String>,
    send_updates: Option<String>,
    connection_id: Option<Uuid>,
    google_calendar_id: Option<String>,
    google_event_id: Option<String>,
    google_updated_at: Option<DateTime<Utc>>,
    last_update_source: Option<String>,
    last_synced_at: Option<DateTime<Utc>>,
    deleted_at: Option<DateTime<Utc>>,
    created_at: Option<DateTime<Utc>>,
    updated_at: Option<DateTime<Utc>>,
    provider_etag: Option<String>,
    raw: Option<Value>,
    incarnation: i32,
    generation: i64,
    app_version: i64,
    origin: String,
    app_changed_at: Option<DateTime<Utc>>,
    series_event_id: Option<Uuid>,
    copied: Option<Value>,
    link: Option<Value>,
}

fn malformed(what: &'static str, error: &impl std::fmt::Display) -> StoreError {
    StoreError::Malformed { what, value: error.to_string() }
}

impl Columns {
    /// The engine's part.
    pub(super) fn row(&self) -> Result<Row> {
        let local = match self.deleted_at {
            Some(_) => Side::Gone,
            None => self.local()?,
        };
        let copied = self.copied.clone().map(serde_json::from_value).transpose();
        Ok(Row {
            key: self.id.to_string(),
            local,
            changed_at: self.app_changed_at.unwrap_or_default(),
            revision: u64::try_from(self.app_version).unwrap_or(0),
            origin: if self.origin == "provider" { Owner::Provider } else { Owner::App },
            place: place(
                self.series_event_id,
                self.recurring_event_id.as_deref(),
                self.original_start.as_deref(),
            )?,
            copied: copied.map_err(|error| malformed("copied occurrence", &error))?,
            updates: updates_of(self.send_updates.as_deref()),
            link: self.link_with_raw()?,
        })
    }

    /// The provider's JSON stands in its own column, once.
    fn link_with_raw(&self) -> Result<Option<Link>> {
        let mut link = read_link(self.link.clone())?;
        if let Some(base) = link.as_mut().and_then(|link| link.base.as_mut()) {
            base.raw = self.raw.clone().unwrap_or(Value::Null);
        }
        Ok(link)
    }

    /// The application's side.
    fn local(&self) -> Result<Side> {
        let beside = Beside {
            end_time_zone: self.end_time_zone.as_deref(),
            conference: self.conference.as_ref(),
            event_type: &self.event_type,
        };
        self.content.side(self.id, beside)
    }

    /// These columns with what the engine decided.
    pub(super) fn with(
        &self,
        row: &Row,
        company: CompanyId,
        calendar: &Calendar,
        source: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Self> {
        let new = self.created_at.is_none();
        let mut columns = self.clone();
        if new {
            columns.id = row.key.parse().map_err(|error| malformed("event id", &error))?;
            columns.company_id = company.uuid();
            columns.user_id.clone_from(&calendar.user_id);
            columns.created_at = Some(now);
            columns.updated_at = Some(now);
            "default".clone_into(&mut columns.event_type);
            columns.app_version = i64::try_from(row.revision).unwrap_or(i64::MAX);
            columns.app_changed_at = Some(row.changed_at);
            if row.origin == Owner::Provider { "provider" } else { "app" }.clone_into(&mut columns.origin);
        }
        columns.take(&row.local, now);
        if let Some(source) = source {
            columns.last_update_source = Some(source.to_owned());
            columns.updated_at = Some(now);
        } else if new {
            columns.last_update_source = Some(calendar.source.to_owned());
        }
        if let Some(place) = &row.place {
            columns.series_event_id = place.row.as_deref().and_then(|row| row.parse().ok());
            columns.recurring_event_id.clone_from(&place.master);
            columns.original_start = Some(original_text(place.original));
        }
        columns.copied = row
            .copied
            .as_ref()
            .map(serde_json::to_value)
            .transpose()
            .map_err(|error| malformed("copied occurrence", &error))?;
        columns.linked(row, calendar)?;
        columns.last_synced_at = if row.dirty() { columns.last_synced_at } else { Some(now) };
        columns.send_updates = if row.dirty() { columns.send_updates } else { None };
        Ok(columns)
    }

    fn linked(&mut self, row: &Row, calendar: &Calendar) -> Result<()> {
        let Some(link) = &row.link else { return Ok(()) };
        self.connection_id = Some(calendar.connection);
        self.google_calendar_id = Some(calendar.id.clone());
        self.google_event_id = Some(link.id.clone());
        self.incarnation = i32::try_from(link.incarnation).unwrap_or(i32::MAX);
        self.generation = i64::try_from(link.generation).unwrap_or(i64::MAX);
        let base = link.base.as_ref();
        self.google_updated_at = base.and_then(|base| base.updated).or(self.google_updated_at);
        self.provider_etag = base.and_then(|base| base.etag.clone());
        self.raw = base.map(|base| base.raw.clone());
        if let Some(uid) = base.and_then(|base| base.raw["iCalUID"].as_str()) {
            self.ical_uid = Some(uid.to_owned());
        }
        self.link = link_value(Some(link))?;
        Ok(())
    }

    /// The columns that people query. Those of a deleted event stay as they were.
    fn take(&mut self, side: &Side, now: DateTime<Utc>) {
        let Some(event) = side.event() else {
            self.deleted_at = self.deleted_at.or(Some(now));
            return;
        };
        self.deleted_at = None;
        self.end_time_zone = self.content.take(event);
        self.all_day = matches!(event.when, Some(When::AllDay { .. }));
        self.conference.clone_from(&event.conference);
        self.event_type = event.event_type.clone().unwrap_or_else(|| "default".to_owned());
    }
}

fn updates_of(text: Option<&str>) -> Updates {
    match text {
        Some("all") => Updates::All,
        Some("externalOnly") => Updates::ExternalOnly,
        _ => Updates::None,
    }
}

/// The place of an exception as text: an instant in UTC, or a day.
pub fn original_text(original: Original) -> String {
    match original {
        Original::At(at) => at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        Original::On(day) => day.to_string(),
    }
}

fn place(series: Option<Uuid>, master: Option<&str>, original: Option<&str>) -> Result<Option<Place>> {
    let original = original_of(original.filter(|_| series.is_some() || master.is_some()))?;
    Ok(original.map(|original| Place {
        row: series.map(|series| series.to_string()),
        master: master.map(str::to_owned),
        original,
    }))
}

/// The place of an exception from its text.
///
/// # Errors
/// [`StoreError::Malformed`] when it is neither an instant nor a day.
pub fn original_of(text: Option<&str>) -> Result<Option<Original>> {
    let Some(text) = text else { return Ok(None) };
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(Some(Original::On(day)));
    }
    let at = DateTime::parse_from_rfc3339(text)
        .map_err(|error| malformed("original start", &format!("{text:?}: {error}")))?;
    Ok(Some(Original::At(at.to_utc())))
}

fn read_link(link: Option<Value>) -> Result<Option<Link>> {
    link.filter(|link| !link.is_null())
        .map(serde_json::from_value)
        .transpose()
        .map_err(|error| malformed("link", &error))
}

/// The link without the provider's JSON.
pub(super) fn link_value(link: Option<&Link>) -> Result<Option<Value>> {
    let mut value = link.map(serde_json::to_value).transpose().map_err(|error| malformed("link", &error))?;
    if let Some(base) = value.as_mut().and_then(|link| link["base"].as_object_mut()) {
        base.insert("raw".to_owned(), Value::Null);
    }
    Ok(value)
}

/// The row of an event that was deleted for good.
pub(super) fn left_over(event: Uuid, snapshot: &Value) -> Result<Row> {
    let text = |key: &str| snapshot[key].as_str();
    Ok(Row {
        key: event.to_string(),
        local: Side::Gone,
        changed_at: text("changed_at").and_then(|at| at.parse().ok()).unwrap_or_default(),
        revision: snapshot["app_version"].as_u64().unwrap_or(0) + 1,
        origin: if text("origin") == Some("provider") { Owner::Provider } else { Owner::App },
        place: place(None, text("recurring_event_id"), text("original_start"))?,
        copied: None,
        updates: updates_of(text("send_updates")),
        link: read_link(snapshot.get("link").cloned())?,
    })
}
