//! The days of a `patternedRecurrence` (recurrencePattern, recurrenceRange; Graph v1.0). A day that a month lacks is the
//! month's last day.

use chrono::{Datelike, Days, Months, NaiveDate};
use serde_json::Value;

use crate::microsoft::errors::GraphError;

/// Days that one series may have.
const MOST: usize = 5_000;
const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

fn refuse(what: &str) -> GraphError {
    GraphError::new(
        400,
        "ErrorPropertyValidationFailure",
        format!("At least one property failed validation: {what}."),
    )
}

fn number(value: &Value, key: &str, range: std::ops::RangeInclusive<u32>) -> Result<u32, GraphError> {
    let found = value[key].as_u64().and_then(|number| u32::try_from(number).ok());
    found.filter(|number| range.contains(number)).ok_or_else(|| refuse(key))
}

/// A pattern that was checked.
#[derive(Debug)]
struct Pattern {
    kind: String,
    interval: u32,
    days: Vec<u32>,
    week_start: u32,
    day: u32,
    month: u32,
    index: Option<usize>,
}

impl Pattern {
    fn read(raw: &Value) -> Result<Self, GraphError> {
        let kind = raw["type"].as_str().ok_or_else(|| refuse("type"))?.to_owned();
        let weekday = |name: &str| DAYS.iter().position(|day| *day == name).map(|n| n as u32);
        let listed = raw["daysOfWeek"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let days: Vec<u32> =
            listed.map(|name| weekday(name).ok_or_else(|| refuse("daysOfWeek"))).collect::<Result<_, _>>()?;
        let absolute = matches!(kind.as_str(), "absoluteMonthly" | "absoluteYearly");
        let relative = matches!(kind.as_str(), "relativeMonthly" | "relativeYearly");
        if (relative || kind == "weekly") && days.is_empty() {
            return Err(refuse("daysOfWeek"));
        }
        if !(absolute || relative || matches!(kind.as_str(), "daily" | "weekly")) {
            return Err(refuse("type"));
        }
        let index = match raw["index"].as_str().unwrap_or("first") {
            "first" => Some(0),
            "second" => Some(1),
            "third" => Some(2),
            "fourth" => Some(3),
            "last" => None,
            _ => return Err(refuse("index")),
        };
        Ok(Self {
            interval: number(raw, "interval", 1..=999)?,
            days,
            week_start: weekday(raw["firstDayOfWeek"].as_str().unwrap_or("sunday"))
                .ok_or_else(|| refuse("firstDayOfWeek"))?,
            day: if absolute { number(raw, "dayOfMonth", 1..=31)? } else { 1 },
            month: if kind.ends_with("Yearly") { number(raw, "month", 1..=12)? } else { 1 },
            index,
            kind,
        })
    }

    /// Its days in period `k`, counted from the one that holds `start`.
    fn period(&self, start: NaiveDate, k: u32) -> Option<Vec<NaiveDate>> {
        let step = k.checked_mul(self.interval)?;
        Some(match self.kind.as_str() {
            "daily" => vec![start.checked_add_days(Days::new(step.into()))?],
            "weekly" => {
                let behind = (start.weekday().num_days_from_monday() + 7 - self.week_start) % 7;
                let week = start - Days::new(behind.into());
                let week = week.checked_add_days(Days::new(u64::from(step) * 7))?;
                week.iter_days().take(7).filter(|day| self.has(*day)).collect()
            }
            kind => {
                let month = if kind.ends_with("Yearly") {
                    NaiveDate::from_ymd_opt(start.year() + i32::try_from(step).ok()?, self.month, 1)?
                } else {
                    start.with_day(1)?.checked_add_months(Months::new(step))?
                };
                let days: Vec<NaiveDate> =
                    month.iter_days().take_while(|day| day.month() == month.month()).collect();
                if kind.starts_with("absolute") {
                    vec![days[(self.day as usize).min(days.len()) - 1]]
                } else {
                    let mut own = days.into_iter().filter(|day| self.has(*day));
                    match self.index {
                        Some(index) => own.nth(index),
                        None => own.next_back(),
                    }
                    .into_iter()
                    .collect()
                }
            }
        })
    }

    fn has(&self, day: NaiveDate) -> bool {
        self.days.contains(&day.weekday().num_days_from_monday())
    }
}

/// The days of a series that begins on `start`, up to and with `until`.
pub(crate) fn days(
    recurrence: &Value,
    start: NaiveDate,
    until: NaiveDate,
) -> Result<Vec<NaiveDate>, GraphError> {
    let pattern = Pattern::read(&recurrence["pattern"])?;
    let range = &recurrence["range"];
    let (count, last) = match range["type"].as_str() {
        Some("numbered") => (number(range, "numberOfOccurrences", 1..=999)? as usize, until),
        Some("endDate") => {
            let end: Option<NaiveDate> = range["endDate"].as_str().and_then(|text| text.parse().ok());
            (MOST, end.ok_or_else(|| refuse("endDate"))?.min(until))
        }
        Some("noEnd") => (MOST, until),
        _ => return Err(refuse("range")),
    };
    let mut found = Vec::new();
    for k in 0.. {
        let Some(days) = pattern.period(start, k) else { break };
        for day in days.iter().filter(|day| **day >= start) {
            if *day > last || found.len() == count {
                return Ok(found);
            }
            found.push(*day);
        }
        // A period may be empty; years are not endless.
        if days.first().is_some_and(|day| *day > last) || k > 20_000 {
            break;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patterns_of_all_kinds() {
        let start: NaiveDate = "2026-01-31".parse().expect("day");
        let of = |pattern: Value, count: u32| {
            let range = json!({"type": "numbered", "numberOfOccurrences": count});
            let found =
                days(&json!({"pattern": pattern, "range": range}), start, NaiveDate::MAX).expect("days");
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(of(json!({"type": "daily", "interval": 2}), 2), ["2026-01-31", "2026-02-02"]);
        let weekly = json!({"type": "weekly", "interval": 2, "daysOfWeek": ["monday", "saturday"], "firstDayOfWeek": "monday"});
        assert_eq!(of(weekly, 3), ["2026-01-31", "2026-02-09", "2026-02-14"]);
        let monthly = json!({"type": "absoluteMonthly", "interval": 1, "dayOfMonth": 31});
        assert_eq!(of(monthly, 3), ["2026-01-31", "2026-02-28", "2026-03-31"]);
        let last =
            json!({"type": "relativeMonthly", "interval": 1, "daysOfWeek": ["friday"], "index": "last"});
        assert_eq!(of(last, 2), ["2026-02-27", "2026-03-27"]);
        let yearly = json!({"type": "absoluteYearly", "interval": 1, "month": 2, "dayOfMonth": 29});
        assert_eq!(of(yearly, 3), ["2026-02-28", "2027-02-28", "2028-02-29"]);
        assert!(days(&json!({"pattern": {"type": "hourly", "interval": 1}}), start, start).is_err());
    }
}
