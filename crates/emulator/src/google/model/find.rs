//! `events.get`, and finding events and instances by id.

use chrono_tz::Tz;
use serde_json::Value;

use super::Google;
use super::acl::Role;
use super::error::ApiError;
use super::params::{Caller, ListParams};
use super::record::{Calendar, Record};
use super::render::{self, View};
use super::time::{When, zone};

/// An event that exists, or an instance that does not yet have a record of its own.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) record: Record,
    pub(crate) stored: bool,
}

/// Finds an event or an instance of a series (E18).
pub(crate) fn find(calendar: &Calendar, id: &str, now_ms: i64) -> Result<Found, ApiError> {
    if let Some(record) = calendar.records.get(id) {
        if record.visible_from > now_ms || calendar.series_gone(record) {
            return Err(ApiError::not_found());
        }
        return Ok(Found { record: record.clone(), stored: true });
    }
    let (parent, suffix) = id.split_once('_').ok_or_else(ApiError::not_found)?;
    let series = calendar
        .records
        .get(parent)
        .filter(|record| !record.cancelled() && record.visible_from <= now_ms)
        .ok_or_else(ApiError::not_found)?;
    let rules = series.series.as_ref().ok_or_else(ApiError::not_found)?;
    let when = When::of_suffix(suffix, &series.start).ok_or_else(ApiError::not_found)?;
    if !rules.has(&series.start, &when) {
        return Err(ApiError::not_found());
    }
    Ok(Found { record: series.instance(when), stored: false })
}

impl Google {
    /// How the caller sees a calendar.
    pub(crate) fn view(
        caller: &Caller<'_>,
        calendar: &Calendar,
        zone_name: Option<&str>,
        max_attendees: Option<usize>,
    ) -> Result<View, ApiError> {
        let zone: Tz = match zone_name {
            None => calendar.zone,
            Some(name) => zone(name).ok_or_else(|| ApiError::parameter("timeZone", "Invalid time zone."))?,
        };
        Ok(View { zone, max_attendees, role: Self::role(caller.account, calendar) })
    }

    /// `events.get`: cancelled events too (E22).
    ///
    /// # Errors
    /// 404 for what never was, is not yet visible, or is not shared with the caller.
    pub fn get(
        &self,
        caller: &Caller<'_>,
        calendar: &str,
        event: &str,
        params: &ListParams,
    ) -> Result<Value, ApiError> {
        let id = self.access(caller, calendar, Role::FreeBusyReader)?;
        let calendar = self.calendar(&id)?;
        let found = find(calendar, event, caller.now.timestamp_millis())?;
        let view = Self::view(caller, calendar, params.time_zone.as_deref(), params.max_attendees)?;
        Ok(render::event(calendar, &found.record, &view))
    }
}
