//! From what a caller sends to what is stored: only known fields, defaults left out, everything checked.

use std::sync::Arc;

use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::html;
use super::record::Status;
use super::recurrence::Series;
use super::switches::Switches;
use super::time::When;

/// Fields that a caller may write and that are kept as they are.
const KEPT: [&str; 13] = [
    "colorId",
    "extendedProperties",
    "source",
    "gadget",
    "conferenceData",
    "focusTimeProperties",
    "outOfOfficeProperties",
    "workingLocationProperties",
    "birthdayProperties",
    "eventLabelId",
    "attachments",
    "location",
    "summary",
];
/// Flags, and the value that is left out.
const FLAGS: [(&str, bool); 4] = [
    ("guestsCanInviteOthers", true),
    ("guestsCanModify", false),
    ("guestsCanSeeOtherGuests", true),
    ("anyoneCanAddSelf", false),
];
/// Types that a caller may create.
const CREATABLE: [&str; 5] = ["default", "focusTime", "outOfOffice", "workingLocation", "birthday"];
const MAX_OVERRIDES: usize = 5;
const MAX_REMINDER_MINUTES: i64 = 40_320;
const MAX_ATTACHMENTS: usize = 25;

/// A checked event.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) fields: Map<String, Value>,
    pub(crate) start: When,
    pub(crate) end: When,
    pub(crate) series: Option<Arc<Series>>,
    pub(crate) status: Status,
}

/// PATCH: objects are merged, arrays replaced, null deletes.
pub(crate) fn merge(into: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, value) in patch {
        match (into.get_mut(key), value) {
            (_, Value::Null) => {
                into.remove(key);
            }
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
            (_, Value::Object(new)) => {
                let mut fresh = Map::new();
                merge(&mut fresh, new);
                into.insert(key.clone(), Value::Object(fresh));
            }
            _ => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Reads a whole event. `instance` ones have no recurrence of their own.
pub(crate) fn read(
    body: &Map<String, Value>,
    zone: Tz,
    instance: bool,
    switches: &Switches,
) -> Result<Draft, ApiError> {
    let mut fields = Map::new();
    let lines = if instance { Vec::new() } else { recurrence(body)? };
    for key in KEPT {
        if let Some(value) = body.get(key).filter(|value| !empty(value)) {
            fields.insert(key.into(), value.clone());
        }
    }
    for key in ["summary", "location"] {
        if fields.get(key).is_some_and(|value| !value.is_string()) {
            return Err(ApiError::invalid(format!("Invalid value for: {key}")));
        }
    }
    for (key, default) in FLAGS {
        if let Some(flag) = body.get(key).and_then(Value::as_bool).filter(|flag| *flag != default) {
            fields.insert(key.into(), json!(flag));
        }
    }
    if let Some(text) = body.get("description").and_then(Value::as_str) {
        let text = if switches.sanitise_html { html::sanitise(text) } else { text.to_owned() };
        if !text.is_empty() {
            fields.insert("description".into(), json!(text));
        }
    }
    choice(body, &mut fields, "transparency", &["opaque", "transparent"])?;
    choice(body, &mut fields, "visibility", &["default", "public", "private", "confidential"])?;
    let kind = body.get("eventType").and_then(Value::as_str).unwrap_or("default");
    fields.insert("eventType".into(), json!(kind));
    attendees(body, &mut fields)?;
    if !lines.is_empty() {
        fields.insert("recurrence".into(), json!(lines));
    }
    fields.insert("reminders".into(), reminders(body)?);
    if body.get("attachments").and_then(Value::as_array).is_some_and(|all| all.len() > MAX_ATTACHMENTS) {
        return Err(ApiError::invalid("Too many attachments."));
    }
    properties(&mut fields, switches)?;
    let (start, end) = span(body, zone, !lines.is_empty(), switches)?;
    let series = Series::parse(&lines, &start)?.map(Arc::new);
    let status = match body.get("status").and_then(Value::as_str) {
        None | Some("confirmed") => Status::Confirmed,
        Some("tentative") => Status::Tentative,
        Some("cancelled") => Status::Cancelled,
        Some(other) => return Err(ApiError::invalid(format!("Invalid value for: status: {other}"))),
    };
    Ok(Draft { fields, start, end, series, status })
}

fn empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn recurrence(body: &Map<String, Value>) -> Result<Vec<String>, ApiError> {
    match body.get("recurrence") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(lines)) => lines
            .iter()
            .map(|line| line.as_str().map(ToOwned::to_owned))
            .collect::<Option<_>>()
            .ok_or_else(|| ApiError::invalid("Invalid value for: recurrence")),
        Some(_) => Err(ApiError::invalid("Invalid value for: recurrence")),
    }
}

