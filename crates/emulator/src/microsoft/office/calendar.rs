//! Outlook events: single ones and series, with `transactionId`, and delta over a window of time.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use chrono_tz::Tz;
use http::Method;
use serde_json::{Map, Value, json};

use super::calendar_view;
use super::filter::{self, Clause};
use super::message::seconds;
use super::model::{Office, Topic};
use super::view;
use crate::http::{Call, Reply};
use crate::microsoft::errors::GraphError;

/// Properties that a caller may set.
const WRITABLE: [&str; 20] = [
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
    "onlineMeetingProvider",
    "recurrence",
    "isCancelled",
];

/// One event, or an occurrence that was changed; deleted ones stay as tombstones.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) shown: Map<String, Value>,
    transaction: Option<String>,
    /// Extended properties, as id and value.
    extended: Vec<(String, String)>,
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    /// Start as a wall clock shows it in the zone in which the event was made.
    pub(super) wall: NaiveDateTime,
    pub(super) zone: Tz,
    pub(super) deleted: bool,
    pub(super) seq: u64,
    /// Of a series: what became of single days.
    pub(super) days: BTreeMap<NaiveDate, Day>,
}

/// A day of a series that is not as its rule says.
#[derive(Debug, Clone)]
pub(super) enum Day {
    Exception(Box<Event>),
    Cancelled { seq: u64 },
}

/// The default calendar of a person.
#[derive(Debug, Clone, Default)]
pub(crate) struct Calendar {
    pub(super) events: BTreeMap<String, Event>,
    pub(super) seq: u64,
    pub(super) epoch: u32,
}

fn invalid(text: &str) -> GraphError {
    GraphError::new(400, "ErrorInvalidRequest", text)
}

/// The instant of a `dateTimeTimeZone`, and its zone by IANA name or UTC.
fn instant(value: &Value) -> Result<(i64, Tz), GraphError> {
    let text =
        value["dateTime"].as_str().ok_or_else(|| invalid("start and end need dateTime and timeZone."))?;
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok((at.timestamp_millis(), Tz::UTC));
    }
    let wall = text.trim_end_matches('Z').parse::<NaiveDateTime>();
    let wall = wall.map_err(|_| invalid("dateTime is not a valid date."))?;
    let zone: Tz =
        value["timeZone"].as_str().unwrap_or("UTC").parse().map_err(|_| {
            GraphError::new(400, "TimeZoneNotSupportedException", "The time zone is not known.")
        })?;
    let at = wall.and_local_timezone(zone).earliest();
    let at = at.ok_or_else(|| invalid("The time does not exist in its zone."))?;
    Ok((at.timestamp_millis(), zone))
}

pub(super) fn moment(text: &str) -> Result<i64, GraphError> {
    instant(&json!({"dateTime": text, "timeZone": "UTC"})).map(|(at, _)| at)
}

/// Times are answered in UTC unless another zone is preferred.
pub(super) fn rendered(at_ms: i64) -> Value {
    let at = DateTime::from_timestamp_millis(at_ms).unwrap_or_default();
    json!({"dateTime": at.format("%Y-%m-%dT%H:%M:%S.0000000").to_string(), "timeZone": "UTC"})
}

/// Bodies are kept and answered as HTML.
fn html(body: &Value) -> Value {
    let content = body["content"].as_str().unwrap_or_default();
    if body["contentType"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("html"))
        || content.is_empty()
    {
        return json!({"contentType": "html", "content": content});
    }
    let escaped =
        content.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\n', "<br>\n");
    let page = format!(
        "<html><head>\r\n<meta http-equiv=\"Content-Type\" content=\"text/html; charset=utf-8\"></head><body>\r\n\
         {escaped}\r\n</body></html>\r\n"
    );
    json!({"contentType": "html", "content": page})
}

impl Event {
    pub(super) fn recurs(&self) -> bool {
        !self.shown["recurrence"].is_null()
    }

