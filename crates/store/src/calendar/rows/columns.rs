//! The columns of `events`, and what of them is whose.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use domain::calendar::engine::{Link, Place, Row, Updates};
use domain::calendar::event::{Event, Original, Reminders, Side, Status, When};
use domain::calendar::google;
use domain::calendar::merge::Owner;
use domain::ids::CompanyId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Calendar;
use crate::error::{Result, StoreError};

/// A row of `events`, as `to_jsonb` prints it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Columns {
    id: Uuid,
    company_id: Uuid,
    user_id: Option<String>,
    title: Option<String>,
    description: Option<String>,
    location: Option<String>,
    start_at: Option<DateTime<Utc>>,
    end_at: Option<DateTime<Utc>>,
    start_date: Option<NaiveDate>,
    end_date: Option<NaiveDate>,
    time_zone: Option<String>,
    end_time_zone: Option<String>,
    all_day: bool,
    recurrence: Option<Vec<String>>,
    attendees: Option<Value>,
    reminders: Option<Value>,
    status: Option<String>,
    visibility: Option<String>,
    transparency: Option<String>,
    color_id: Option<String>,
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

    /// The application's side, read as the provider's JSON would be: one set of rules for both.
    fn local(&self) -> Result<Side> {
        let mut raw = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                raw.insert(key.to_owned(), value);
            }
        };
        put("id", Some(json!(self.id)));
        let status = self.status.as_deref().filter(|status| *status == "tentative").unwrap_or("confirmed");
        put("status", Some(json!(status)));
        put("summary", self.title.clone().map(Value::from));
        put("description", self.description.clone().map(Value::from));
        put("location", self.location.clone().map(Value::from));
        let end_zone = self.end_time_zone.as_ref().or(self.time_zone.as_ref());
        put("start", time(self.start_date, self.start_at, self.time_zone.as_ref()));
        put("end", time(self.end_date, self.end_at, end_zone));
        put("recurrence", self.recurrence.clone().map(Value::from));
        put("attendees", self.attendees.clone());
        put("reminders", self.reminders.clone());
        put("visibility", self.visibility.clone().map(Value::from));
        put("transparency", self.transparency.clone().map(Value::from));
        put("colorId", self.color_id.clone().map(Value::from));
        put("conferenceData", self.conference.clone());
        put("eventType", Some(json!(self.event_type)));
        google::read(Value::Object(raw))
            .map(|incoming| incoming.side)
            .map_err(|error| malformed("event", &error))
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
        columns.content(&row.local, now);
        if let Some(source) = source {
            columns.last_update_source = Some(source.to_owned());
            columns.updated_at = Some(now);
        } else if new {
            columns.last_update_source = Some("google".to_owned());
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
    fn content(&mut self, side: &Side, now: DateTime<Utc>) {
        let Some(event) = side.event() else {
            self.deleted_at = self.deleted_at.or(Some(now));
            return;
        };
        self.deleted_at = None;
        self.title.clone_from(&event.title);
        self.description.clone_from(&event.description);
        self.location.clone_from(&event.location);
        self.when(event);
        self.recurrence = (!event.recurrence.is_empty()).then(|| event.recurrence.iter().cloned().collect());
        self.attendees = (!event.attendees.is_empty())
            .then(|| event.attendees.values().cloned().map(Value::Object).collect());
        self.reminders = match &event.reminders {
            Reminders::Calendar => None,
            Reminders::Own(own) => {
                let overrides: Vec<Value> = own
                    .iter()
                    .map(|(method, minutes)| json!({ "method": method, "minutes": minutes }))
                    .collect();
                Some(json!({ "useDefault": false, "overrides": overrides }))
            }
        };
        self.status = match event.status {
            Status::Tentative => Some("tentative".to_owned()),
            Status::Confirmed => self.status.clone().filter(|status| status == "confirmed"),
        };
        self.visibility.clone_from(&event.visibility);
        self.transparency = event.free.then(|| "transparent".to_owned());
        self.color_id.clone_from(&event.color);
        self.conference.clone_from(&event.conference);
        self.event_type = event.event_type.clone().unwrap_or_else(|| "default".to_owned());
    }

    fn when(&mut self, event: &Event) {
        (self.start_at, self.end_at, self.start_date, self.end_date) = (None, None, None, None);
        match &event.when {
            Some(When::Timed { start, end }) => {
                (self.start_at, self.end_at) = (Some(start.instant()), Some(end.instant()));
                let (zone, end_zone) = (start.zone().to_string(), end.zone().to_string());
                self.end_time_zone = (end_zone != zone).then_some(end_zone);
                self.time_zone = Some(zone);
                self.all_day = false;
            }
            Some(When::AllDay { start, end }) => {
                (self.start_date, self.end_date) = (Some(*start), Some(*end));
                self.all_day = true;
            }
            None => {}
        }
    }
}

fn time(day: Option<NaiveDate>, at: Option<DateTime<Utc>>, zone: Option<&String>) -> Option<Value> {
    match (day, at) {
        (Some(day), _) => Some(json!({ "date": day })),
        (None, Some(at)) => {
            let zone = zone.map_or("UTC", String::as_str);
            Some(json!({ "dateTime": at.to_rfc3339_opts(SecondsFormat::AutoSi, true), "timeZone": zone }))
        }
        (None, None) => None,
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
    let Some(original) = original.filter(|_| series.is_some() || master.is_some()) else { return Ok(None) };
    let original = match original.parse::<NaiveDate>() {
        Ok(day) => Original::On(day),
        Err(_) => Original::At(
            DateTime::parse_from_rfc3339(original)
                .map_err(|error| malformed("original start", &format!("{original:?}: {error}")))?
                .to_utc(),
        ),
    };
    Ok(Some(Place {
        row: series.map(|series| series.to_string()),
        master: master.map(str::to_owned),
        original,
    }))
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