/// A choice; the first one is the default and left out.
fn choice(
    body: &Map<String, Value>,
    fields: &mut Map<String, Value>,
    key: &str,
    allowed: &[&str],
) -> Result<(), ApiError> {
    match body.get(key).and_then(Value::as_str) {
        None => Ok(()),
        Some(value) if allowed.contains(&value) => {
            if value != allowed[0] {
                fields.insert(key.into(), json!(value));
            }
            Ok(())
        }
        Some(value) => Err(ApiError::invalid(format!("Invalid value for: {key}: {value}"))),
    }
}

fn span(
    body: &Map<String, Value>,
    zone: Tz,
    recurring: bool,
    switches: &Switches,
) -> Result<(When, When), ApiError> {
    let part = |name: &str| body.get(name).unwrap_or(&Value::Null);
    let start = When::parse(part("start"), "start", zone, recurring)?;
    let end = When::parse(part("end"), "end", zone, recurring)?;
    let inverted = match (start, end) {
        (When::Day(from), When::Day(to)) => to < from,
        (When::At(from, _), When::At(to, _)) => to < from || (to == from && !switches.zero_length_events),
        _ => {
            return Err(ApiError::invalid(
                "Start and end times must either both be date or both be dateTime.",
            ));
        }
    };
    if inverted {
        return Err(ApiError::range_empty());
    }
    // The last day is exclusive: a day that ends where it begins is one day long.
    let end = match (start, end) {
        (When::Day(from), When::Day(to)) if from == to => When::Day(to.succ_opt().unwrap_or(to)),
        _ => end,
    };
    Ok((start, end))
}

fn attendees(body: &Map<String, Value>, fields: &mut Map<String, Value>) -> Result<(), ApiError> {
    let Some(list) = body.get("attendees").and_then(Value::as_array) else { return Ok(()) };
    let mut seen: Vec<Value> = Vec::new();
    for one in list {
        let email = one["email"]
            .as_str()
            .filter(|email| email.contains('@'))
            .ok_or_else(|| ApiError::invalid("Invalid attendee email."))?
            .to_lowercase();
        let mut row = Map::new();
        row.insert("email".into(), json!(email));
        for key in ["displayName", "comment", "id"] {
            if let Some(text) = one[key].as_str().filter(|text| !text.is_empty()) {
                row.insert(key.into(), json!(text));
            }
        }
        for key in ["optional", "resource"] {
            if one[key] == json!(true) {
                row.insert(key.into(), json!(true));
            }
        }
        if let Some(count) = one["additionalGuests"].as_i64().filter(|count| *count > 0) {
            row.insert("additionalGuests".into(), json!(count));
        }
        // E27: whoever leaves the answer out takes it back.
        let answer = one["responseStatus"].as_str().unwrap_or("needsAction");
        if !["needsAction", "declined", "tentative", "accepted"].contains(&answer) {
            return Err(ApiError::invalid("Invalid attendee response status."));
        }
        row.insert("responseStatus".into(), json!(answer));
        seen.retain(|known| known["email"] != row["email"]);
        seen.push(Value::Object(row));
    }
    if !seen.is_empty() {
        fields.insert("attendees".into(), Value::Array(seen));
    }
    Ok(())
}

