//! `events.instances`: the occurrences of a series, exceptions in their places.

use std::str::FromStr as _;

use chrono::{NaiveDate, TimeDelta};
use serde_json::{Value, json};

use super::Google;
use super::acl::Role;
use super::error::ApiError;
use super::find::find;
use super::page::{Envelope, Rows};
use super::params::{Caller, ListParams};
use super::record::Record;
use super::render;
use super::search::Conditions;
use super::switches::Tombstones;
use super::time::{When, bound, stamp};

const HORIZON: TimeDelta = TimeDelta::days(730);

impl Google {
    /// `events.instances`. Of an instance it is that instance, of a cancelled one nothing (A3).
    ///
    /// # Errors
    /// An unknown event, a bad bound, no access.
    pub fn instances(
        &mut self,
        caller: &Caller<'_>,
        calendar: &str,
        event: &str,
        params: &ListParams,
    ) -> Result<Value, ApiError> {
        let id = self.access(caller, calendar, Role::FreeBusyReader)?;
        if params.page_token.is_some() {
            return self.next_page(caller, params, None);
        }
        let calendar = self.calendar(&id)?;
        let found = find(calendar, event, caller.now.timestamp_millis())?.record;
        let plain = ListParams { updated_min: None, ..params.clone() };
        let conditions = Conditions::new(&plain, false, caller.now, &self.switches)?;
        let view = Self::view(caller, calendar, params.time_zone.as_deref(), params.max_attendees)?;
        // The parameter has no format: a day for all-day events, a time for the others.
        let day = params.original_start.as_deref().and_then(|text| NaiveDate::from_str(text).ok());
        let instant = match params.original_start.as_deref().filter(|_| day.is_none()) {
            None => None,
            Some(text) => Some(bound("originalStart", text)?),
        };
        let wanted = |when: When| {
            day.is_none_or(|day| when == When::Day(day))
                && instant.is_none_or(|instant| when.instant(calendar.zone) == instant)
        };
        let mut rows: Rows = Vec::new();
        let mut push = |record: &Record| {
            if record.original.is_none_or(wanted)
                && (!record.cancelled() || conditions.shows_deleted())
                && conditions.overlaps(record.start, record.end, calendar.zone)
            {
                rows.push(Some(render::row(calendar, record, &view, Tombstones::Bare)));
            }
        };
        match &found.series {
            None => push(&found),
            Some(_) if found.cancelled() => {}
            Some(series) => {
                let end = conditions.to.unwrap_or(caller.now + HORIZON);
                for when in series.until(&found.start, end, calendar.zone).filter(|when| wanted(*when)) {
                    let instance = found.instance(when);
                    push(calendar.records.get(&instance.id).unwrap_or(&instance));
                }
            }
        }
        let body = json!({
            "kind": "calendar#events",
            "etag": format!("\"p{}\"", self.changes),
            "summary": calendar.summary,
            "updated": stamp(found.updated),
            "timeZone": view.zone.name(),
            "accessRole": view.role.text(),
            "defaultReminders": [{"method": "popup", "minutes": 10}],
        });
        self.first_page(caller, params, rows, Envelope { body, sync: None }, (250, 2500), None)
    }
}
