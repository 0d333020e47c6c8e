//! What a window of time shows: single events, occurrences of series, and what changed among them.

use chrono::{DateTime, Duration, NaiveDate};
use serde_json::{Map, Value, json};

use super::calendar::{Calendar, Day, Event, moment, rendered};
use super::recurrence;
use super::view::{self, Page};
use crate::http::{Call, Reply};
use crate::microsoft::errors::GraphError;

const MAX_PAGE: usize = 1000;
const DEFAULT_PAGE: usize = 10;
/// Ids of events and of occurrences.
const MASTER: &str = "AAMkEV";
const OCCURRENCE: &str = "AAMkEO";

fn occurrence_id(master: &str, day: NaiveDate) -> String {
    let stem = master.strip_prefix(MASTER).and_then(|rest| rest.strip_suffix("AAA=")).unwrap_or(master);
    format!("{OCCURRENCE}{stem}{}AAA=", day.format("%Y%m%d"))
}

/// Series and day of the id of an occurrence.
pub(super) fn split(id: &str) -> Option<(String, NaiveDate)> {
    let rest = id.strip_prefix(OCCURRENCE)?.strip_suffix("AAA=")?;
    let (stem, day) = rest.split_at_checked(rest.len().checked_sub(8)?)?;
    Some((format!("{MASTER}{stem}AAA="), NaiveDate::parse_from_str(day, "%Y%m%d").ok()?))
}

/// The instant at which the series has that day.
fn starts(series: &Event, day: NaiveDate) -> i64 {
    let wall = day.and_time(series.wall.time());
    let at = wall.and_local_timezone(series.zone).earliest();
    at.map_or_else(|| wall.and_utc().timestamp_millis(), |at| at.timestamp_millis())
}

/// One day of a series, as an event of its own.
pub(super) fn occurrence(series: &Event, day: NaiveDate) -> Option<Event> {
    match series.days.get(&day) {
        Some(Day::Exception(event)) => return Some((**event).clone()),
        Some(Day::Cancelled { .. }) => return None,
        None => {}
    }
    let days = recurrence::days(&series.shown["recurrence"], series.wall.date(), day).ok()?;
    (days.last() == Some(&day)).then(|| shaped(series, day))
}

fn shaped(series: &Event, day: NaiveDate) -> Event {
    let mut event = series.clone();
    event.start_ms = starts(series, day);
    event.end_ms = event.start_ms + (series.end_ms - series.start_ms);
    event.wall = day.and_time(series.wall.time());
    event.days.clear();
    let master = series.shown["id"].as_str().unwrap_or_default();
    let at = DateTime::from_timestamp_millis(event.start_ms).unwrap_or_default();
    for (key, value) in [
        ("id", json!(occurrence_id(master, day))),
        ("type", json!("occurrence")),
        ("seriesMasterId", json!(master)),
        ("occurrenceId", json!(format!("OID.{master}.{day}"))),
        ("originalStart", json!(at.format("%Y-%m-%dT%H:%M:%SZ").to_string())),
        ("recurrence", Value::Null),
        ("start", rendered(event.start_ms)),
        ("end", rendered(event.end_ms)),
    ] {
        event.shown.insert(key.to_owned(), value);
    }
    event.shown.remove("transactionId");
    event
}

/// Occurrences and exceptions of a series that fall into a window.
fn expand(series: &Event, (from, to): (i64, i64)) -> Vec<Event> {
    let until = DateTime::from_timestamp_millis(to).unwrap_or_default().date_naive() + Duration::days(2);
    let days = recurrence::days(&series.shown["recurrence"], series.wall.date(), until).unwrap_or_default();
    let plain = days.into_iter().filter(|day| !series.days.contains_key(day)).map(|day| shaped(series, day));
    let exceptions = series.days.values().filter_map(|day| match day {
        Day::Exception(event) => Some((**event).clone()),
        Day::Cancelled { .. } => None,
    });
    plain.chain(exceptions).filter(|event| event.end_ms > from && event.start_ms < to).collect()
}

pub(super) fn size(call: &Call) -> usize {
    let top = call.query("$top").and_then(|top| top.parse().ok()).or_else(|| view::page_size(call));
    top.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE)
}

fn window(call: &Call) -> Result<(i64, i64), GraphError> {
    let (Some(from), Some(to)) = (call.query("startDateTime"), call.query("endDateTime")) else {
        let text = "This request requires a time window specified by the query string parameters StartDateTime and EndDateTime.";
        return Err(GraphError::new(400, "ErrorInvalidParameter", text));
    };
    Ok((moment(&from)?, moment(&to)?))
}

/// `GET /events/{id}/instances`.
pub(super) fn instances(series: &Event, call: &Call) -> Result<Reply, GraphError> {
    let window = window(call)?;
    if !series.recurs() {
        return Err(GraphError::new(400, "ErrorInvalidRequest", "The event is not a series."));
    }
    let found = expand(series, window).into_iter().map(|event| Value::Object(event.shown)).collect();
    Ok(super::mail_read::paged(call, "instances", found, size(call), "$skip").reply(call))
}

