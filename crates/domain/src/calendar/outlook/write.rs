//! The canonical event to bodies of Graph's create and update (user-post-events, event-update; Graph v1.0).

use serde_json::{Map, Value, json};

use super::{Refusal, body, pattern};
use crate::calendar::event::{Event, Field, Reminders, Status, When, Zone};

/// The body of a create; the same `transactionId` makes one event only.
pub fn insert(event: &Event, id: &str) -> Value {
    let mut body = Map::new();
    for field in Field::OF_EVENT {
        if !event.same(&Event::default(), field) {
            set(&mut body, event, field, &Value::Null);
        }
    }
    body.insert("transactionId".to_owned(), json!(id));
    Value::Object(body)
}

/// The smallest update that turns the event of `raw`, read as `base`, into `event`. `None` where nothing differs.
pub fn patch(raw: &Value, base: &Event, event: &Event) -> Option<Value> {
    let mut body = Map::new();
    for field in event.differing(base) {
        set(&mut body, event, field, raw);
    }
    // The range of a series begins on its first day.
    if body.contains_key("start") && event.recurs() {
        set(&mut body, event, Field::Recurrence, raw);
    }
    (!body.is_empty()).then_some(Value::Object(body))
}

/// Brings an event of the application into the form in which Outlook will answer it.
///
/// # Errors
/// Outlook has no words for something that it does not have already.
pub fn settle(event: &mut Event, before: Option<&Event>) -> Result<(), Refusal> {
    expressible(event, before)?;
    let repeats_anew = event.recurs() && !before.is_some_and(|before| event.same(before, Field::Recurrence));
    match event.visibility.as_deref() {
        None | Some("private" | "confidential") => {}
        Some("public" | "default") => event.visibility = None,
        Some(other) => return Err(Refusal::new(format!("Outlook does not know the visibility {other:?}"))),
    }
    // `showAs` says one of the two.
    if event.free {
        event.status = Status::Confirmed;
    }
    if repeats_anew {
        let refuse = |text: &str| Err(Refusal::new(text));
        let Some(when) = &event.when else { return refuse("a series needs a start") };
        let mut lines = event.recurrence.iter();
        let (Some(line), None) = (lines.next(), lines.next()) else {
            return refuse(
                "Outlook repeats an event by one RRULE only; delete occurrences instead of naming them in EXDATE, and make events of RDATEs",
            );
        };
        let made = pattern::recurrence(line, when)?;
        event.recurrence = pattern::line(&made, when).into_iter().collect();
    }
    Ok(())
}

/// Refuses what Outlook has no words for, unless it is there already.
fn expressible(event: &Event, before: Option<&Event>) -> Result<(), Refusal> {
    let new = |field: Field| !before.is_some_and(|before| event.same(before, field));
    let refuse = |text: &str| Err(Refusal::new(text));
    if event.event_type.is_some() && before.is_none() {
        return refuse("Outlook has ordinary events only; leave event_type at its default");
    }
    if new(Field::Color) && event.color.is_some() {
        return refuse("Outlook has no colours of single events; clear color_id");
    }
    if new(Field::Reminders)
        && let Reminders::Own(own) = &event.reminders
        && (own.len() > 1 || own.iter().any(|(method, _)| method != "popup"))
    {
        return refuse("Outlook reminds once and by popup; give one reminder of that method");
    }
    if new(Field::Conference)
        && event.conference.as_ref().is_none_or(|wanted| wanted["createRequest"].is_null())
        && (event.conference.is_some() || before.is_some_and(|before| before.conference.is_some()))
    {
        return refuse("Outlook makes online meetings itself and keeps them; ask for one with createRequest");
    }
    if new(Field::Attendees)
        && let Some(other) = event.attendees.keys().find(|key| !key.contains('@'))
    {
        return Err(Refusal::new(format!("Outlook invites by address, and {other:?} has none")));
    }
    Ok(())
}

