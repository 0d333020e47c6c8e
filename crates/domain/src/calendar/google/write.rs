//! The canonical event to bodies of Google's insert and patch.

use serde_json::{Map, Value, json};

use super::read::address;
use crate::calendar::event::{Event, Field, Moment, Reminders, Status, When};
use crate::calendar::identity::Stamp;
use crate::calendar::recurrence;

/// The body of an insert under an id of ours.
pub fn insert(event: &Event, id: &str, stamp: &Stamp) -> Value {
    let mut body = Map::new();
    for field in Field::OF_EVENT {
        if !event.same(&Event::default(), field) {
            set(&mut body, event, field, &Value::Null);
        }
    }
    body.insert("id".to_owned(), json!(id));
    body.insert("extendedProperties".to_owned(), json!({ "private": stamp.properties() }));
    Value::Object(body)
}

/// The smallest patch that turns the event of `raw`, read as `base`, into `event`: only fields that
/// differ, arrays complete, `null` for what was removed. `None` where nothing differs.
pub fn patch(raw: &Value, base: &Event, event: &Event) -> Option<Value> {
    let mut body = Map::new();
    for field in event.differing(base) {
        set(&mut body, event, field, raw);
    }
    (!body.is_empty()).then_some(Value::Object(body))
}

/// The patch that brings a deleted event back as `event`. All modelled fields are given, since a
/// tombstone may have lost them.
pub fn undelete(raw: &Value, event: &Event) -> Value {
    let mut body = Map::new();
    for field in Field::OF_EVENT {
        // A conference that the event does not have is not touched.
        if field != Field::Conference || event.conference.is_some() {
            set(&mut body, event, field, raw);
        }
    }
    body.insert("status".to_owned(), json!(status(event.status)));
    // A single event has no recurrence to remove from a tombstone.
    if event.recurrence.is_empty() && raw["recurrence"].is_null() {
        body.remove("recurrence");
    }
    Value::Object(body)
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Confirmed => "confirmed",
        Status::Tentative => "tentative",
    }
}

fn set(body: &mut Map<String, Value>, event: &Event, field: Field, raw: &Value) {
    let mut put = |key: &str, value: Value| {
        body.insert(key.to_owned(), value);
    };
    match field {
        Field::Title => put("summary", json!(event.title)),
        Field::Description => put("description", json!(event.description)),
        Field::Location => put("location", json!(event.location)),
        Field::When => {
            if let Some(when) = &event.when {
                let (start, end) = times(when);
                put("start", start);
                put("end", end);
            }
        }
        Field::Status => put("status", json!(status(event.status))),
        Field::Visibility => put("visibility", json!(event.visibility.as_deref().unwrap_or("default"))),
        Field::Free => put("transparency", json!(if event.free { "transparent" } else { "opaque" })),
        Field::Recurrence => put("recurrence", lines(event, raw)),
        Field::Attendees => put("attendees", attendees(event, raw)),
        Field::Reminders => put("reminders", reminders(&event.reminders)),
        Field::Conference => put("conferenceData", json!(event.conference)),
        Field::Color => put("colorId", json!(event.color)),
        Field::Existence => {}
    }
}

/// Start and end; the form that is not used is nulled, or a switch between days and times is refused.
fn times(when: &When) -> (Value, Value) {
    match when {
        When::Timed { start, end } => (at(start), at(end)),
        When::AllDay { start, end } => {
            let on = |day| json!({ "date": day, "dateTime": null, "timeZone": null });
            (on(start), on(end))
        }
    }
}

fn at(moment: &Moment) -> Value {
    let rendered = chrono::FixedOffset::east_opt(i32::try_from(moment.offset()).unwrap_or_default())
        .map(|offset| moment.instant().with_timezone(&offset).to_rfc3339());
    let zone = match moment.zone() {
        crate::calendar::event::Zone::Named(zone) => json!(zone.name()),
        crate::calendar::event::Zone::Offset(_) => Value::Null,
    };
    json!({ "dateTime": rendered, "timeZone": zone, "date": null })
}

