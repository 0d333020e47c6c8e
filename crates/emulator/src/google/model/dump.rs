//! The canonical dump: everything that is alive, in an order that does not depend on how it came about.

use serde_json::{Value, json};

use super::Google;
use super::acl::Role;
use super::record::{Calendar, Record};
use super::render::{self, View};

impl Google {
    /// All calendars with their events; deleted events are left out, cancelled exceptions of live series not.
    pub fn dump(&self) -> Value {
        let calendars: Vec<Value> = self.calendars.values().map(dump_calendar).collect();
        json!({"accounts": self.accounts.keys().collect::<Vec<_>>(), "calendars": calendars})
    }

    /// The events of one calendar as [`Google::dump`] has them.
    pub fn dump_events(&self, calendar: &str) -> Vec<Value> {
        self.calendars.get(calendar).map(dump_events).unwrap_or_default()
    }

    /// All events of one calendar as `get` shows them, deleted ones and those not yet found too; exceptions of a
    /// deleted series and exceptions without a place are left out.
    pub fn history(&self, calendar: &str) -> Vec<Value> {
        let Some(calendar) = self.calendars.get(calendar) else { return Vec::new() };
        let view = View { zone: calendar.zone, max_attendees: None, role: Role::Owner };
        let records = calendar.records.values();
        let shown = records.filter(|record| record.parent.is_none() || live(calendar, record));
        shown.map(|record| render::event(calendar, record, &view)).collect()
    }

    /// The number of the last change anywhere: a write that changed nothing leaves it alone.
    pub fn changes(&self) -> u64 {
        self.changes
    }
}

fn live(calendar: &Calendar, record: &Record) -> bool {
    match record.parent {
        None => !record.cancelled(),
        Some(_) => !record.orphan && !calendar.series_gone(record),
    }
}

fn dump_events(calendar: &Calendar) -> Vec<Value> {
    let view = View { zone: calendar.zone, max_attendees: None, role: Role::Owner };
    calendar
        .records
        .values()
        .filter(|record| live(calendar, record))
        .map(|record| {
            if record.cancelled() {
                render::tombstone(record, view.zone)
            } else {
                render::event(calendar, record, &view)
            }
        })
        .collect()
}

fn dump_calendar(calendar: &Calendar) -> Value {
    json!({
        "id": calendar.id,
        "summary": calendar.summary,
        "time_zone": calendar.zone.name(),
        "owner": calendar.owner,
        "events": dump_events(calendar),
    })
}
