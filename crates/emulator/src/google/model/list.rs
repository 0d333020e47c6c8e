//! `events.list`: full runs, deltas, windows, and series expanded on request.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::Google;
use super::acl::Role;
use super::error::ApiError;
use super::page::{Envelope, Rows};
use super::params::{Caller, ListParams};
use super::record::{Calendar, Record, list_order};
use super::render::{self, View};
use super::search::Conditions;
use super::switches::Tombstones;
use super::time::stamp;
use crate::rng::hash_str;

const DEFAULT_PAGE: usize = 250;
const LARGEST_PAGE: usize = 2500;
/// How far a series without an end is expanded when the caller names no bound.
const HORIZON: TimeDelta = TimeDelta::days(730);
/// What is reported of a deleted series when it is expanded (google-api-ruby-client 860).
const CANCELLED_HORIZON: TimeDelta = TimeDelta::days(183);
const EVENT_TYPES: [&str; 6] =
    ["birthday", "default", "focusTime", "fromGmail", "outOfOffice", "workingLocation"];

/// E8: the parameters that belong to the identity of a cursor.
fn identity(params: &ListParams) -> u64 {
    let mut types = params.event_types.clone();
    types.sort_unstable();
    hash_str(&format!(
        "{}|{:?}|{:?}|{:?}|{}",
        params.single_events, types, params.max_attendees, params.time_zone, params.show_hidden_invitations
    ))
}

/// E4, E5: what a sync token cannot be combined with.
fn check(params: &ListParams) -> Result<(), ApiError> {
    if let Some(kind) = params.event_types.iter().find(|kind| !EVENT_TYPES.contains(&kind.as_str())) {
        return Err(ApiError::parameter("eventTypes", format!("Invalid value '{kind}' for eventTypes.")));
    }
    match params.order_by.as_deref() {
        None | Some("updated") => {}
        Some("startTime") if params.single_events => {}
        Some("startTime") => {
            return Err(ApiError::parameter(
                "orderBy",
                "The requested ordering is not available for the particular query.",
            ));
        }
        Some(_) => return Err(ApiError::parameter("orderBy", "Invalid value for orderBy.")),
    }
    if params.sync_token.is_none() {
        return Ok(());
    }
    let forbidden = [
        ("iCalUID", params.ical_uid.is_some()),
        ("orderBy", params.order_by.is_some()),
        ("privateExtendedProperty", !params.private_properties.is_empty()),
        ("q", params.q.is_some()),
        ("sharedExtendedProperty", !params.shared_properties.is_empty()),
        ("timeMin", params.time_min.is_some()),
        ("timeMax", params.time_max.is_some()),
        ("updatedMin", params.updated_min.is_some()),
        ("showDeleted", params.show_deleted == Some(false)),
    ];
    match forbidden.into_iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((name, _)) => {
            Err(ApiError::parameter(name, format!("Sync token cannot be used with {name} restriction.")))
        }
    }
}

impl Google {
    /// `events.list`.
    ///
    /// # Errors
    /// Forbidden combinations (400), bad tokens (400, 410), no access.
    pub fn list(
        &mut self,
        caller: &Caller<'_>,
        calendar: &str,
        params: &ListParams,
    ) -> Result<Value, ApiError> {
        let id = self.access(caller, calendar, Role::FreeBusyReader)?;
        check(params)?;
        if params.page_token.is_some() {
            return self.next_page(caller, params, Some(&id));
        }
        let (resource, key) = (format!("events/{id}"), identity(params));
        let token = self.sync_start(caller, &resource, key, params)?;
        let mut conditions = Conditions::new(params, token.is_some(), caller.now, &self.switches)?;
        let ms = |at: Option<DateTime<Utc>>| at.map(|at| at.timestamp_millis());
        let mut window = (ms(conditions.from), ms(conditions.to));
        if let Some(token) = &token {
            window = token.window;
            if self.switches.window_on_delta {
                conditions.from = window.0.and_then(DateTime::from_timestamp_millis);
                conditions.to = window.1.and_then(DateTime::from_timestamp_millis);
            }
        }
        let calendar = self.calendar(&id)?;
        let view = Self::view(caller, calendar, params.time_zone.as_deref(), params.max_attendees)?;
        let since = token.as_ref().map(|token| token.seq);
        let rows = self.rows(calendar, params, &conditions, &view, since, caller.now);
        // A search has no token: it is no full run.
        let narrowed = params.ical_uid.is_some()
            || params.q.is_some()
            || params.order_by.is_some()
            || params.updated_min.is_some()
            || !params.private_properties.is_empty()
            || !params.shared_properties.is_empty();
        let sync = (!narrowed).then(|| self.fresh_token(caller, resource, key, window));
        let updated = calendar.records.values().map(|record| record.updated).max().unwrap_or(0);
        let mut body = json!({
            "kind": "calendar#events",
            "etag": format!("\"p{}\"", self.changes),
            "summary": calendar.summary,
            "updated": stamp(updated),
            "timeZone": view.zone.name(),
            "accessRole": view.role.text(),
            "defaultReminders": [{"method": "popup", "minutes": 10}],
        });
        if let Some(text) = &calendar.description {
            body["description"] = json!(text);
        }
        let envelope = Envelope { body, sync };
        self.first_page(caller, params, rows, envelope, (DEFAULT_PAGE, LARGEST_PAGE), Some(&id))
    }