fn set(made: &mut Map<String, Value>, event: &Event, field: Field, raw: &Value) {
    let mut put = |key: &str, value: Value| {
        made.insert(key.to_owned(), value);
    };
    match field {
        Field::Title => put("subject", json!(event.title.as_deref().unwrap_or_default())),
        Field::Description => put("body", body::body(event.description.as_deref())),
        Field::Location => {
            put("location", json!({ "displayName": event.location.as_deref().unwrap_or_default() }));
        }
        Field::When => {
            if let Some(when) = &event.when {
                put("isAllDay", json!(matches!(when, When::AllDay { .. })));
                let (start, end) = times(when);
                put("start", start);
                put("end", end);
            }
        }
        Field::Status | Field::Free => put("showAs", json!(shown(event))),
        Field::Visibility => put("sensitivity", json!(event.visibility.as_deref().unwrap_or("normal"))),
        Field::Recurrence => {
            let made = event.when.as_ref().and_then(|when| {
                event.recurrence.iter().next().and_then(|line| pattern::recurrence(line, when).ok())
            });
            put("recurrence", json!(made));
        }
        Field::Attendees => put("attendees", attendees(event, raw)),
        Field::Reminders => match &event.reminders {
            Reminders::Calendar => put("isReminderOn", json!(true)),
            Reminders::Own(own) => {
                put("isReminderOn", json!(!own.is_empty()));
                if let Some((_, minutes)) = own.first() {
                    put("reminderMinutesBeforeStart", json!(minutes));
                }
            }
        },
        Field::Conference => {
            if event.conference.is_some() {
                put("isOnlineMeeting", json!(true));
                put("onlineMeetingProvider", json!("teamsForBusiness"));
            }
        }
        Field::Color | Field::Existence => {}
    }
}

fn shown(event: &Event) -> &'static str {
    match (event.free, event.status) {
        (true, _) => "free",
        (false, Status::Tentative) => "tentative",
        (false, Status::Confirmed) => "busy",
    }
}

/// Start and end. All-day events are midnights of one zone (event resource, `isAllDay`).
fn times(when: &When) -> (Value, Value) {
    match when {
        When::Timed { start, end } => {
            let at = |moment: &crate::calendar::event::Moment| match moment.zone() {
                // The second of two equal wall clock times has no name but its instant.
                Zone::Named(zone) if zone_first(moment) => {
                    json!({ "dateTime": written(moment.wall()), "timeZone": zone.name() })
                }
                _ => json!({ "dateTime": written(moment.instant().naive_utc()), "timeZone": "UTC" }),
            };
            (at(start), at(end))
        }
        When::AllDay { start, end } => {
            let on =
                |day: &chrono::NaiveDate| json!({ "dateTime": format!("{day}T00:00:00"), "timeZone": "UTC" });
            (on(start), on(end))
        }
    }
}

fn zone_first(moment: &crate::calendar::event::Moment) -> bool {
    moment.zone().instant(moment.wall(), false) == moment.instant()
}

fn written(wall: chrono::NaiveDateTime) -> String {
    wall.format("%Y-%m-%dT%H:%M:%S%.f").to_string()
}

/// All guests: Outlook's own objects, and new ones for those that it does not have. Answers are the guests' own.
fn attendees(event: &Event, raw: &Value) -> Value {
    let had = |address: &str| {
        raw["attendees"].as_array().into_iter().flatten().find(|guest| {
            guest["emailAddress"]["address"]
                .as_str()
                .is_some_and(|own| own.trim().eq_ignore_ascii_case(address))
        })
    };
    let list = event.attendees.iter().map(|(address, guest)| {
        let mut made = had(address).cloned().unwrap_or_else(|| {
            json!({ "emailAddress": { "address": guest.get("email").cloned().unwrap_or_else(|| json!(address)) } })
        });
        if let Some(name) = guest.get("displayName") {
            made["emailAddress"]["name"] = name.clone();
        }
        let is = |key: &str| guest.get(key) == Some(&Value::Bool(true));
        made["type"] = json!(if is("resource") {
            "resource"
        } else if is("optional") {
            "optional"
        } else {
            "required"
        });
        made
    });
    Value::Array(list.collect())
}
