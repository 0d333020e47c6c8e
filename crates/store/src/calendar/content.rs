//! An event's content between the columns of `events` and its canonical form: one set of rules for the engine and
//! for the application, and for both directions.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use domain::calendar::event::{Event, Reminders, Side, Status, When};
use domain::calendar::google;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::error::{Result, StoreError};

/// What the application may write.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// The title.
    pub title: Option<String>,
    /// The description; may be HTML.
    pub description: Option<String>,
    /// The place, free text.
    pub location: Option<String>,
    /// First moment, of an event with a time.
    pub start_at: Option<DateTime<Utc>>,
    /// First moment after it.
    pub end_at: Option<DateTime<Utc>>,
    /// First day, of an event of whole days.
    pub start_date: Option<NaiveDate>,
    /// First day after it.
    pub end_date: Option<NaiveDate>,
    /// Name of the tz database.
    pub time_zone: Option<String>,
    /// RRULE, EXRULE, RDATE, EXDATE lines of a series.
    pub recurrence: Option<Vec<String>>,
    /// Whole attendee objects.
    pub attendees: Option<Value>,
    /// `{useDefault, overrides[{method, minutes}]}`.
    pub reminders: Option<Value>,
    /// `confirmed`, `tentative`.
    pub status: Option<String>,
    /// `default`, `public`, `private`, `confidential`.
    pub visibility: Option<String>,
    /// `opaque`, `transparent`.
    pub transparency: Option<String>,
    /// The provider's colour id.
    pub color_id: Option<String>,
}

/// What stands beside the content and belongs to the event all the same.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Beside<'a> {
    pub(super) end_time_zone: Option<&'a str>,
    pub(super) conference: Option<&'a Value>,
    pub(super) event_type: &'a str,
}

fn time(day: Option<NaiveDate>, at: Option<DateTime<Utc>>, zone: Option<&str>) -> Option<Value> {
    match (day, at) {
        (Some(day), _) => Some(json!({ "date": day })),
        (None, Some(at)) => Some(json!({
            "dateTime": at.to_rfc3339_opts(SecondsFormat::AutoSi, true), "timeZone": zone.unwrap_or("UTC"),
        })),
        (None, None) => None,
    }
}

impl Content {
    /// The content in canonical form, read as the provider's JSON would be.
    pub(super) fn side(&self, id: Uuid, beside: Beside<'_>) -> Result<Side> {
        let mut raw = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                raw.insert(key.to_owned(), value);
            }
        };
        let text = |value: &Option<String>| value.clone().map(Value::from);
        put("id", Some(json!(id)));
        let status = self.status.as_deref().filter(|status| *status == "tentative").unwrap_or("confirmed");
        put("status", Some(json!(status)));
        put("summary", text(&self.title));
        put("description", text(&self.description));
        put("location", text(&self.location));
        let zone = self.time_zone.as_deref();
        put("start", time(self.start_date, self.start_at, zone));
        put("end", time(self.end_date, self.end_at, beside.end_time_zone.or(zone)));
        put("recurrence", self.recurrence.clone().map(Value::from));
        put("attendees", self.attendees.clone());
        put("reminders", self.reminders.clone());
        put("visibility", text(&self.visibility));
        put("transparency", text(&self.transparency));
        put("colorId", text(&self.color_id));
        put("conferenceData", beside.conference.cloned());
        put("eventType", Some(json!(beside.event_type)));
        google::read(Value::Object(raw))
            .map(|incoming| incoming.side)
            .map_err(|error| StoreError::Malformed { what: "event", value: error.to_string() })
    }

    /// Takes an event's content, and says in which zone it ends where that is another.
    ///
    /// What the event does not tell apart stays as it was: a `confirmed` that somebody wrote, the zone of whole days.
    pub fn take(&mut self, event: &Event) -> Option<String> {
        self.title.clone_from(&event.title);
        self.description.clone_from(&event.description);
        self.location.clone_from(&event.location);
        let end_zone = self.when(event);
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
            Status::Confirmed => self.status.take().filter(|status| status == "confirmed"),
        };
        self.visibility.clone_from(&event.visibility);
        self.transparency = event.free.then(|| "transparent".to_owned());
        self.color_id.clone_from(&event.color);
        end_zone
    }

    fn when(&mut self, event: &Event) -> Option<String> {
        (self.start_at, self.end_at, self.start_date, self.end_date) = (None, None, None, None);
        match &event.when {
            Some(When::Timed { start, end }) => {
                (self.start_at, self.end_at) = (Some(start.instant()), Some(end.instant()));
                let (zone, end_zone) = (start.zone().to_string(), end.zone().to_string());
                let other = (end_zone != zone).then_some(end_zone);
                self.time_zone = Some(zone);
                other
            }
            Some(When::AllDay { start, end }) => {
                (self.start_date, self.end_date) = (Some(*start), Some(*end));
                None
            }
            None => None,
        }
    }
}
