//! Which records a list shows.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::Value;

use super::error::ApiError;
use super::params::ListParams;
use super::record::{Calendar, Record};
use super::switches::{Orphans, PropertySearch, Switches};
use super::time::{When, bound};

/// How far back `updatedMin` may lie.
const LONGEST_MEMORY: TimeDelta = TimeDelta::days(30);

/// The checked conditions of a list.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent conditions of one question")]
pub(crate) struct Conditions {
    pub(crate) from: Option<DateTime<Utc>>,
    pub(crate) to: Option<DateTime<Utc>>,
    updated_min: Option<i64>,
    show_deleted: bool,
    single_events: bool,
    any_property: bool,
    /// E19: exceptions of deleted series are reported.
    gone_exceptions: bool,
}

impl Conditions {
    pub(crate) fn new(
        params: &ListParams,
        delta: bool,
        now: DateTime<Utc>,
        switches: &Switches,
    ) -> Result<Self, ApiError> {
        let parse = |name, text: &Option<String>| text.as_deref().map(|text| bound(name, text)).transpose();
        let from = parse("timeMin", &params.time_min)?;
        let to = parse("timeMax", &params.time_max)?;
        if let (Some(from), Some(to)) = (from, to)
            && to <= from
        {
            return Err(ApiError::range_empty());
        }
        let updated_min = parse("updatedMin", &params.updated_min)?;
        if updated_min.is_some_and(|at| at < now - LONGEST_MEMORY) {
            return Err(ApiError::updated_min());
        }
        Ok(Self {
            from,
            to,
            updated_min: updated_min.map(|at| at.timestamp_millis()),
            show_deleted: delta || params.show_deleted == Some(true) || updated_min.is_some(),
            single_events: params.single_events,
            any_property: switches.property_search == PropertySearch::Or,
            gone_exceptions: switches.deleted_series == Orphans::Tombstone,
        })
    }

    /// E10: cancelled exceptions of a live series are shown even when deleted events are not.
    pub(crate) fn shows_status(&self, calendar: &Calendar, record: &Record) -> bool {
        if calendar.series_gone(record) {
            return self.show_deleted && self.gone_exceptions;
        }
        if !record.cancelled() || self.show_deleted {
            return true;
        }
        !self.single_events && record.parent.is_some() && !record.orphan
    }

    pub(crate) fn shows_deleted(&self) -> bool {
        self.show_deleted
    }

    /// True when the event, or an occurrence of the series, lies in the window.
    pub(crate) fn in_window(&self, record: &Record, zone: Tz) -> bool {
        if self.from.is_none() && self.to.is_none() {
            return true;
        }
        match &record.series {
            None => self.overlaps(record.start, record.end, zone),
            Some(series) => {
                let end = self.to.unwrap_or(DateTime::<Utc>::MAX_UTC);
                let touches = |when| {
                    let one = record.instance(when);
                    self.overlaps(one.start, one.end, zone)
                };
                series.until(&record.start, end, zone).any(touches)
            }
        }
    }

    pub(crate) fn overlaps(&self, start: When, end: When, zone: Tz) -> bool {
        self.from.is_none_or(|from| end.instant(zone) > from)
            && self.to.is_none_or(|to| start.instant(zone) < to)
    }

    /// Everything but status and window.
    pub(crate) fn matches(&self, record: &Record, params: &ListParams) -> bool {
        self.updated_min.is_none_or(|least| record.updated >= least)
            && params.ical_uid.as_ref().is_none_or(|uid| *uid == record.uid)
            && (params.event_types.is_empty()
                || params.event_types.iter().any(|kind| kind == record.event_type()))
            && params.q.as_ref().is_none_or(|words| contains(record, words))
            && self.has_properties(record, "private", &params.private_properties)
            && self.has_properties(record, "shared", &params.shared_properties)
    }

    fn has_properties(&self, record: &Record, kind: &str, wanted: &[String]) -> bool {
        let values = record.fields.get("extendedProperties").map_or(&Value::Null, |all| &all[kind]);
        let mut hits = wanted.iter().map(|constraint| {
            constraint.split_once('=').is_some_and(|(name, value)| values[name].as_str() == Some(value))
        });
        wanted.is_empty() || if self.any_property { hits.any(|hit| hit) } else { hits.all(|hit| hit) }
    }
}

fn contains(record: &Record, words: &str) -> bool {
    let people = record.attendees().iter().flat_map(|one| [&one["email"], &one["displayName"]]);
    let texts: Vec<String> = ["summary", "description", "location"]
        .into_iter()
        .map(|key| record.text(key).to_lowercase())
        .chain(people.filter_map(Value::as_str).map(str::to_lowercase))
        .collect();
    words.to_lowercase().split_whitespace().all(|word| texts.iter().any(|text| text.contains(word)))
}
