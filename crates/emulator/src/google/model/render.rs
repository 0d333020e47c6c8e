//! Events as the API answers them.

use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use super::acl::Role;
use super::record::{Calendar, Record};
use super::switches::Tombstones;
use super::time::stamp;

/// How an answer looks at events.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    pub(crate) zone: Tz,
    pub(crate) max_attendees: Option<usize>,
    pub(crate) role: Role,
}

/// The guaranteed fields of a deleted event (A2).
pub(crate) fn tombstone(record: &Record, zone: Tz) -> Value {
    let mut body = json!({
        "kind": "calendar#event",
        "etag": record.etag_text(),
        "id": record.id,
        "status": "cancelled",
    });
    if let (Some(parent), Some(original)) = (&record.parent, record.original) {
        body["recurringEventId"] = json!(parent);
        body["originalStartTime"] = original.json(zone);
    }
    body
}

/// A row of a list: deleted events as the switch says, exceptions always bare.
pub(crate) fn row(calendar: &Calendar, record: &Record, view: &View, tombstones: Tombstones) -> Value {
    let gone = calendar.series_gone(record);
    if gone || (record.cancelled() && (tombstones == Tombstones::Bare || record.parent.is_some())) {
        return tombstone(record, view.zone);
    }
    event(calendar, record, view)
}

/// The whole event.
pub(crate) fn event(calendar: &Calendar, record: &Record, view: &View) -> Value {
    let mut body = Map::new();
    let mut set = |key: &str, value: Value| {
        body.insert(key.to_owned(), value);
    };
    set("kind", json!("calendar#event"));
    set("etag", json!(record.etag_text()));
    set("id", json!(record.id));
    set("status", json!(record.status.text()));
    set("created", json!(stamp(record.created - record.created.rem_euclid(1000))));
    set("updated", json!(stamp(record.updated)));
    let hidden = view.role == Role::FreeBusyReader
        || (view.role == Role::Reader && matches!(record.text("visibility"), "private" | "confidential"));
    if hidden {
        set("visibility", json!("private"));
    } else {
        details(calendar, record, view, &mut set);
    }
    set("start", record.start.json(view.zone));
    set("end", record.end.json(view.zone));
    if let (Some(parent), Some(original)) = (&record.parent, record.original) {
        set("recurringEventId", json!(parent));
        set("originalStartTime", original.json(view.zone));
    }
    set("iCalUID", json!(record.uid));
    set("sequence", json!(record.sequence));
    Value::Object(body)
}

fn details(calendar: &Calendar, record: &Record, view: &View, set: &mut impl FnMut(&str, Value)) {
    for (key, value) in &record.fields {
        if key != "attendees" {
            set(key, value.clone());
        }
    }
    let video = &record.fields.get("conferenceData").unwrap_or(&Value::Null)["entryPoints"][0];
    if video["entryPointType"] == "video" {
        set("hangoutLink", video["uri"].clone());
    }
    set("htmlLink", json!(format!("https://www.google.com/calendar/event?eid={}", record.id)));
    let mut creator = json!({"email": record.creator});
    if record.creator == calendar.id {
        creator["self"] = json!(true);
    }
    set("creator", creator);
    let mut organizer = json!({"email": record.organizer});
    if record.organizer == calendar.id {
        if !calendar.is_primary() {
            organizer["displayName"] = json!(calendar.summary);
        }
        organizer["self"] = json!(true);
    }
    set("organizer", organizer);
    if record.private_copy {
        set("privateCopy", json!(true));
    }
    if record.locked {
        set("locked", json!(true));
    }
    attendees(calendar, record, view, set);
}

fn attendees(calendar: &Calendar, record: &Record, view: &View, set: &mut impl FnMut(&str, Value)) {
    let all = record.attendees();
    if all.is_empty() {
        return;
    }
    let omitted = view.max_attendees.is_some_and(|most| most < all.len());
    let shown: Vec<Value> = all
        .iter()
        // Too many guests: the own row only. A secondary calendar has no row of its own.
        .filter(|one| !omitted || one["email"] == json!(calendar.id))
        .map(|one| {
            let mut row = one.clone();
            if row["email"] == json!(record.organizer) {
                row["organizer"] = json!(true);
            }
            if row["email"] == json!(calendar.id) {
                row["self"] = json!(true);
            }
            row
        })
        .collect();
    set("attendees", Value::Array(shown));
    if omitted {
        set("attendeesOmitted", json!(true));
    }
}
