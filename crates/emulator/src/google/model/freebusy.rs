//! `freeBusy.query`: an error of one calendar is no error of the answer (E40).

use serde_json::{Map, Value, json};

use super::Google;
use super::acl::Role;
use super::error::ApiError;
use super::params::Caller;
use super::time::bound;

const MOST_CALENDARS: u64 = 50;

fn fault(reason: &str) -> Value {
    json!({"errors": [{"domain": "global", "reason": reason}], "busy": []})
}

impl Google {
    /// `freeBusy.query`.
    ///
    /// # Errors
    /// A missing or empty window, an expansion beyond the limit.
    pub fn free_busy(&self, caller: &Caller<'_>, body: &Value) -> Result<Value, ApiError> {
        let edge = |name: &'static str| {
            let text = body[name].as_str().ok_or_else(|| ApiError::required(format!("Missing {name}.")))?;
            bound(name, text)
        };
        let (from, to) = (edge("timeMin")?, edge("timeMax")?);
        if to <= from {
            return Err(ApiError::range_empty());
        }
        let limit = body["calendarExpansionMax"].as_u64();
        if limit.is_some_and(|limit| limit > MOST_CALENDARS) {
            return Err(ApiError::parameter("calendarExpansionMax", "Calendar expansion max is 50."));
        }
        let mut calendars = Map::new();
        for (at, item) in body["items"].as_array().map_or(&[][..], Vec::as_slice).iter().enumerate() {
            let Some(name) = item["id"].as_str() else { continue };
            let answer = if limit.is_some_and(|limit| at as u64 >= limit) {
                fault("tooManyCalendarsRequested")
            } else {
                match self.access(caller, name, Role::FreeBusyReader) {
                    Err(_) => fault("notFound"),
                    Ok(id) => json!({"busy": self.busy(&id, from.timestamp(), to.timestamp())?}),
                }
            };
            calendars.insert(name.to_owned(), answer);
        }
        Ok(json!({
            "kind": "calendar#freeBusy",
            "timeMin": from.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            "timeMax": to.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            "groups": {},
            "calendars": calendars,
        }))
    }

    /// Merged spans in which the calendar is busy.
    fn busy(&self, id: &str, from: i64, to: i64) -> Result<Vec<Value>, ApiError> {
        let calendar = self.calendar(id)?;
        let mut spans: Vec<(i64, i64)> = Vec::new();
        let mut push = |record: &super::record::Record| {
            let start = record.start.instant(calendar.zone).timestamp();
            let end = record.end.instant(calendar.zone).timestamp();
            if !record.cancelled()
                && !calendar.series_gone(record)
                && record.text("transparency") != "transparent"
                && end > from
                && start < to
            {
                spans.push((start.max(from), end.min(to)));
            }
        };
        let end = chrono::DateTime::from_timestamp(to, 0).unwrap_or_default();
        for record in calendar.records.values() {
            match &record.series {
                None => push(record),
                Some(_) if record.cancelled() => {}
                Some(series) => {
                    for when in series.until(&record.start, end, calendar.zone) {
                        let instance = record.instance(when);
                        if !calendar.records.contains_key(&instance.id) {
                            push(&instance);
                        }
                    }
                }
            }
        }
        spans.sort_unstable();
        let mut merged: Vec<(i64, i64)> = Vec::new();
        for (start, end) in spans {
            match merged.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => merged.push((start, end)),
            }
        }
        let text = |seconds| super::time::stamp(seconds * 1000).replace(".000Z", "Z");
        Ok(merged.into_iter().map(|(start, end)| json!({"start": text(start), "end": text(end)})).collect())
    }
}
