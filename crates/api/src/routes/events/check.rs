//! What an event may be: what the provider would refuse is refused here, field by field.

use std::collections::BTreeSet;

use domain::calendar::event::{Moment, When, Zone};
use domain::calendar::recurrence::{normal, validate};
use serde_json::Value;
use store::calendar::app_events::Content;
use web::problem::{FieldError, Problem};

/// Longest title, place and description, in characters.
const TEXTS: [(&str, usize); 3] = [("title", 1024), ("location", 1024), ("description", 8192)];
/// Guests (provider facts A5: answers of more are not propagated).
const MAX_ATTENDEES: usize = 200;
/// Reminders of one event, and the longest time before it in minutes (provider facts A5).
const MAX_REMINDERS: (usize, i64) = (5, 40_320);
/// Lines of a series.
const MAX_LINES: usize = 100;

struct Faults(Vec<FieldError>);

impl Faults {
    fn say(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError::new(field, message));
    }

    fn one_of(&mut self, field: &str, value: Option<&str>, allowed: &[&str]) {
        if value.is_some_and(|value| !allowed.contains(&value)) {
            self.say(field, format!("is one of {}", allowed.join(", ")));
        }
    }
}

/// Checks a whole event.
///
/// # Errors
/// 422 with every field at fault.
pub fn check(content: &Content) -> Result<(), Problem> {
    let mut faults = Faults(Vec::new());
    for (name, longest) in TEXTS {
        let text = match name {
            "title" => &content.title,
            "location" => &content.location,
            _ => &content.description,
        };
        if text.as_deref().is_some_and(|text| text.chars().count() > longest || text.contains('\0')) {
            faults.say(name, format!("is text of at most {longest} characters"));
        }
    }
    time(content, &mut faults);
    recurrence(content, &mut faults);
    attendees(content, &mut faults);
    reminders(content, &mut faults);
    faults.one_of("status", content.status.as_deref(), &["confirmed", "tentative"]);
    faults.one_of(
        "visibility",
        content.visibility.as_deref(),
        &["default", "public", "private", "confidential"],
    );
    faults.one_of("transparency", content.transparency.as_deref(), &["opaque", "transparent"]);
    let colour = |id: &str| !id.is_empty() && id.len() <= 10 && id.bytes().all(|b| b.is_ascii_digit());
    if content.color_id.as_deref().is_some_and(|id| !colour(id)) {
        faults.say("color_id", "is a number of the provider's palette");
    }
    if faults.0.is_empty() { Ok(()) } else { Err(Problem::unprocessable(faults.0)) }
}

fn time(content: &Content, faults: &mut Faults) {
    let days = content.start_date.is_some() || content.end_date.is_some();
    let times = content.start_at.is_some() || content.end_at.is_some();
    match (times, days) {
        (true, true) => faults.say("start_date", "an event has times or days, not both"),
        (false, false) => faults.say("start_at", "give start_at and end_at, or start_date and end_date"),
        (true, false) => match (content.start_at, content.end_at) {
            (Some(start), Some(end)) if end < start => faults.say("end_at", "lies before start_at"),
            (Some(_), Some(_)) => {}
            (None, _) => faults.say("start_at", "is missing beside end_at"),
            (_, None) => faults.say("end_at", "is missing beside start_at"),
        },
        (false, true) => match (content.start_date, content.end_date) {
            (Some(start), Some(end)) if end <= start => {
                faults.say("end_date", "is the first day after the event: it lies after start_date");
            }
            (Some(_), Some(_)) => {}
            (None, _) => faults.say("start_date", "is missing beside end_date"),
            (_, None) => faults.say("end_date", "is missing beside start_date; it is exclusive"),
        },
    }
    if let Some(text) = &content.time_zone
        && !matches!(text.parse::<Zone>(), Ok(Zone::Named(_)))
    {
        let message =
            format!("{text:?} is no time zone; give a name of the tz database, such as Europe/Paris");
        faults.say("time_zone", message);
    }
}

/// Lines of the kinds that the provider has; what a rule means is its affair.
fn recurrence(content: &Content, faults: &mut Faults) {
    let lines = content.recurrence.as_deref().unwrap_or_default();
    if lines.len() > MAX_LINES {
        faults.say("recurrence", format!("has at most {MAX_LINES} lines"));
        return;
    }
    if !lines.is_empty() && !lines.iter().any(|line| ["RRULE", "RDATE"].iter().any(|n| is(line, n))) {
        faults.say("recurrence", "needs an RRULE or RDATE line");
    }
    for (n, line) in lines.iter().enumerate() {
        if let Some(reason) = refused(line) {
            faults.say(format!("recurrence[{n}]"), reason);
            return;
        }
    }
    if let Some(when) = when(content)
        && let Err(error) = validate(lines.iter().map(String::as_str), &when)
    {
        faults.say("recurrence", error.to_string());
    }
}

