//! Days, instants and zones of events, and the ids of instances.

use std::str::FromStr as _;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};

use super::error::ApiError;

/// A start or an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// A day, wherever it is looked at.
    Day(NaiveDate),
    /// An instant, and the zone that its wall clock is in.
    At(DateTime<Utc>, Tz),
}

/// The instant of a wall clock. In a gap the clock is taken as that of before the gap, so that it comes out
/// later; of two the first one counts.
pub(crate) fn instant(wall: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    if let Some(at) = zone.from_local_datetime(&wall).earliest() {
        return at.with_timezone(&Utc);
    }
    let before = wall - TimeDelta::hours(24);
    let offset = zone
        .from_local_datetime(&before)
        .earliest()
        .map_or(TimeDelta::zero(), |at| at.naive_local() - at.naive_utc());
    (wall - offset).and_utc()
}

pub(crate) fn zone(name: &str) -> Option<Tz> {
    Tz::from_str(name).ok()
}

/// `2026-11-20T13:59:15.123Z`
pub(crate) fn stamp(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms)
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

impl When {
    pub(crate) fn is_day(&self) -> bool {
        matches!(self, Self::Day(_))
    }

    /// The wall clock: midnight for days.
    pub(crate) fn wall(&self) -> NaiveDateTime {
        match self {
            Self::Day(day) => day.and_time(NaiveTime::MIN),
            Self::At(at, zone) => at.with_timezone(zone).naive_local(),
        }
    }

    /// The same kind and zone with another wall clock.
    pub(crate) fn with_wall(&self, wall: NaiveDateTime) -> Self {
        match self {
            Self::Day(_) => Self::Day(wall.date()),
            Self::At(_, zone) => Self::At(instant(wall, *zone), *zone),
        }
    }

    /// The instant; a day begins in `zone`.
    pub(crate) fn instant(&self, day_zone: Tz) -> DateTime<Utc> {
        match self {
            Self::Day(day) => instant(day.and_time(NaiveTime::MIN), day_zone),
            Self::At(at, _) => *at,
        }
    }

    /// As the API writes it: instants in the zone of the answer.
    pub(crate) fn json(&self, answer_zone: Tz) -> Value {
        match self {
            Self::Day(day) => json!({"date": day.to_string()}),
            Self::At(at, zone) => json!({
                "dateTime": at.with_timezone(&answer_zone).to_rfc3339_opts(SecondsFormat::Secs, true),
                "timeZone": zone.name(),
            }),
        }
    }

    /// The part of an instance id that says when: a day, or an instant in UTC.
    pub(crate) fn suffix(&self) -> String {
        match self {
            Self::Day(day) => day.format("%Y%m%d").to_string(),
            Self::At(at, _) => at.format("%Y%m%dT%H%M%SZ").to_string(),
        }
    }

    /// The original start that an instance id names, in the zone of the series.
    pub(crate) fn of_suffix(text: &str, series: &When) -> Option<Self> {
        match series {
            Self::Day(_) => NaiveDate::parse_from_str(text, "%Y%m%d").ok().map(Self::Day),
            Self::At(_, zone) => NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%SZ")
                .ok()
                .map(|naive| Self::At(naive.and_utc(), *zone)),
        }
    }

    /// Reads a start or end; `name` is for messages.
    pub(crate) fn parse(
        value: &Value,
        name: &'static str,
        calendar_zone: Tz,
        recurring: bool,
    ) -> Result<Self, ApiError> {
        let text = |key: &str| value[key].as_str().filter(|text| !text.is_empty());
        let given = match text("timeZone") {
            None => None,
            Some(zone_name) => Some(zone(zone_name).ok_or_else(|| {
                ApiError::invalid(format!("Invalid time zone definition for {name} time."))
            })?),
        };
        match (text("date"), text("dateTime")) {
            (Some(_), Some(_)) => Err(ApiError::invalid(format!(
                "Invalid {name} time: only one of date and dateTime may be set."
            ))),
            (None, None) => Err(ApiError::required(format!("Missing {name} time."))),
            (Some(day), None) => NaiveDate::parse_from_str(day, "%Y-%m-%d")
                .map(Self::Day)
                .map_err(|_| ApiError::invalid(format!("Invalid value for: Invalid format: \"{day}\""))),
            (None, Some(clock)) => {
                if recurring && given.is_none() {
                    return Err(ApiError::required(format!("Missing time zone definition for {name} time.")));
                }
                if let Ok(at) = DateTime::parse_from_rfc3339(clock) {
                    let at = at.with_timezone(&Utc);
                    let whole = DateTime::from_timestamp(at.timestamp(), 0).unwrap_or(at);
                    return Ok(Self::At(whole, given.unwrap_or(calendar_zone)));
                }
                let wall = NaiveDateTime::parse_from_str(clock, "%Y-%m-%dT%H:%M:%S%.f").map_err(|_| {
                    ApiError::invalid(format!("Invalid value for: Invalid format: \"{clock}\""))
                })?;
                let zone = given.ok_or_else(|| {
                    ApiError::required(format!("Missing time zone definition for {name} time."))
                })?;
                Ok(Self::At(instant(wall, zone), zone))
            }
        }
    }
}

/// A bound of a list window; an offset is mandatory.
pub(crate) fn bound(name: &'static str, text: &str) -> Result<DateTime<Utc>, ApiError> {
    DateTime::parse_from_rfc3339(text)
        .map(|at| at.with_timezone(&Utc))
        .map_err(|_| ApiError::parameter(name, "Bad Request"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_in_a_gap_comes_out_later() {
        let paris = zone("Europe/Paris").unwrap();
        let gap = NaiveDate::from_ymd_opt(2026, 3, 29).unwrap().and_hms_opt(2, 30, 0).unwrap();
        assert_eq!(instant(gap, paris).to_rfc3339(), "2026-03-29T01:30:00+00:00");
        let twice = NaiveDate::from_ymd_opt(2026, 10, 25).unwrap().and_hms_opt(2, 30, 0).unwrap();
        assert_eq!(instant(twice, paris).to_rfc3339(), "2026-10-25T00:30:00+00:00");
    }
}