/// The lines as the provider has them, without the removed and with the new ones at the end.
fn lines(event: &Event, raw: &Value) -> Value {
    if event.recurrence.is_empty() {
        return Value::Null;
    }
    let had: Vec<&str> =
        raw["recurrence"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let normal: Vec<String> = had.iter().map(|line| recurrence::normal(line)).collect();
    let kept = had.iter().zip(&normal).filter(|(_, normal)| event.recurrence.contains(*normal));
    let added = event.recurrence.iter().filter(|line| !normal.contains(line));
    kept.map(|(line, _)| *line).chain(added.map(String::as_str)).collect()
}

/// All attendees as whole objects, in the provider's order. An answer to an invitation that the event
/// does not carry is taken from the provider: one left out would be reset to "no answer".
fn attendees(event: &Event, raw: &Value) -> Value {
    let mut left = event.attendees.clone();
    let mut list: Vec<Value> = Vec::with_capacity(left.len());
    for had in raw["attendees"].as_array().into_iter().flatten().filter_map(Value::as_object) {
        let Some(mut attendee) = address(had).and_then(|key| left.remove(&key)) else { continue };
        if let (None, Some(answer)) = (attendee.get("responseStatus"), had.get("responseStatus")) {
            attendee.insert("responseStatus".to_owned(), answer.clone());
        }
        list.push(Value::Object(attendee));
    }
    list.extend(left.into_values().map(Value::Object));
    Value::Array(list)
}

fn reminders(reminders: &Reminders) -> Value {
    match reminders {
        Reminders::Calendar => json!({ "useDefault": true, "overrides": null }),
        Reminders::Own(own) => {
            let overrides: Vec<Value> =
                own.iter().map(|(method, minutes)| json!({ "method": method, "minutes": minutes })).collect();
            json!({ "useDefault": false, "overrides": overrides })
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::calendar::google::read;

    fn raw() -> Value {
        json!({
            "id": "abcde", "etag": "\"1\"", "summary": "Was", "colorId": "3", "unknown": {"keep": true},
            "start": {"dateTime": "2026-07-01T10:00:00+02:00", "timeZone": "Europe/Paris"},
            "end": {"dateTime": "2026-07-01T11:00:00+02:00", "timeZone": "Europe/Paris"},
            "recurrence": ["RRULE:FREQ=DAILY;COUNT=4", "EXDATE;TZID=Europe/Paris:20260702T100000"],
            "attendees": [
                {"email": "Zoe@example.com", "responseStatus": "accepted", "resource": false, "x": 1},
                {"email": "al@example.com", "responseStatus": "declined"},
            ],
        })
    }

    fn event(raw: &Value) -> Event {
        read(raw.clone()).expect("read").side.event().expect("live").clone()
    }

    #[test]
    fn a_patch_is_minimal() {
        let (raw, base) = (raw(), event(&raw()));
        assert_eq!(patch(&raw, &base, &base), None);
        let mut changed = base.clone();
        changed.title = Some("Is".to_owned());
        changed.color = None;
        assert_eq!(patch(&raw, &base, &changed), Some(json!({"summary": "Is", "colorId": null})));
    }

    #[test]
    fn arrays_are_complete_and_answers_are_kept() {
        let (raw, base) = (raw(), event(&raw()));
        let mut changed = base.clone();
        changed.attendees.remove("al@example.com");
        changed.attendees.get_mut("zoe@example.com").expect("zoe").remove("responseStatus");
        let new = json!({"email": "new@example.com"});
        changed.attendees.insert("new@example.com".to_owned(), new.as_object().expect("object").clone());
        changed.recurrence.insert("RDATE:20260801T080000Z".to_owned());
        let body = patch(&raw, &base, &changed).expect("differs");
        assert_eq!(
            body["attendees"],
            json!([
                {"email": "Zoe@example.com", "responseStatus": "accepted", "resource": false, "x": 1},
                {"email": "new@example.com"},
            ])
        );
        assert_eq!(
            body["recurrence"],
            json!([
                "RRULE:FREQ=DAILY;COUNT=4",
                "EXDATE;TZID=Europe/Paris:20260702T100000",
                "RDATE:20260801T080000Z"
            ])
        );
    }

    #[test]
    fn a_switch_to_days_nulls_the_time() {
        let (raw, base) = (raw(), event(&raw()));
        let day = chrono::NaiveDate::from_ymd_opt(2026, 7, 1).expect("day");
        let changed = Event {
            when: Some(When::AllDay { start: day, end: day.succ_opt().expect("day") }),
            ..base.clone()
        };
        let body = patch(&raw, &base, &changed).expect("differs");
        assert_eq!(body["start"], json!({"date": "2026-07-01", "dateTime": null, "timeZone": null}));
        let back = patch(&raw, &changed, &base).expect("differs");
        assert_eq!(back["start"]["date"], Value::Null);
        assert_eq!(back["start"]["dateTime"], "2026-07-01T10:00:00+02:00");
    }

    #[test]
    fn an_insert_reads_back_as_the_same_event() {
        let base = event(&raw());
        let stamp = Stamp { event: "e1".to_owned(), incarnation: 0 };
        let body = insert(&base, "abcde", &stamp);
        let back = read(body).expect("read");
        assert_eq!(back.side.event(), Some(&base));
        assert_eq!(back.stamp, Some(stamp));
    }
}
