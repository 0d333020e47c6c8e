//! A series read as a whole. A calendar view reports occurrences in part and cancelled ones not at all (provider facts
//! A4), so that whatever it says about a series is a reason to read `exceptionOccurrences` and `cancelledOccurrences`
//! of its master (event-get, Graph v1.0).

use chrono::NaiveDate;
use serde_json::{Value, json};

use super::read::{read, text, when};
use crate::calendar::event::{Moment, Original, When};
use crate::calendar::identity::instance_id;

/// What a series says about one of its places.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// An exception, with its JSON.
    Exception(Value),
    /// It was deleted.
    Cancelled,
    /// Nothing: it is as the rule says, if the rule has it.
    Rule,
}

/// The series that an item of a page belongs to, by its master's id; `None` for a single event and a tombstone.
pub fn master_of(raw: &Value) -> Option<String> {
    match raw["type"].as_str() {
        Some("seriesMaster") => text(raw, "id"),
        _ => text(raw, "seriesMasterId"),
    }
}

/// Master, exceptions and cancelled occurrences as single items, in this order.
pub fn unfold(mut series: Value) -> Vec<Value> {
    let (Some(master), first) = (text(&series, "id"), when(&series)) else { return vec![series] };
    let mut items = Vec::new();
    let lists = series.as_object_mut();
    let (exceptions, cancelled) = lists.map_or((Value::Null, Value::Null), |lists| {
        let mut take = |key: &str| lists.remove(key).unwrap_or_default();
        (take("exceptionOccurrences"), take("cancelledOccurrences"))
    });
    items.push(series);
    if let Value::Array(exceptions) = exceptions {
        items.extend(exceptions);
    }
    for id in cancelled.as_array().into_iter().flatten().filter_map(Value::as_str) {
        let Some(original) = first.as_ref().and_then(|first| place(id, first)) else { continue };
        items.push(tombstone(&master, original));
    }
    items
}

/// What the series says about a place.
pub fn occurrence(series: &Value, original: Original) -> Seen {
    let exceptions = series["exceptionOccurrences"].as_array().into_iter().flatten();
    let at = |raw: &&Value| {
        read((*raw).clone()).is_ok_and(|one| one.series.is_some_and(|place| place.original == original))
    };
    if let Some(found) = exceptions.clone().find(at) {
        return Seen::Exception(found.clone());
    }
    let first = when(series);
    let cancelled = series["cancelledOccurrences"].as_array().into_iter().flatten();
    let gone = cancelled
        .filter_map(Value::as_str)
        .any(|id| first.as_ref().is_some_and(|first| place(id, first) == Some(original)));
    if gone { Seen::Cancelled } else { Seen::Rule }
}

/// The place that an `occurrenceId`, `OID.{seriesMasterId}.{date}`, names (event resource, Graph v1.0).
fn place(id: &str, first: &When) -> Option<Original> {
    let day: NaiveDate = id.rsplit_once('.')?.1.parse().ok()?;
    Some(match first {
        When::AllDay { .. } => Original::On(day),
        When::Timed { start, .. } => {
            Original::At(Moment::new(day.and_time(start.wall().time()), start.zone()).instant())
        }
    })
}

fn tombstone(master: &str, original: Original) -> Value {
    let (at, all_day) = match original {
        Original::At(at) => (at.to_rfc3339(), false),
        Original::On(day) => (format!("{day}T00:00:00Z"), true),
    };
    json!({
        "id": instance_id(master, original), "type": "exception", "seriesMasterId": master, "originalStart": at,
        "isAllDay": all_day, "@removed": { "reason": "deleted" },
    })
}