/// `GET /calendarView`: a series is shown by its occurrences.
pub(super) fn list(calendar: &Calendar, call: &Call) -> Result<Reply, GraphError> {
    let (from, to) = window(call)?;
    let mut found = Vec::new();
    for event in calendar.events.values().filter(|event| !event.deleted) {
        if event.recurs() {
            found.extend(expand(event, (from, to)));
        } else if event.end_ms > from && event.start_ms < to {
            found.push(event.clone());
        }
    }
    let found = found.into_iter().map(|event| Value::Object(event.shown)).collect();
    Ok(super::mail_read::paged(call, "calendarView", found, size(call), "$skip").reply(call))
}

fn removed(id: &str) -> Value {
    json!({"@odata.type": "#microsoft.graph.event", "id": id, "@removed": {"reason": "deleted"}})
}

/// An occurrence that nobody changed carries its place and nothing else (graph-docs 7632).
fn partial(event: Event) -> Value {
    let keep = ["id", "type", "seriesMasterId", "start", "end", "@odata.etag"];
    let shown: Map<String, Value> =
        event.shown.into_iter().filter(|(key, _)| keep.contains(&key.as_str())).collect();
    Value::Object(shown)
}

/// What an event and its days have to say, by the number of the change.
fn entries(id: &str, event: &Event, (from, to): (i64, i64), first: bool) -> Vec<(u64, Value)> {
    let inside = |event: &Event| event.end_ms > from && event.start_ms < to;
    let mut found = Vec::new();
    let mut say = |seq: u64, id: &str, shown: Option<Value>| match shown {
        Some(shown) => found.push((seq, shown)),
        None if !first => found.push((seq, removed(id))),
        None => {}
    };
    if event.deleted || !event.recurs() {
        let shown = (!event.deleted && inside(event)).then(|| Value::Object(event.shown.clone()));
        say(event.seq, id, shown);
        return found;
    }
    let all = expand(event, (from, to));
    say(event.seq, id, (!all.is_empty()).then(|| Value::Object(event.shown.clone())));
    for one in all.into_iter().filter(|one| one.shown["type"] == "occurrence") {
        say(event.seq, "", Some(partial(one)));
    }
    for (day, state) in &event.days {
        match state {
            Day::Exception(one) => {
                let id = one.shown["id"].as_str().unwrap_or_default();
                say(one.seq, id, inside(one).then(|| Value::Object(one.shown.clone())));
            }
            Day::Cancelled { seq } => say(*seq, &occurrence_id(id, *day), None),
        }
    }
    found
}

/// A round over the window of the first call. What changed outside of it is `@removed`, known or not
/// (graph-docs 6599). What changed at once is not divided: pages may be longer than was asked.
pub(super) fn delta(calendar: &Calendar, call: &Call) -> Result<Reply, GraphError> {
    for refused in ["$select", "$expand", "$filter", "$orderby", "$search"] {
        if call.query(refused).is_some() {
            let text = format!("The query parameter '{refused}' is not supported with change tracking.");
            return Err(GraphError::new(400, "ErrorInvalidUrlQuery", text));
        }
    }
    let asked = call.query("$deltatoken").or_else(|| call.query("$skiptoken"));
    let midway = call.query("$skiptoken").is_some();
    let numbers: Vec<i64> = if let Some(token) = &asked {
        token.split('.').filter_map(|text| i64::from_str_radix(text, 16).ok()).collect()
    } else {
        let (from, to) = window(call)?;
        vec![i64::from(calendar.epoch), from, to, 0, 0, calendar.seq as i64]
    };
    let [epoch, from, to, since, after, upto] = numbers[..] else {
        return Err(GraphError::new(400, "SyncStateInvalid", "The sync state is badly formed."));
    };
    if epoch != i64::from(calendar.epoch) {
        return Err(GraphError::new(410, "SyncStateNotFound", "The sync state generation is not found."));
    }
    // A deltaLink opens the next round where the last one ended.
    let (since, after, upto) =
        if asked.is_some() && !midway { (upto, upto, calendar.seq as i64) } else { (since, after, upto) };
    let mut changed: Vec<(u64, Value)> = calendar
        .events
        .iter()
        .flat_map(|(id, event)| entries(id, event, (from, to), since == 0))
        .filter(|(seq, _)| (*seq as i64) > after.max(since) && (*seq as i64) <= upto)
        .collect();
    changed.sort_by_key(|(seq, _)| *seq);
    let all = changed.len();
    if let Some((last, _)) = changed.get(size(call) - 1).cloned() {
        changed.retain(|(seq, _)| *seq <= last);
    }
    let more = changed.len() < all;
    let last = changed.last().map_or(upto, |(seq, _)| *seq as i64);
    let link = |name: &str, numbers: [i64; 6]| {
        let token: Vec<String> = numbers.iter().map(|number| format!("{number:x}")).collect();
        format!("{}{}?{name}={}", call.origin, call.path, token.join("."))
    };
    let page = Page {
        context: "Collection(event)".into(),
        value: changed.into_iter().map(|(_, shown)| shown).collect(),
        next: more.then(|| link("$skiptoken", [epoch, from, to, since, last, upto])),
        delta: (!more).then(|| link("$deltatoken", [epoch, from, to, since, upto, upto])),
        count: None,
    };
    Ok(page.reply(call))
}
