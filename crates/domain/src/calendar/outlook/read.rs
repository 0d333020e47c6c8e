//! Outlook's event JSON, of any shape that Graph sends, to the canonical event.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDateTime, NaiveTime, Utc};
use serde_json::{Map, Value, json};

use super::{body, pattern, zones};
use crate::calendar::event::{Event, Moment, Occurrence, Original, Reminders, Side, Status, When, Zone};
use crate::calendar::google::{Incoming, Unreadable};
use crate::calendar::identity::instance_id;

/// Reads one event. Every shape that has an id is read: tombstones, bare occurrences, cancelled meetings.
///
/// # Errors
/// The item has no id.
pub fn read(raw: Value) -> Result<Incoming, Unreadable> {
    let Some(own) = text(&raw, "id") else { return Err(Unreadable(raw)) };
    let series = series(&raw);
    // A meeting that its organizer cancelled stays in the guest's calendar, marked, until the guest removes it.
    let gone = !raw["@removed"].is_null() || raw["isCancelled"] == true;
    Ok(Incoming {
        id: series.as_ref().map_or(own, |place| instance_id(&place.master, place.original)),
        minted: text(&raw, "transactionId").filter(|_| series.is_none()),
        etag: etag(&raw),
        updated: raw["lastModifiedDateTime"].as_str().and_then(|text| text.parse().ok()),
        // Guests' copies and occurrences share it with the original: it says nothing about the row.
        ical_uid: None,
        series,
        stamp: None,
        side: if gone { Side::Gone } else { Side::live(event(&raw)) },
        raw,
    })
}

pub(super) fn text(raw: &Value, key: &str) -> Option<String> {
    raw[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn etag(raw: &Value) -> Option<String> {
    text(raw, "@odata.etag").or_else(|| Some(format!("W/\"{}\"", text(raw, "changeKey")?)))
}

fn series(raw: &Value) -> Option<Occurrence> {
    let master = text(raw, "seriesMasterId")?;
    let original = match raw["originalStart"].as_str().and_then(|text| text.parse::<DateTime<Utc>>().ok()) {
        Some(at) if raw["isAllDay"] == true => Original::On(at.date_naive()),
        Some(at) => Original::At(at),
        None => when(raw)?.original(),
    };
    Some(Occurrence { master, original })
}

/// The wall clock of a `dateTimeTimeZone` and the zone that it stands in.
fn wall(raw: &Value) -> Option<(NaiveDateTime, Zone)> {
    let text = raw["dateTime"].as_str()?;
    let zone = raw["timeZone"].as_str().and_then(zones::zone).unwrap_or(chrono_tz::UTC);
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some((at.naive_utc(), Zone::Named(chrono_tz::UTC)));
    }
    Some((NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok()?, Zone::Named(zone)))
}

/// The time in the zone in which it was made, which Graph tells beside a rendering in another one.
fn moment(raw: &Value, end: &str, original: &str) -> Option<Moment> {
    let (wall, zone) = wall(&raw[end])?;
    let own = raw[original].as_str().and_then(zones::zone).map_or(zone, Zone::Named);
    Some(if own == zone { Moment::new(wall, zone) } else { Moment::at(zone.instant(wall, false), own) })
}

/// All-day events begin and end at midnight, in whatever zone they are rendered.
pub(super) fn when(raw: &Value) -> Option<When> {
    let start = moment(raw, "start", "originalStartTimeZone")?;
    let end = moment(raw, "end", "originalEndTimeZone").unwrap_or(start);
    if raw["isAllDay"] != true {
        return Some(When::Timed { start, end });
    }
    let day = |key: &str, moment: Moment| {
        let (wall, _) = wall(&raw[key]).unwrap_or((moment.wall(), moment.zone()));
        if wall.time() == NaiveTime::MIN { wall.date() } else { moment.wall().date() }
    };
    let (first, last) = (day("start", start), day("end", end));
    Some(When::AllDay { start: first, end: last.max(first.succ_opt().unwrap_or(first)) })
}

fn event(raw: &Value) -> Event {
    let when = when(raw);
    let rule = when.as_ref().and_then(|when| pattern::line(&raw["recurrence"], when));
    Event {
        title: text(raw, "subject"),
        description: body::description(&raw["body"]),
        location: text(&raw["location"], "displayName"),
        status: if raw["showAs"] == "tentative" { Status::Tentative } else { Status::Confirmed },
        visibility: match raw["sensitivity"].as_str() {
            Some("private" | "personal") => Some("private".to_owned()),
            Some("confidential") => Some("confidential".to_owned()),
            _ => None,
        },
        free: raw["showAs"] == "free",
        recurrence: rule.into_iter().collect(),
        attendees: attendees(raw),
        reminders: reminders(raw),
        conference: conference(raw),
        color: None,
        event_type: None,
        when,
    }
}

fn attendees(raw: &Value) -> BTreeMap<String, Map<String, Value>> {
    let list = raw["attendees"].as_array().into_iter().flatten();
    list.filter_map(|guest| {
        let address = text(&guest["emailAddress"], "address")?;
        let mut own = Map::new();
        own.insert("email".to_owned(), json!(address));
        if let Some(name) = text(&guest["emailAddress"], "name").filter(|name| *name != address) {
            own.insert("displayName".to_owned(), json!(name));
        }
        match guest["type"].as_str() {
            Some("optional") => own.insert("optional".to_owned(), json!(true)),
            Some("resource") => own.insert("resource".to_owned(), json!(true)),
            _ => None,
        };
        let answer = match guest["status"]["response"].as_str() {
            Some("accepted" | "organizer") => "accepted",
            Some("tentativelyAccepted") => "tentative",
            Some("declined") => "declined",
            _ => "needsAction",
        };
        own.insert("responseStatus".to_owned(), json!(answer));
        Some((address.trim().to_lowercase(), own))
    })
    .collect()
}

fn reminders(raw: &Value) -> Reminders {
    let minutes = raw["reminderMinutesBeforeStart"].as_i64().unwrap_or(15);
    match raw["isReminderOn"].as_bool() {
        Some(true) => Reminders::Own(BTreeSet::from([("popup".to_owned(), minutes)])),
        Some(false) => Reminders::Own(BTreeSet::new()),
        None => Reminders::Calendar,
    }
}

fn conference(raw: &Value) -> Option<Value> {
    let link = text(&raw["onlineMeeting"], "joinUrl").or_else(|| text(raw, "onlineMeetingUrl"))?;
    let name = text(raw, "onlineMeetingProvider").unwrap_or_else(|| "unknown".to_owned());
    Some(json!({
        "conferenceSolution": { "name": name },
        "entryPoints": [{ "entryPointType": "video", "uri": link }],
    }))
}
