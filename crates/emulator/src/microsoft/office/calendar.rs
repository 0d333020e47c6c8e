//! Outlook events: single ones, with `transactionId`, and delta over a window of time.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDateTime};
use http::Method;
use serde_json::{Map, Value, json};

use super::message::seconds;
use super::model::{Office, Topic};
use super::view::{self, Page};
use crate::http::{Call, Reply};
use crate::microsoft::errors::GraphError;

/// Properties that a caller may set.
const WRITABLE: [&str; 17] = [
    "subject",
    "body",
    "start",
    "end",
    "location",
    "attendees",
    "isAllDay",
    "showAs",
    "sensitivity",
    "importance",
    "categories",
    "isReminderOn",
    "reminderMinutesBeforeStart",
    "responseRequested",
    "allowNewTimeProposals",
    "hideAttendees",
    "isOnlineMeeting",
];
const MAX_PAGE: usize = 1000;
const DEFAULT_PAGE: usize = 10;

/// One event; deleted ones stay as tombstones.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    shown: Map<String, Value>,
    transaction: Option<String>,
    start_ms: i64,
    end_ms: i64,
    deleted: bool,
    seq: u64,
}

/// The default calendar of a person.
#[derive(Debug, Clone, Default)]
pub(crate) struct Calendar {
    events: BTreeMap<String, Event>,
    seq: u64,
    epoch: u32,
}

fn invalid(text: &str) -> GraphError {
    GraphError::new(400, "ErrorInvalidRequest", text)
}

/// The instant of a `dateTimeTimeZone`; zones by IANA name or UTC.
fn instant(value: &Value) -> Result<i64, GraphError> {
    let text =
        value["dateTime"].as_str().ok_or_else(|| invalid("start and end need dateTime and timeZone."))?;
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.timestamp_millis());
    }
    let wall = text.trim_end_matches('Z').parse::<NaiveDateTime>();
    let wall = wall.map_err(|_| invalid("dateTime is not a valid date."))?;
    let zone: chrono_tz::Tz =
        value["timeZone"].as_str().unwrap_or("UTC").parse().map_err(|_| {
            GraphError::new(400, "TimeZoneNotSupportedException", "The time zone is not known.")
        })?;
    let at = wall.and_local_timezone(zone).earliest();
    at.map(|at| at.timestamp_millis()).ok_or_else(|| invalid("The time does not exist in its zone."))
}

fn moment(text: &str) -> Result<i64, GraphError> {
    instant(&json!({"dateTime": text, "timeZone": "UTC"}))
}

impl Calendar {
    /// Voids all delta links.
    pub(crate) fn void_tokens(&mut self) {
        self.epoch += 1;
    }

    /// Live events, as they are shown.
    pub(crate) fn live(&self) -> impl Iterator<Item = &Map<String, Value>> {
        self.events.values().filter(|event| !event.deleted).map(|event| &event.shown)
    }

    fn find(&self, id: &str) -> Result<&Event, GraphError> {
        self.events.get(id).filter(|event| !event.deleted).ok_or_else(super::mailbox::not_found)
    }

    fn write(&mut self, id: &str, mut event: Event, body: &Value, now: i64) -> Result<(), GraphError> {
        for name in WRITABLE {
            if let Some(value) = body.get(name) {
                event.shown.insert(name.to_owned(), value.clone());
            }
        }
        event.start_ms = instant(&event.shown["start"])?;
        event.end_ms = instant(&event.shown["end"])?;
        if event.end_ms < event.start_ms {
            return Err(GraphError::new(
                400,
                "ErrorCalendarEndDateIsEarlierThanStartDate",
                "The end time occurs before the start time.",
            ));
        }
        self.seq += 1;
        event.seq = self.seq;
        let change_key = format!("DwAAABYAAAD{:012x}", self.seq);
        event.shown.insert("lastModifiedDateTime".into(), json!(seconds(now)));
        event.shown.insert("@odata.etag".into(), json!(format!("W/\"{change_key}\"")));
        event.shown.insert("changeKey".into(), json!(change_key));
        self.events.insert(id.to_owned(), event);
        Ok(())
    }
}

/// `POST /users/{u}/events`; the same `transactionId` makes one event only.
fn create(office: &mut Office, user: &str, call: &Call, now: i64) -> Result<Reply, GraphError> {
    let body = call.json()?;
    let transaction = body["transactionId"].as_str().map(ToOwned::to_owned);
    let serial = office.serial();
    let owner = office.user(user)?;
    let same = |(_, event): &(&String, &Event)| transaction.is_some() && event.transaction == transaction;
    if let Some((_, known)) = owner.calendar.events.iter().find(same) {
        return Ok(Reply::json(201, &Value::Object(known.shown.clone())));
    }
    let id = format!("AAMkEV{:016x}{serial:08x}AAA=", owner.mailbox.salt);
    let shown = json!({
        "id": id,
        "createdDateTime": seconds(now),
        "transactionId": transaction,
        "iCalUId": format!("040000008200E00074C5B7101A82E008{serial:016X}"),
        "type": "singleInstance",
        "seriesMasterId": null,
        "recurrence": null,
        "isCancelled": false,
        "isOrganizer": true,
        "isAllDay": false,
        "showAs": "busy",
        "sensitivity": "normal",
        "importance": "normal",
        "categories": [],
        "attendees": [],
        "location": {"displayName": ""},
        "subject": "",
        "body": {"contentType": "html", "content": ""},
        "organizer": {"emailAddress": {"name": owner.name, "address": owner.upn}},
        "webLink": format!("https://outlook.office365.com/owa/?itemid={id}"),
    });
    let Value::Object(shown) = shown else { return Err(GraphError::of_status(500)) };
    let event = Event { shown, transaction, start_ms: 0, end_ms: 0, deleted: false, seq: 0 };
    office.user_mut(user)?.calendar.write(&id, event, &body, now)?;
    office.emit(Topic::Event { user: user.to_owned(), id: id.clone() }, "created");
    let event = office.user(user)?.calendar.find(&id)?;
    Ok(Reply::json(201, &Value::Object(event.shown.clone())))
}

