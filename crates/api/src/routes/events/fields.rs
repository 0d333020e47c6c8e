//! What a request says about an event: each field is left alone, cleared, or given.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use store::calendar::app_events::Content;
use utoipa::ToSchema;
use uuid::Uuid;

use super::SendUpdates;

/// A field that may be absent, null or a value.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Given<T> {
    /// Not said: stays as it is.
    #[default]
    Absent,
    /// Null: cleared.
    Cleared,
    /// The new value.
    Value(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Given::Cleared, Given::Value))
    }
}

impl<T> Given<T> {
    fn is_value(&self) -> bool {
        matches!(self, Given::Value(_))
    }

    /// Writes what was said.
    fn apply(self, to: &mut Option<T>) {
        match self {
            Given::Absent => {}
            Given::Cleared => *to = None,
            Given::Value(value) => *to = Some(value),
        }
    }
}

/// Fields of an event. Either `start_at` and `end_at`, or `start_date` and `end_date` (exclusive).
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventFields {
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    title: Given<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Given<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    location: Given<String>,
    /// With an offset.
    #[serde(default)]
    #[schema(value_type = Option<DateTime<Utc>>)]
    start_at: Given<DateTime<Utc>>,
    #[serde(default)]
    #[schema(value_type = Option<DateTime<Utc>>)]
    end_at: Given<DateTime<Utc>>,
    #[serde(default)]
    #[schema(value_type = Option<NaiveDate>)]
    start_date: Given<NaiveDate>,
    #[serde(default)]
    #[schema(value_type = Option<NaiveDate>)]
    end_date: Given<NaiveDate>,
    /// Name of the tz database, such as Europe/Paris.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    time_zone: Given<String>,
    /// RRULE, EXRULE, RDATE and EXDATE lines.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    recurrence: Given<Vec<String>>,
    /// All guests as whole objects with `email`; an answer that is left out stays as it is.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Object>>)]
    attendees: Given<Vec<Map<String, Value>>>,
    /// `{"useDefault": true}`, or `{"useDefault": false, "overrides": [{"method": "popup", "minutes": 10}]}`.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    reminders: Given<Map<String, Value>>,
    /// `confirmed` or `tentative`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    status: Given<String>,
    /// `default`, `public`, `private` or `confidential`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    visibility: Given<String>,
    /// `opaque` or `transparent`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    transparency: Given<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    color_id: Given<String>,
    /// The calendar of a new event; absent: the caller's first one, else the organization's.
    pub connection_id: Option<Uuid>,
    /// Whom the provider mails about it: `all`, `externalOnly` or `none`; absent: nobody.
    #[serde(rename = "sendUpdates", alias = "send_updates")]
    pub send_updates: Option<SendUpdates>,
}

impl EventFields {
    /// Writes what was said into the content. Times in place of days take the days away, and the other way round.
    pub fn apply(self, to: &mut Content) {
        let days = self.start_date.is_value() || self.end_date.is_value();
        let times = self.start_at.is_value() || self.end_at.is_value();
        if days && !times {
            (to.start_at, to.end_at) = (None, None);
        }
        if times && !days {
            (to.start_date, to.end_date) = (None, None);
        }
        self.title.apply(&mut to.title);
        self.description.apply(&mut to.description);
        self.location.apply(&mut to.location);
        self.start_at.apply(&mut to.start_at);
        self.end_at.apply(&mut to.end_at);
        self.start_date.apply(&mut to.start_date);
        self.end_date.apply(&mut to.end_date);
        self.time_zone.apply(&mut to.time_zone);
        self.recurrence.apply(&mut to.recurrence);
        json(self.attendees, |list| list.into_iter().map(Value::Object).collect()).apply(&mut to.attendees);
        json(self.reminders, Value::Object).apply(&mut to.reminders);
        self.status.apply(&mut to.status);
        self.visibility.apply(&mut to.visibility);
        self.transparency.apply(&mut to.transparency);
        self.color_id.apply(&mut to.color_id);
        if to.recurrence.as_ref().is_some_and(Vec::is_empty) {
            to.recurrence = None;
        }
        // An instant without a zone is one of UTC.
        if to.start_at.is_some() && to.time_zone.is_none() {
            to.time_zone = Some("UTC".to_owned());
        }
    }
}

fn json<T>(given: Given<T>, to: impl FnOnce(T) -> Value) -> Given<Value> {
    match given {
        Given::Absent => Given::Absent,
        Given::Cleared => Given::Cleared,
        Given::Value(value) => Given::Value(to(value)),
    }
}