/// When it begins and ends, if that can be told.
fn when(content: &Content) -> Option<When> {
    if let (Some(start), Some(end)) = (content.start_date, content.end_date) {
        return Some(When::AllDay { start, end });
    }
    let zone: Zone = content.time_zone.as_deref().unwrap_or("UTC").parse().ok()?;
    let (start, end) = (Moment::at(content.start_at?, zone), Moment::at(content.end_at?, zone));
    Some(When::Timed { start, end })
}

fn is(line: &str, name: &str) -> bool {
    normal(line).split([':', ';']).next() == Some(name)
}

fn refused(line: &str) -> Option<String> {
    let normal = normal(line);
    let Some((head, body)) = normal.split_once(':') else { return Some("has no colon".to_owned()) };
    let name = head.split(';').next().unwrap_or_default();
    if body.is_empty() || line.chars().any(char::is_control) {
        return Some("says nothing, or holds control characters".to_owned());
    }
    match name {
        "RRULE" | "EXRULE" => {
            let parts: Vec<(&str, &str)> = body.split(';').filter_map(|part| part.split_once('=')).collect();
            let of = |key: &str| parts.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
            let frequencies = ["DAILY", "WEEKLY", "MONTHLY", "YEARLY"];
            if !of("FREQ").is_some_and(|frequency| frequencies.contains(&frequency)) {
                return Some(format!("needs FREQ= one of {}", frequencies.join(", ")));
            }
            if of("COUNT").is_some() && of("UNTIL").is_some() {
                return Some("has COUNT or UNTIL, not both".to_owned());
            }
            for key in ["COUNT", "INTERVAL"] {
                if of(key).is_some_and(|value| !value.parse::<u32>().is_ok_and(|number| number > 0)) {
                    return Some(format!("{key} is a number above 0"));
                }
            }
            None
        }
        "RDATE" | "EXDATE" => None,
        other => {
            Some(format!("{other:?} is none of RRULE, EXRULE, RDATE, EXDATE; the start stands in start_at"))
        }
    }
}

fn attendees(content: &Content, faults: &mut Faults) {
    let none = Vec::new();
    let list = content.attendees.as_ref().and_then(Value::as_array).unwrap_or(&none);
    if list.len() > MAX_ATTENDEES {
        faults.say("attendees", format!("has at most {MAX_ATTENDEES} guests"));
    }
    let mut seen = BTreeSet::new();
    for (n, attendee) in list.iter().enumerate() {
        let email = attendee["email"].as_str().unwrap_or_default().trim().to_lowercase();
        let address = email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
        if !address || email.chars().any(|c| c.is_whitespace() || c.is_control()) {
            faults.say(format!("attendees[{n}].email"), "is not an address");
        } else if !seen.insert(email) {
            faults.say(format!("attendees[{n}].email"), "is there twice");
        }
        let answers = ["needsAction", "declined", "tentative", "accepted"];
        faults.one_of(
            &format!("attendees[{n}].responseStatus"),
            attendee["responseStatus"].as_str(),
            &answers,
        );
    }
}

fn reminders(content: &Content, faults: &mut Faults) {
    let Some(reminders) = content.reminders.as_ref().and_then(Value::as_object) else { return };
    for name in reminders.keys().filter(|name| !["useDefault", "overrides"].contains(&name.as_str())) {
        faults.say(format!("reminders.{name}"), "is none of useDefault, overrides");
    }
    let default = reminders.get("useDefault").is_some_and(|value| value == true);
    if reminders.get("useDefault").is_some_and(|value| !value.is_boolean()) {
        faults.say("reminders.useDefault", "is true or false");
    }
    let overrides = match reminders.get("overrides") {
        None | Some(Value::Null) => return,
        Some(Value::Array(overrides)) => overrides,
        Some(_) => return faults.say("reminders.overrides", "is a list"),
    };
    if default && !overrides.is_empty() {
        faults.say("reminders.overrides", "stands only beside useDefault: false");
    }
    let (most, longest) = MAX_REMINDERS;
    if overrides.len() > most {
        faults.say("reminders.overrides", format!("has at most {most} reminders"));
    }
    for (n, reminder) in overrides.iter().enumerate() {
        let known = matches!(reminder["method"].as_str(), Some("email" | "popup"));
        if !known || !reminder["minutes"].as_i64().is_some_and(|minutes| (0..=longest).contains(&minutes)) {
            let message = format!("has method email or popup, and minutes from 0 to {longest}");
            faults.say(format!("reminders.overrides[{n}]"), message);
        }
    }
}
