//! An edit's traces: what of it can be seen in an event, or among the conflicts.

use std::collections::BTreeSet;

use domain::calendar::event::{Event, Field, Reminders, When};
use domain::calendar::merge::Loser;
use serde_json::{Map, Value};

/// Traces; each edit makes one that no other edit makes.
pub type Marks = BTreeSet<String>;

fn words(text: &str) -> String {
    // People here write "<b>t12</b><script>x</script>"; the provider stores "<b>t12</b>".
    text.replace("<script>x</script>", "")
}

fn text(marks: &mut Marks, kind: &str, value: Option<&String>) {
    if let Some(value) = value {
        marks.insert(format!("{kind}:{}", words(value)));
    }
}

fn when(marks: &mut Marks, value: &When) {
    marks.insert(match value {
        When::Timed { start, .. } => format!("when:{}", start.instant()),
        When::AllDay { start, .. } => format!("when:{start}"),
    });
}

fn attendee(marks: &mut Marks, address: &str, attendee: &Map<String, Value>) {
    marks.insert(format!("attendee:{address}"));
    if let Some(comment) = attendee.get("comment").and_then(Value::as_str) {
        marks.insert(format!("comment:{comment}"));
    }
}

fn reminders(marks: &mut Marks, value: &Reminders) {
    if let Reminders::Own(own) = value {
        marks.extend(own.iter().map(|(method, minutes)| format!("reminder:{method}{minutes}")));
    }
}

/// The traces in an event.
pub fn of(event: &Event) -> Marks {
    let mut marks = Marks::new();
    text(&mut marks, "title", event.title.as_ref());
    text(&mut marks, "description", event.description.as_ref());
    text(&mut marks, "location", event.location.as_ref());
    text(&mut marks, "color", event.color.as_ref());
    if let Some(value) = &event.when {
        when(&mut marks, value);
    }
    for (address, value) in &event.attendees {
        attendee(&mut marks, address, value);
    }
    reminders(&mut marks, &event.reminders);
    marks.extend(event.recurrence.iter().map(|line| format!("line:{line}")));
    marks
}

/// The traces in a conflict's loser.
pub fn of_loser(loser: &Loser) -> Marks {
    let mut marks = Marks::new();
    let string = loser.value.as_str().map(str::to_owned);
    match loser.field {
        Field::Title => text(&mut marks, "title", string.as_ref()),
        Field::Description => text(&mut marks, "description", string.as_ref()),
        Field::Location => text(&mut marks, "location", string.as_ref()),
        Field::Color => text(&mut marks, "color", string.as_ref()),
        Field::When => {
            if let Ok(value) = serde_json::from_value::<When>(loser.value.clone()) {
                when(&mut marks, &value);
            }
        }
        Field::Recurrence => text(&mut marks, "line", string.as_ref()),
        Field::Attendees => {
            if let (Some(address), Some(value)) = (&loser.key, loser.value.as_object()) {
                attendee(&mut marks, address, value);
            }
        }
        Field::Reminders => {
            if let Ok(value) = serde_json::from_value::<Reminders>(loser.value.clone()) {
                reminders(&mut marks, &value);
            }
        }
        _ => {}
    }
    marks
}