    fn rows(
        &self,
        calendar: &Calendar,
        params: &ListParams,
        conditions: &Conditions,
        view: &View,
        since: Option<u64>,
        now: DateTime<Utc>,
    ) -> Rows {
        let candidates: Vec<&Record> = match since {
            Some(since) => {
                calendar.by_change.range(since + 1..).filter_map(|(_, id)| calendar.records.get(id)).collect()
            }
            None => calendar.records.values().collect(),
        };
        // What deleted events look like depends on what was asked for (A2).
        let tombstones = if since.is_some() { self.switches.tombstones } else { Tombstones::Detailed };
        let draw = |record: &Record| render::row(calendar, record, view, tombstones);
        if params.single_events {
            return self.expanded(calendar, params, conditions, view, &candidates, since.is_some(), now);
        }
        let mut chosen: Vec<(u64, Option<&Record>)> = candidates
            .into_iter()
            .map(|record| {
                let shown = conditions.shows_status(calendar, record)
                    && conditions.matches(record, params)
                    && conditions.in_window(record, calendar.zone);
                let order =
                    if params.order_by.is_some() { record.updated as u64 } else { list_order(&record.id) };
                (order, shown.then_some(record))
            })
            .collect();
        chosen.sort_by_key(|(order, _)| *order);
        chosen.into_iter().map(|(_, record)| record.map(draw)).collect()
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one question")]
    fn expanded(
        &self,
        calendar: &Calendar,
        params: &ListParams,
        conditions: &Conditions,
        view: &View,
        candidates: &[&Record],
        delta: bool,
        now: DateTime<Utc>,
    ) -> Rows {
        let mut found: Vec<(i64, Value)> = Vec::new();
        let mut shown: BTreeSet<String> = BTreeSet::new();
        let tombstones = if delta { self.switches.tombstones } else { Tombstones::Detailed };
        let mut push = |record: &Record| {
            let visible = conditions.shows_status(calendar, record)
                && conditions.matches(record, params)
                && conditions.overlaps(record.start, record.end, calendar.zone);
            if visible && shown.insert(record.id.clone()) {
                let order = if params.order_by.as_deref() == Some("updated") {
                    record.updated
                } else {
                    record.start.instant(calendar.zone).timestamp()
                };
                found.push((order, render::row(calendar, record, view, tombstones)));
            }
        };
        for record in candidates {
            let Some(series) = &record.series else {
                push(record);
                continue;
            };
            let horizon = if record.cancelled() { CANCELLED_HORIZON } else { HORIZON };
            let end = conditions.to.unwrap_or(now + horizon);
            for when in series.until(&record.start, end, calendar.zone) {
                let instance = record.instance(when);
                match calendar.records.get(&instance.id) {
                    Some(exception) => push(exception),
                    None => push(&instance),
                }
            }
        }
        found.sort_by_key(|(order, _)| *order);
        found.into_iter().map(|(_, row)| Some(row)).collect()
    }
}
