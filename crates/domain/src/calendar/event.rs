//! The canonical event: what application and provider have to agree on.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::text::plain;

mod moment;

pub use moment::{Moment, UnknownZone, Zone};

/// When an event takes place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum When {
    /// From one wall clock time to another; the end is exclusive.
    Timed {
        /// The first moment.
        start: Moment,
        /// The first moment after it.
        end: Moment,
    },
    /// Whole days, without any time zone; the end is exclusive.
    AllDay {
        /// The first day.
        start: NaiveDate,
        /// The first day after it.
        end: NaiveDate,
    },
}

impl When {
    /// The start, as it identifies an occurrence of a series.
    pub fn original(&self) -> Original {
        match self {
            Self::Timed { start, .. } => Original::At(start.instant()),
            Self::AllDay { start, .. } => Original::On(*start),
        }
    }

    /// Equality modulo what the provider renders differently: a zone given only as an offset is
    /// answered with the name of the calendar's zone.
    pub fn equivalent(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Timed { start: a, end: b }, Self::Timed { start: c, end: d }) => {
                a.equivalent(c) && b.equivalent(d)
            }
            (a, b) => a == b,
        }
    }
}

/// The immutable start that identifies one occurrence of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Original {
    /// An occurrence with a time, by its instant.
    At(chrono::DateTime<chrono::Utc>),
    /// An all-day occurrence, by its day.
    On(NaiveDate),
}

/// The place of an exception in its series.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Occurrence {
    /// The provider's id of the series.
    pub master: String,
    /// Where the series put the occurrence.
    pub original: Original,
}

/// Whether an event is certain. A cancelled event has no [`Event`]: see [`Side::Gone`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It takes place.
    #[default]
    Confirmed,
    /// It may take place.
    Tentative,
}

/// What reminds the calendar's owner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reminders {
    /// Whatever the calendar reminds with by default.
    #[default]
    Calendar,
    /// These (method, minutes before the start), none when empty.
    Own(BTreeSet<(String, i64)>),
}

/// One event in canonical form. Absent and empty text are the same and are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Event {
    /// The title.
    pub title: Option<String>,
    /// The description; may be HTML, which the provider sanitises.
    pub description: Option<String>,
    /// The place, free text.
    pub location: Option<String>,
    /// When; `None` only where the provider sent a shape without a start.
    pub when: Option<When>,
    /// Confirmed or tentative.
    pub status: Status,
    /// The provider's word; `None` is its default.
    pub visibility: Option<String>,
    /// Whether the event leaves its time free.
    pub free: bool,
    /// RRULE, EXRULE, RDATE and EXDATE lines, normalised; empty for a single event.
    pub recurrence: BTreeSet<String>,
    /// Whole attendee objects (with fields that we do not model) by lower-case address.
    pub attendees: BTreeMap<String, Map<String, Value>>,
    /// Reminders.
    pub reminders: Reminders,
    /// Conference data as the provider has it.
    pub conference: Option<Value>,
    /// The provider's colour id.
    pub color: Option<String>,
    /// The provider's event type; `None` is an ordinary event.
    pub event_type: Option<String>,
}

/// The fields that are merged one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// [`Event::title`]
    Title,
    /// [`Event::description`]
    Description,
    /// [`Event::location`]
    Location,
    /// [`Event::when`]
    When,
    /// [`Event::status`]
    Status,
    /// [`Event::visibility`]
    Visibility,
    /// [`Event::free`]
    Free,
    /// [`Event::recurrence`], line by line
    Recurrence,
    /// [`Event::attendees`], address by address
    Attendees,
    /// [`Event::reminders`]
    Reminders,
    /// [`Event::conference`]
    Conference,
    /// [`Event::color`]
    Color,
    /// Whether the event exists at all.
    Existence,
}

impl Field {
    /// All fields of an event; [`Field::Existence`] is not one of them.
    pub const OF_EVENT: [Self; 12] = [
        Self::Title,
        Self::Description,
        Self::Location,
        Self::When,
        Self::Status,
        Self::Visibility,
        Self::Free,
        Self::Recurrence,
        Self::Attendees,
        Self::Reminders,
        Self::Conference,
        Self::Color,
    ];

    /// The stable name, as stored in `sync_conflicts` and shown by the REST interface.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::Description => "description",
            Self::Location => "location",
            Self::When => "when",
            Self::Status => "status",
            Self::Visibility => "visibility",
            Self::Free => "free",
            Self::Recurrence => "recurrence",
            Self::Attendees => "attendees",
            Self::Reminders => "reminders",
            Self::Conference => "conference",
            Self::Color => "color",
            Self::Existence => "existence",
        }
    }
}