    /// Takes what a caller set. Another rule or start of a series ends its exceptions.
    fn write(&mut self, body: &Value, seq: u64, now: i64) -> Result<(), GraphError> {
        let before = (self.start_ms, self.shown["recurrence"].clone());
        for name in WRITABLE {
            let Some(value) = body.get(name) else { continue };
            let value = if name == "body" { html(value) } else { value.clone() };
            self.shown.insert(name.to_owned(), value);
        }
        for (key, original) in [("start", "originalStartTimeZone"), ("end", "originalEndTimeZone")] {
            let (at, zone) = instant(&self.shown[key])?;
            if body.get(key).is_some() {
                self.shown.insert(original.to_owned(), json!(zone.name()));
            }
            self.shown.insert(key.to_owned(), rendered(at));
            if key == "start" {
                self.start_ms = at;
                if body.get(key).is_some() {
                    self.zone = zone;
                }
                let at = DateTime::from_timestamp_millis(at).unwrap_or_default();
                self.wall = at.with_timezone(&self.zone).naive_local();
            } else {
                self.end_ms = at;
            }
        }
        if self.end_ms < self.start_ms {
            return Err(GraphError::new(
                400,
                "ErrorCalendarEndDateIsEarlierThanStartDate",
                "The end time occurs before the start time.",
            ));
        }
        if self.shown["seriesMasterId"].is_null() {
            let kind = if self.recurs() { "seriesMaster" } else { "singleInstance" };
            self.shown.insert("type".into(), json!(kind));
        }
        if self.shown["isOnlineMeeting"] == true && self.shown["onlineMeeting"].is_null() {
            let url = format!("https://teams.microsoft.com/l/meetup-join/{seq:x}");
            self.shown.insert("onlineMeeting".into(), json!({"joinUrl": url}));
        }
        if self.recurs() {
            super::recurrence::days(&self.shown["recurrence"], self.wall.date(), self.wall.date())?;
        }
        if before != (self.start_ms, self.shown["recurrence"].clone()) {
            self.days.clear();
        }
        self.stamp(seq, now);
        Ok(())
    }

    fn stamp(&mut self, seq: u64, now: i64) {
        self.seq = seq;
        let change_key = format!("DwAAABYAAAD{seq:012x}");
        self.shown.insert("lastModifiedDateTime".into(), json!(seconds(now)));
        self.shown.insert("@odata.etag".into(), json!(format!("W/\"{change_key}\"")));
        self.shown.insert("changeKey".into(), json!(change_key));
    }
}

impl Calendar {
    /// Voids all delta links.
    pub(crate) fn void_tokens(&mut self) {
        self.epoch += 1;
    }

    /// Live events, as they are shown; of a series its exceptions too.
    pub(crate) fn live(&self) -> impl Iterator<Item = &Map<String, Value>> {
        self.events.values().filter(|event| !event.deleted).flat_map(|event| {
            let exceptions = event.days.values().filter_map(|day| match day {
                Day::Exception(event) => Some(&event.shown),
                Day::Cancelled { .. } => None,
            });
            std::iter::once(&event.shown).chain(exceptions)
        })
    }

    fn find(&self, id: &str) -> Result<Event, GraphError> {
        if let Some(event) = self.events.get(id).filter(|event| !event.deleted) {
            return Ok(event.clone());
        }
        let (master, day) = calendar_view::split(id).ok_or_else(super::mailbox::not_found)?;
        let series = self.events.get(&master).filter(|event| !event.deleted && event.recurs());
        let found = series.and_then(|series| calendar_view::occurrence(series, day));
        found.ok_or_else(super::mailbox::not_found)
    }

    fn put(&mut self, id: &str, event: Event) {
        match calendar_view::split(id) {
            Some((master, day)) => {
                if let Some(series) = self.events.get_mut(&master) {
                    series.days.insert(day, Day::Exception(Box::new(event)));
                }
            }
            None => {
                self.events.insert(id.to_owned(), event);
            }
        }
    }

    fn delete(&mut self, id: &str) {
        self.seq += 1;
        let seq = self.seq;
        match calendar_view::split(id) {
            Some((master, day)) => {
                if let Some(series) = self.events.get_mut(&master) {
                    series.days.insert(day, Day::Cancelled { seq });
                }
            }
            None => {
                if let Some(event) = self.events.get_mut(id) {
                    (event.deleted, event.seq) = (true, seq);
                }
            }
        }
    }
}

