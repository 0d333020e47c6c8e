//! What a calendar holds: events as records, in the order of their changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use super::acl::Rule;
use super::recurrence::Series;
use super::time::When;
use crate::rng::hash_str;

/// `status` of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Confirmed,
    Tentative,
    Cancelled,
}

impl Status {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Tentative => "tentative",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One event of one calendar: a single event, a series, or an exception of a series.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) id: String,
    /// Everything that needs no interpretation.
    pub(crate) fields: Map<String, Value>,
    pub(crate) start: When,
    pub(crate) end: When,
    pub(crate) series: Option<Arc<Series>>,
    /// Of exceptions: the series.
    pub(crate) parent: Option<String>,
    /// Of exceptions: where the series has them.
    pub(crate) original: Option<When>,
    pub(crate) status: Status,
    pub(crate) uid: String,
    pub(crate) sequence: i64,
    /// Calendar id of the organizer.
    pub(crate) organizer: String,
    pub(crate) creator: String,
    /// A private copy made by import.
    pub(crate) private_copy: bool,
    pub(crate) locked: bool,
    /// Of exceptions: the series has no such occurrence any more.
    pub(crate) orphan: bool,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    pub(crate) etag: u64,
    /// Number of the last change: the place in the order of deltas.
    pub(crate) changed: u64,
    /// From when the event is found by its id.
    pub(crate) visible_from: i64,
}

impl Record {
    pub(crate) fn cancelled(&self) -> bool {
        self.status == Status::Cancelled
    }

    pub(crate) fn etag_text(&self) -> String {
        format!("\"{}\"", 3_000_000_000_000_000 + self.etag * 2)
    }

    pub(crate) fn text(&self, key: &str) -> &str {
        self.fields.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn event_type(&self) -> &str {
        match self.text("eventType") {
            "" => "default",
            kind => kind,
        }
    }

    pub(crate) fn attendees(&self) -> &[Value] {
        self.fields.get("attendees").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// True when both say the same.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.same_schedule(other)
            && self.fields == other.fields
            && self.status == other.status
            && self.sequence == other.sequence
    }

    pub(crate) fn same_schedule(&self, other: &Self) -> bool {
        self.start == other.start
            && self.end == other.end
            && self.fields.get("recurrence") == other.fields.get("recurrence")
    }

    /// The occurrence at `when` as an event of its own.
    pub(crate) fn instance(&self, when: When) -> Self {
        let mut instance = self.clone();
        instance.id = format!("{}_{}", self.id, when.suffix());
        instance.fields.remove("recurrence");
        instance.series = None;
        instance.parent = Some(self.id.clone());
        instance.original = Some(when);
        instance.start = when;
        instance.end = match (self.start, self.end, when) {
            (When::Day(from), When::Day(to), When::Day(day)) => When::Day(day + (to - from)),
            (When::At(from, _), When::At(to, zone), When::At(at, _)) => When::At(at + (to - from), zone),
            _ => when,
        };
        instance
    }

    /// The event as a caller would send it: the ground of a PATCH.
    pub(crate) fn input(&self) -> Map<String, Value> {
        let mut form = self.fields.clone();
        let zoned = |when: &When| match when {
            When::Day(_) => when.json(Tz::UTC),
            When::At(_, zone) => when.json(*zone),
        };
        form.insert("start".into(), zoned(&self.start));
        form.insert("end".into(), zoned(&self.end));
        form.insert("status".into(), json!(self.status.text()));
        form
    }
}

/// A calendar.
#[derive(Debug, Clone)]
pub(crate) struct Calendar {
    pub(crate) id: String,
    pub(crate) summary: String,
    pub(crate) description: Option<String>,
    pub(crate) location: Option<String>,
    pub(crate) zone: Tz,
    /// Account that owns the data.
    pub(crate) owner: String,
    pub(crate) etag: u64,
    pub(crate) acl: BTreeMap<String, Rule>,
    pub(crate) records: BTreeMap<String, Record>,
    /// Change number to event id.
    pub(crate) by_change: BTreeMap<u64, String>,
    /// iCalUID to the id of the event that is no exception.
    pub(crate) uids: BTreeMap<String, String>,
    /// Sync tokens of before this change number are 410.
    pub(crate) tokens_from: u64,
    /// E6: the list call for this page (from 0) is 410, once.
    pub(crate) gone_at_page: Option<u32>,
    /// False for calendars that cannot be watched.
    pub(crate) push: bool,
}

impl Calendar {
    pub(crate) fn is_primary(&self) -> bool {
        self.id == self.owner
    }

    pub(crate) fn etag_text(&self) -> String {
        format!("\"{}\"", 3_000_000_000_000_000 + self.etag * 2)
    }

    /// Exceptions of a series. `_` is in no id of a caller's making, so the prefix is enough.
    pub(crate) fn exceptions(&self, series: &str) -> impl Iterator<Item = &Record> {
        self.records.range(format!("{series}_")..format!("{series}`")).map(|(_, record)| record)
    }

    /// True for exceptions of a deleted series: they are no events of their own any more.
    pub(crate) fn series_gone(&self, record: &Record) -> bool {
        let series = record.parent.as_ref().and_then(|parent| self.records.get(parent));
        series.is_some_and(Record::cancelled)
    }

    /// Puts a record in its place; its change number says where in a delta.
    pub(crate) fn put(&mut self, record: Record) {
        if let Some(old) = self.records.get(&record.id) {
            self.by_change.remove(&old.changed);
        }
        self.by_change.insert(record.changed, record.id.clone());
        if record.parent.is_none() {
            self.uids.insert(record.uid.clone(), record.id.clone());
        }
        self.records.insert(record.id.clone(), record);
    }

    /// Takes a record out without a trace.
    pub(crate) fn forget(&mut self, id: &str) -> Option<Record> {
        let old = self.records.remove(id)?;
        self.by_change.remove(&old.changed);
        if self.uids.get(&old.uid).is_some_and(|known| known == id) {
            self.uids.remove(&old.uid);
        }
        Some(old)
    }
}

/// The documented order of lists is "unspecified, stable": this one has exceptions before their series.
pub(crate) fn list_order(id: &str) -> u64 {
    hash_str(id)
}