impl Event {
    /// An ordinary event with a title and a time.
    pub fn new(title: impl Into<String>, when: When) -> Self {
        Self { title: Some(title.into()), when: Some(when), ..Self::default() }
    }

    /// Whether this is the master of a series.
    pub fn recurs(&self) -> bool {
        !self.recurrence.is_empty()
    }

    /// Whether `field` is the same in both, exactly.
    pub fn same(&self, other: &Self, field: Field) -> bool {
        match field {
            Field::Title => self.title == other.title,
            Field::Description => self.description == other.description,
            Field::Location => self.location == other.location,
            Field::When => self.when == other.when,
            Field::Status => self.status == other.status,
            Field::Visibility => self.visibility == other.visibility,
            Field::Free => self.free == other.free,
            Field::Recurrence => self.recurrence == other.recurrence,
            Field::Attendees => self.attendees == other.attendees,
            Field::Reminders => self.reminders == other.reminders,
            Field::Conference => self.conference == other.conference,
            Field::Color => self.color == other.color,
            Field::Existence => true,
        }
    }

    /// Whether `field` of `stored` is what the provider may make of `self` when it stores it.
    pub fn stored_as(&self, stored: &Self, field: Field) -> bool {
        let text = |a: &Option<String>, b: &Option<String>| {
            a == b || plain(a.as_deref().unwrap_or_default()) == plain(b.as_deref().unwrap_or_default())
        };
        match field {
            Field::Title => text(&self.title, &stored.title),
            Field::Description => text(&self.description, &stored.description),
            Field::Location => text(&self.location, &stored.location),
            Field::When => match (&self.when, &stored.when) {
                (Some(a), Some(b)) => a.equivalent(b),
                (a, b) => a == b,
            },
            Field::Attendees => self.attendees_stored_as(stored),
            // Links and entry points are made by the provider after the request.
            Field::Conference => {
                let asked = self.conference.as_ref().is_some_and(|data| !data["createRequest"].is_null());
                self.conference == stored.conference || (asked && stored.conference.is_some())
            }
            field => self.same(stored, field),
        }
    }

    /// Every attendee is there with what we gave; the provider adds names, `self` and an answer.
    fn attendees_stored_as(&self, stored: &Self) -> bool {
        self.attendees.len() == stored.attendees.len()
            && self.attendees.iter().all(|(address, ours)| {
                stored.attendees.get(address).is_some_and(|theirs| completed(ours, theirs))
            })
    }

    /// Equality of all fields modulo what the provider normalises.
    pub fn equivalent(&self, other: &Self) -> bool {
        Field::OF_EVENT.into_iter().all(|field| self.stored_as(other, field))
    }

    /// The fields that differ.
    pub fn differing(&self, other: &Self) -> impl Iterator<Item = Field> {
        Field::OF_EVENT.into_iter().filter(|field| !self.same(other, *field))
    }

    /// Lower-case hexadecimal SHA-256 of the canonical form: equal exactly where the events are.
    pub fn hash(&self) -> String {
        let canonical = serde_json::to_vec(self).unwrap_or_default();
        hex::encode(Sha256::digest(canonical))
    }
}

/// Whether the provider made `stored` of an attendee that was given as `given`: nothing is missing, and
/// only what the provider itself adds is new.
pub(super) fn completed(given: &Map<String, Value>, stored: &Map<String, Value>) -> bool {
    let added = |key: &str, value: &Value| match key {
        "displayName" | "self" | "organizer" | "id" | "resource" => true,
        "responseStatus" => value == "needsAction",
        _ => false,
    };
    given.iter().all(|(key, value)| key == "email" || stored.get(key) == Some(value))
        && stored.iter().all(|(key, value)| given.contains_key(key) || added(key, value))
}

/// One side's state of an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The event exists.
    Live(Box<Event>),
    /// It was deleted; for an exception of a series: this occurrence is cancelled.
    Gone,
}

impl Side {
    /// A live side.
    pub fn live(event: Event) -> Self {
        Self::Live(Box::new(event))
    }

    /// The event, where there is one.
    pub fn event(&self) -> Option<&Event> {
        match self {
            Self::Live(event) => Some(event),
            Self::Gone => None,
        }
    }

    /// Whether `stored` is what the provider may make of this.
    pub fn stored_as(&self, stored: &Self) -> bool {
        match (self.event(), stored.event()) {
            (Some(a), Some(b)) => a.equivalent(b),
            (a, b) => a.is_none() && b.is_none(),
        }
    }
}