fn extended(body: &Value) -> Vec<(String, String)> {
    let list = body["singleValueExtendedProperties"].as_array().into_iter().flatten();
    list.filter_map(|one| Some((one["id"].as_str()?.to_owned(), one["value"].as_str()?.to_owned()))).collect()
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
        "isOnlineMeeting": false,
        "onlineMeeting": null,
        "isCancelled": false,
        "isOrganizer": true,
        "isAllDay": false,
        "isReminderOn": true,
        "reminderMinutesBeforeStart": 15,
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
    let mut event = Event {
        shown,
        transaction,
        extended: extended(&body),
        start_ms: 0,
        end_ms: 0,
        wall: NaiveDateTime::default(),
        zone: Tz::UTC,
        deleted: false,
        seq: 0,
        days: BTreeMap::new(),
    };
    let calendar = &mut office.user_mut(user)?.calendar;
    event.write(&body, calendar.seq + 1, now)?;
    calendar.seq += 1;
    calendar.put(&id, event.clone());
    office.emit(Topic::Event { user: user.to_owned(), id }, "created");
    Ok(Reply::json(201, &Value::Object(event.shown)))
}

fn one(office: &mut Office, user: &str, id: &str, call: &Call, now: i64) -> Result<Reply, GraphError> {
    let mut event = office.user(user)?.calendar.find(id)?;
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
        Method::GET => Ok(Reply::json(200, &Value::Object(read(&event, call)))),
        Method::PATCH => {
            let calendar = &mut office.user_mut(user)?.calendar;
            if event.shown["type"] == "occurrence" {
                event.shown.insert("type".into(), json!("exception"));
            }
            event.write(&call.json()?, calendar.seq + 1, now)?;
            calendar.seq += 1;
            calendar.put(id, event.clone());
            office.emit(topic, "updated");
            Ok(Reply::json(200, &Value::Object(event.shown)))
        }
        Method::DELETE => {
            office.user_mut(user)?.calendar.delete(id);
            office.emit(topic, "deleted");
            Ok(Reply::empty(204))
        }
        _ => Err(super::not_allowed()),
    }
}

/// An event as `$select` and `$expand` ask for it; the lists of a series come only when they are named.
fn read(event: &Event, call: &Call) -> Map<String, Value> {
    let select = view::selected(call.query("$select").as_deref());
    let wants = |name: &str| select.as_ref().is_some_and(|names| names.contains(name));
    let expands = call.query("$expand").is_some_and(|list| list.contains("exceptionOccurrences"));
    let mut shown = event.shown.clone();
    if event.recurs() && wants("exceptionOccurrences") && expands {
        let exceptions = event.days.values().filter_map(|day| match day {
            Day::Exception(event) => Some(Value::Object(event.shown.clone())),
            Day::Cancelled { .. } => None,
        });
        shown.insert("exceptionOccurrences".into(), exceptions.collect());
    }
    if event.recurs() && wants("cancelledOccurrences") {
        let id = event.shown["id"].as_str().unwrap_or_default();
        let cancelled = event.days.iter().filter(|(_, day)| matches!(day, Day::Cancelled { .. }));
        shown.insert(
            "cancelledOccurrences".into(),
            cancelled.map(|(day, _)| format!("OID.{id}.{day}")).collect(),
        );
    }
    view::keep(&mut shown, select.as_ref());
    shown
}

/// Events of a list, by extended property where `$filter` asks for one.
fn listed(calendar: &Calendar, call: &Call) -> Result<Vec<Value>, GraphError> {
    let clauses = call.query("$filter").map(|text| filter::parse(&text)).transpose()?.unwrap_or_default();
    let mut found = Vec::new();
    for event in calendar.events.values().filter(|event| !event.deleted) {
        let mut all = true;
        for clause in &clauses {
            let Clause::Extended { id, value } = clause else {
                return Err(GraphError::new(
                    400,
                    "ErrorInvalidUrlQueryFilter",
                    "The filter is not supported.",
                ));
            };
            all &= event.extended.iter().any(|(own, text)| own.eq_ignore_ascii_case(id) && text == value);
        }
        if all {
            found.push(Value::Object(event.shown.clone()));
        }
    }
    Ok(found)
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
            let all = listed(&office.user(&user)?.calendar, call)?;
            let size = calendar_view::size(call);
            Ok(super::mail_read::paged(call, "events", all, size, "$skip").reply(call))
        }
        ["events", id] => one(office, &user, id, call, now),
        ["events", id, "instances"] => {
            let series = office.user(&user)?.calendar.find(id)?;
            calendar_view::instances(&series, call)
        }
        ["calendarView"] => calendar_view::list(&office.user(&user)?.calendar, call),
        ["calendarView", "delta"] => calendar_view::delta(&office.user(&user)?.calendar, call),
        _ => Err(super::not_allowed()),
    }
}