fn reminders(body: &Map<String, Value>) -> Result<Value, ApiError> {
    let given = body.get("reminders").unwrap_or(&Value::Null);
    let overrides = given["overrides"].as_array().map_or(&[][..], Vec::as_slice);
    let by_default = given["useDefault"].as_bool().unwrap_or(overrides.is_empty() && given.is_null());
    if by_default && !overrides.is_empty() {
        return Err(ApiError::new(
            400,
            "calendar",
            "cannotUseDefaultRemindersAndSpecifyOverride",
            "Cannot specify both default reminders and overrides at the same time.",
        ));
    }
    if overrides.len() > MAX_OVERRIDES {
        return Err(ApiError::invalid("Too many override reminders."));
    }
    let mut kept = Vec::new();
    for one in overrides {
        let method = one["method"].as_str().filter(|method| ["email", "popup"].contains(method));
        let minutes = one["minutes"].as_i64().filter(|minutes| (0..=MAX_REMINDER_MINUTES).contains(minutes));
        let (Some(method), Some(minutes)) = (method, minutes) else {
            return Err(ApiError::invalid("Invalid value for: reminders.overrides"));
        };
        kept.push(json!({"method": method, "minutes": minutes}));
    }
    Ok(if kept.is_empty() {
        json!({"useDefault": by_default})
    } else {
        json!({"useDefault": false, "overrides": kept})
    })
}

fn properties(fields: &mut Map<String, Value>, switches: &Switches) -> Result<(), ApiError> {
    let Some(Value::Object(all)) = fields.get_mut("extendedProperties") else { return Ok(()) };
    all.retain(|kind, values| matches!(kind.as_str(), "private" | "shared") && !empty(values));
    let (mut count, mut bytes) = (0, 0);
    for values in all.values().filter_map(Value::as_object) {
        for (key, value) in values {
            let Some(text) = value.as_str() else {
                return Err(ApiError::invalid("Invalid value for: extendedProperties"));
            };
            count += 1;
            bytes += key.len() + text.len();
            if switches.property_limits && (key.chars().count() > 44 || text.chars().count() > 1024) {
                return Err(ApiError::invalid("Extended property key or value is too long."));
            }
        }
    }
    if switches.property_limits && (count > 300 || bytes > 32 * 1024) {
        return Err(ApiError::invalid("Too many extended properties."));
    }
    if all.is_empty() {
        fields.remove("extendedProperties");
    }
    Ok(())
}

/// E28: what types allow at creation.
pub(crate) fn check_creation(draft: &Draft, primary: bool) -> Result<(), ApiError> {
    let kind = draft.fields["eventType"].as_str().unwrap_or("default");
    if !CREATABLE.contains(&kind) {
        return Err(ApiError::event_type(kind));
    }
    check_type(draft)?;
    if kind != "default" && !primary {
        return Err(ApiError::new(
            400,
            "calendar",
            "eventTypeRestriction",
            format!("Event type '{kind}' is only supported on primary calendars."),
        ));
    }
    Ok(())
}

/// E28: what types allow at any time.
pub(crate) fn check_type(draft: &Draft) -> Result<(), ApiError> {
    let kind = draft.fields["eventType"].as_str().unwrap_or("default");
    let private = draft.fields.get("extendedProperties").is_some_and(|all| !all["private"].is_null());
    if kind == "birthday" {
        if private {
            return Err(ApiError::new(
                400,
                "calendar",
                "eventTypeRestriction",
                "'birthday' event type must not have private extended properties.",
            ));
        }
        let yearly = draft
            .fields
            .get("recurrence")
            .is_some_and(|lines| lines[0].as_str().is_some_and(|line| line.starts_with("RRULE:FREQ=YEARLY")));
        if !draft.start.is_day() || !yearly || draft.fields.contains_key("attendees") {
            return Err(ApiError::event_type(kind));
        }
    }
    if ["focusTime", "outOfOffice"].contains(&kind) && draft.start.is_day() {
        return Err(ApiError::event_type(kind));
    }
    Ok(())
}

/// E28: which fields of an event of a special type may change.
pub(crate) fn check_edit(
    kind: &str,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    moved: bool,
) -> bool {
    let free: &[&str] = match kind {
        "birthday" => &["summary", "colorId", "reminders", "recurrence"],
        "fromGmail" => {
            &["colorId", "reminders", "visibility", "transparency", "attendees", "extendedProperties"]
        }
        _ => return true,
    };
    let keys = before.keys().chain(after.keys());
    let changed_elsewhere =
        keys.filter(|key| before.get(*key) != after.get(*key)).any(|key| !free.contains(&key.as_str()));
    let moved_mail = moved && kind == "fromGmail";
    !changed_elsewhere && !moved_mail
}