fn one(office: &mut Office, user: &str, id: &str, call: &Call, now: i64) -> Result<Reply, GraphError> {
    let event = office.user(user)?.calendar.find(id)?.clone();
    let etag = event.shown.get("@odata.etag").and_then(Value::as_str).unwrap_or_default();
    if let Some(wanted) = call.header("if-match")
        && wanted != "*"
        && wanted != etag
    {
        let text = "The change key passed in the request does not match the current change key.";
        return Err(GraphError::new(412, "ErrorIrresolvableConflict", text));
    }
    let topic = Topic::Event { user: user.to_owned(), id: id.to_owned() };
    match call.method {
        Method::GET => Ok(Reply::json(200, &Value::Object(event.shown))),
        Method::PATCH => {
            office.user_mut(user)?.calendar.write(id, event, &call.json()?, now)?;
            office.emit(topic, "updated");
            let event = office.user(user)?.calendar.find(id)?;
            Ok(Reply::json(200, &Value::Object(event.shown.clone())))
        }
        Method::DELETE => {
            let calendar = &mut office.user_mut(user)?.calendar;
            calendar.seq += 1;
            let seq = calendar.seq;
            calendar.events.insert(id.to_owned(), Event { deleted: true, seq, ..event });
            office.emit(topic, "deleted");
            Ok(Reply::empty(204))
        }
        _ => Err(super::not_allowed()),
    }
}

/// `/users/{u}/events…`, `/calendar/events…`, `/calendarView`, `/calendarView/delta`.
pub(crate) fn serve(
    office: &mut Office,
    who: &str,
    rest: &[&str],
    call: &Call,
    now: i64,
) -> Result<Reply, GraphError> {
    let user = office.user_id(who)?;
    match rest {
        ["events"] if call.method == Method::POST => create(office, &user, call, now),
        ["events"] => {
            let all = office.user(&user)?.calendar.live().cloned().map(Value::Object).collect();
            Ok(super::mail_read::paged(call, "events", all, size(call), "$skip").reply(call))
        }
        ["events", id] => one(office, &user, id, call, now),
        ["calendarView"] => {
            let (from, to) = window(call)?;
            let calendar = &office.user(&user)?.calendar;
            let inside = |event: &&Event| !event.deleted && event.end_ms > from && event.start_ms < to;
            let found =
                calendar.events.values().filter(inside).map(|event| Value::Object(event.shown.clone()));
            Ok(super::mail_read::paged(call, "calendarView", found.collect(), size(call), "$skip")
                .reply(call))
        }
        ["calendarView", "delta"] => delta(&office.user(&user)?.calendar, call),
        _ => Err(super::not_allowed()),
    }
}

fn size(call: &Call) -> usize {
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

/// A round over the window of the first call. What changed outside of it is `@removed`, known or not
/// (graph-docs 6599).
fn delta(calendar: &Calendar, call: &Call) -> Result<Reply, GraphError> {
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
    let mut changed: Vec<(&String, &Event)> = calendar
        .events
        .iter()
        .filter(|(_, event)| (event.seq as i64) > after.max(since) && (event.seq as i64) <= upto)
        .filter(|(_, event)| since > 0 || (!event.deleted && event.end_ms > from && event.start_ms < to))
        .collect();
    changed.sort_unstable_by_key(|(_, event)| event.seq);
    let more = changed.len() > size(call);
    changed.truncate(size(call));
    let last = changed.last().map_or(upto, |(_, event)| event.seq as i64);
    let value = changed.into_iter().map(|(id, event)| {
        if event.deleted || event.end_ms <= from || event.start_ms >= to {
            json!({"@odata.type": "#microsoft.graph.event", "id": id, "@removed": {"reason": "deleted"}})
        } else {
            Value::Object(event.shown.clone())
        }
    });
    let link = |name: &str, numbers: [i64; 6]| {
        let token: Vec<String> = numbers.iter().map(|number| format!("{number:x}")).collect();
        format!("{}{}?{name}={}", call.origin, call.path, token.join("."))
    };
    let page = Page {
        context: "Collection(event)".into(),
        value: value.collect(),
        next: more.then(|| link("$skiptoken", [epoch, from, to, since, last, upto])),
        delta: (!more).then(|| link("$deltatoken", [epoch, from, to, since, upto, upto])),
        count: None,
    };
    Ok(page.reply(call))
}
