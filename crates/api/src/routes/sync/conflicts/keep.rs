//! The value that did not stand, written into its event.

use domain::calendar::event::{Reminders, When};
use domain::ids::CompanyId;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use store::Tx;
use store::calendar::app_events::{self, Content};
use store::calendar::conflicts::Conflict;
use web::problem::Problem;

use super::Keep;
use crate::error::Answer;

/// Writes the value of `keep` as an edit of the application.
pub async fn write(tx: &mut Tx, company: CompanyId, conflict: &Conflict, keep: Keep) -> Answer<()> {
    let gone = || Problem::conflict("event_gone", "the event does not exist any more; keep what stands");
    let id = conflict.event_id.ok_or_else(gone)?;
    let event = app_events::lock(tx, company, id).await?.ok_or_else(gone)?;
    if conflict.field == "existence" {
        // A deletion lost: it stands now.
        app_events::delete(tx, company, id, None).await?;
        return Ok(());
    }
    let exception = event.series_event_id.is_some() || event.recurring_event_id.is_some();
    if event.deleted_at.is_some() && exception {
        let detail = "the occurrence was cancelled since; keep what stands, or make the occurrence anew";
        return Err(Problem::conflict("event_deleted", detail).into());
    }
    let value = match keep {
        Keep::App => &conflict.app_value,
        Keep::Provider => &conflict.provider_value,
    };
    let mut content = event.content;
    set(&mut content, &conflict.field, value.clone().unwrap_or(Value::Null))?;
    app_events::update(tx, company, id, &content, None).await?.ok_or_else(gone)?;
    Ok(())
}

/// Reads a stored value of a conflict.
fn read<T: DeserializeOwned>(field: &str, value: Value) -> Result<T, Problem> {
    serde_json::from_value(value).map_err(|error| {
        tracing::error!(field, %error, "the value of a conflict cannot be read");
        Problem::defect()
    })
}

/// Writes a value in canonical form (`domain::calendar::merge::value`) into the columns of its field. Of attendees and
/// lines of a recurrence one alone is meant: the part behind the slash.
fn set(content: &mut Content, field: &str, value: Value) -> Result<(), Problem> {
    let (name, key) = field.split_once('/').map_or((field, None), |(name, key)| (name, Some(key)));
    match name {
        "title" => content.title = read(name, value)?,
        "description" => content.description = read(name, value)?,
        "location" => content.location = read(name, value)?,
        "status" => content.status = read(name, value)?,
        "visibility" => content.visibility = read(name, value)?,
        "color" => content.color_id = read(name, value)?,
        "free" => content.transparency = (value == true).then(|| "transparent".to_owned()),
        "when" => when(content, read::<Option<When>>(name, value)?.as_ref()),
        "recurrence" => recurrence(content, key, value)?,
        "attendees" => attendees(content, key, value)?,
        "reminders" => content.reminders = reminders(&read(name, value)?),
        _ => {
            let detail = format!("the application does not write {field:?}; keep what stands");
            return Err(Problem::conflict("field_not_writable", detail));
        }
    }
    Ok(())
}

fn when(content: &mut Content, when: Option<&When>) {
    (content.start_at, content.end_at, content.start_date, content.end_date) = (None, None, None, None);
    match when {
        Some(When::Timed { start, end }) => {
            (content.start_at, content.end_at) = (Some(start.instant()), Some(end.instant()));
            content.time_zone = Some(start.zone().to_string());
        }
        Some(When::AllDay { start, end }) => {
            (content.start_date, content.end_date) = (Some(*start), Some(*end));
        }
        None => {}
    }
}

fn recurrence(content: &mut Content, key: Option<&str>, value: Value) -> Result<(), Problem> {
    let mut lines = match key {
        None => read::<Option<Vec<String>>>("recurrence", value)?.unwrap_or_default(),
        Some(line) => {
            let mut lines = content.recurrence.take().unwrap_or_default();
            lines.retain(|had| domain::calendar::recurrence::normal(had) != line);
            if !value.is_null() {
                lines.push(line.to_owned());
            }
            lines
        }
    };
    lines.dedup();
    content.recurrence = (!lines.is_empty()).then_some(lines);
    Ok(())
}

fn attendees(content: &mut Content, key: Option<&str>, value: Value) -> Result<(), Problem> {
    let Some(address) = key else {
        // By address, as the canonical event has them.
        let all: serde_json::Map<String, Value> = read("attendees", value)?;
        let all: Vec<Value> = all.into_iter().map(|(_, attendee)| attendee).collect();
        content.attendees = (!all.is_empty()).then_some(Value::Array(all));
        return Ok(());
    };
    let mut list = match content.attendees.take() {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    };
    let is = |attendee: &Value| {
        attendee["email"].as_str().is_some_and(|email| email.trim().to_lowercase() == address)
    };
    match (list.iter().position(is), value) {
        (Some(at), Value::Null) => drop(list.remove(at)),
        (Some(at), value) => list[at] = value,
        (None, Value::Null) => {}
        (None, value) => list.push(value),
    }
    content.attendees = (!list.is_empty()).then_some(Value::Array(list));
    Ok(())
}

fn reminders(reminders: &Reminders) -> Option<Value> {
    match reminders {
        Reminders::Calendar => None,
        Reminders::Own(own) => {
            let overrides: Vec<Value> =
                own.iter().map(|(method, minutes)| json!({ "method": method, "minutes": minutes })).collect();
            Some(json!({ "useDefault": false, "overrides": overrides }))
        }
    }
}
