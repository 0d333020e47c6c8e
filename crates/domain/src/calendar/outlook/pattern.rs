//! `patternedRecurrence` to an RRULE and back (recurrencePattern, recurrenceRange; Graph v1.0).
//!
//! Outlook moves a day that a month lacks to the month's last day, where an RRULE skips the month: the two forms are
//! turned into each other by what they do, not by their letters.

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use serde_json::{Map, Value, json};

use super::Refusal;
use crate::calendar::event::{When, Zone};
use crate::calendar::recurrence::normal;

/// Days of the week as RRULE and Outlook call them, from Monday.
const DAYS: [(&str, &str); 7] = [
    ("MO", "monday"),
    ("TU", "tuesday"),
    ("WE", "wednesday"),
    ("TH", "thursday"),
    ("FR", "friday"),
    ("SA", "saturday"),
    ("SU", "sunday"),
];
/// `weekIndex`, and the position of a rule.
const INDEXES: [(&str, i64); 5] = [("first", 1), ("second", 2), ("third", 3), ("fourth", 4), ("last", -1)];
/// Most days that every month has.
const ALWAYS: i64 = 28;

/// The RRULE line of an event's `recurrence`; `None` for one that does not recur, or in a form that is not known.
pub(super) fn line(raw: &Value, start: &When) -> Option<String> {
    let (pattern, range) = (&raw["pattern"], &raw["range"]);
    let number = |key: &str| pattern[key].as_i64();
    let mut parts: Vec<String> = match pattern["type"].as_str()? {
        "daily" => vec!["FREQ=DAILY".to_owned()],
        "weekly" => {
            let mut parts = vec!["FREQ=WEEKLY".to_owned(), format!("BYDAY={}", days(pattern)?.join(","))];
            let first = pattern["firstDayOfWeek"].as_str().unwrap_or("sunday");
            // It matters only where weeks are left out.
            if number("interval").unwrap_or(1) > 1 {
                parts.push(format!("WKST={}", short(first)?));
            }
            parts
        }
        "absoluteMonthly" => vec!["FREQ=MONTHLY".to_owned(), day_of_month(number("dayOfMonth")?)?],
        "relativeMonthly" => vec!["FREQ=MONTHLY".to_owned(), nth(pattern)?],
        "absoluteYearly" => {
            let (month, day) = (number("month")?, number("dayOfMonth")?);
            vec!["FREQ=YEARLY".to_owned(), format!("BYMONTH={month}"), day_of_year(month, day)?]
        }
        "relativeYearly" => {
            vec!["FREQ=YEARLY".to_owned(), format!("BYMONTH={}", number("month")?), nth(pattern)?]
        }
        _ => return None,
    };
    if let Some(interval) = number("interval").filter(|interval| *interval > 1) {
        parts.push(format!("INTERVAL={interval}"));
    }
    match range["type"].as_str() {
        Some("numbered") => parts.push(format!("COUNT={}", range["numberOfOccurrences"].as_i64()?)),
        Some("endDate") => parts.push(until(range["endDate"].as_str()?.parse().ok()?, start)),
        _ => {}
    }
    Some(normal(&format!("RRULE:{}", parts.join(";"))))
}

fn short(day: &str) -> Option<&'static str> {
    DAYS.iter().find(|(_, long)| long.eq_ignore_ascii_case(day)).map(|(short, _)| *short)
}

fn days(pattern: &Value) -> Option<Vec<&'static str>> {
    let named: Vec<&str> = pattern["daysOfWeek"].as_array()?.iter().filter_map(Value::as_str).collect();
    let found: Vec<&str> = DAYS
        .iter()
        .filter(|(_, long)| named.iter().any(|day| day.eq_ignore_ascii_case(long)))
        .map(|(short, _)| *short)
        .collect();
    (!found.is_empty()).then_some(found)
}

/// `BYDAY=2TU`, or several days and the position among them.
fn nth(pattern: &Value) -> Option<String> {
    let (index, found) = (pattern["index"].as_str().unwrap_or("first"), days(pattern)?);
    let position = INDEXES.iter().find(|(name, _)| name.eq_ignore_ascii_case(index))?.1;
    Some(match found.as_slice() {
        [day] => format!("BYDAY={position}{day}"),
        several => format!("BYDAY={};BYSETPOS={position}", several.join(",")),
    })
}

/// A day of every month, or the last one of those that are too short.
fn day_of_month(day: i64) -> Option<String> {
    Some(match day {
        1..=ALWAYS => format!("BYMONTHDAY={day}"),
        29 => "BYMONTHDAY=28,29;BYSETPOS=-1".to_owned(),
        30 => "BYMONTHDAY=28,29,30;BYSETPOS=-1".to_owned(),
        31 => "BYMONTHDAY=-1".to_owned(),
        _ => return None,
    })
}

/// Days of the month in a year that is no leap year.
fn shortest(month: i64) -> Option<i64> {
    Some(match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28,
        _ => return None,
    })
}

fn day_of_year(month: i64, day: i64) -> Option<String> {
    let most = shortest(month)?;
    Some(match day {
        1.. if day <= most => format!("BYMONTHDAY={day}"),
        29..=31 if month == 2 => "BYMONTHDAY=-1".to_owned(),
        29..=31 => format!("BYMONTHDAY={most}"),
        _ => return None,
    })
}

/// The whole last day counts.
fn until(day: NaiveDate, start: &When) -> String {
    match start {
        When::AllDay { .. } => format!("UNTIL={}", day.format("%Y%m%d")),
        When::Timed { start, .. } => {
            let last = day.and_hms_opt(23, 59, 59).unwrap_or_default();
            format!("UNTIL={}", start.zone().instant(last, true).format("%Y%m%dT%H%M%SZ"))
        }
    }
}

/// The parts of a rule.
#[derive(Default)]
struct Rule {
    freq: String,
    interval: i64,
    days: Vec<(Option<i64>, &'static str)>,
    month_days: Vec<i64>,
    month: Option<i64>,
    position: Option<i64>,
    count: Option<i64>,
    until: Option<String>,
    week_start: Option<&'static str>,
}

fn refuse<T>(line: &str, why: &str) -> Result<T, Refusal> {
    Err(Refusal::new(format!("Outlook cannot repeat an event by {line:?}: {why}")))
}

fn rule(line: &str) -> Result<Rule, Refusal> {
    let Some(body) = line.strip_prefix("RRULE:") else {
        return refuse(line, "it knows one RRULE only; delete occurrences instead of naming them in EXDATE");
    };
    let mut rule = Rule { interval: 1, ..Rule::default() };
    for part in body.split(';') {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let whole = || value.parse::<i64>().ok();
        let known = match key {
            "FREQ" => {
                value.clone_into(&mut rule.freq);
                true
            }
            "INTERVAL" => whole().filter(|n| (1..=999).contains(n)).is_some_and(|n| {
                rule.interval = n;
                true
            }),
            "COUNT" => {
                rule.count = whole();
                rule.count.is_some()
            }
            "UNTIL" => {
                rule.until = Some(value.to_owned());
                true
            }
            "WKST" => {
                rule.week_start = DAYS.iter().find(|(day, _)| *day == value).map(|(day, _)| *day);
                rule.week_start.is_some()
            }
            "BYMONTH" => {
                rule.month = whole();
                rule.month.is_some_and(|month| (1..=12).contains(&month))
            }
            "BYSETPOS" => {
                rule.position = whole();
                rule.position.is_some()
            }
            "BYMONTHDAY" => value.split(',').all(|day| match day.parse() {
                Ok(day) => {
                    rule.month_days.push(day);
                    true
                }
                Err(_) => false,
            }),
            "BYDAY" => value.split(',').all(|text| match weekday(text) {
                Some(day) => {
                    rule.days.push(day);
                    true
                }
                None => false,
            }),
            _ => false,
        };
        if !known {
            return refuse(line, &format!("it has no words for {part}"));
        }
    }
    Ok(rule)
}

fn weekday(text: &str) -> Option<(Option<i64>, &'static str)> {
    let (number, name) = text.split_at_checked(text.len().checked_sub(2)?)?;
    let day = DAYS.iter().find(|(day, _)| *day == name)?.0;
    if number.is_empty() { Some((None, day)) } else { Some((Some(number.parse().ok()?), day)) }
}

/// The `recurrence` of a rule.
///
/// # Errors
/// Outlook has no pattern for it.
pub(super) fn recurrence(line: &str, start: &When) -> Result<Value, Refusal> {
    let rule = rule(line)?;
    let first = match start {
        When::Timed { start, .. } => start.wall().date(),
        When::AllDay { start, .. } => *start,
    };
    let mut pattern = pattern(line, &rule, first)?;
    pattern.insert("interval".to_owned(), json!(rule.interval));
    let mut range = json!({ "startDate": first.to_string() });
    if let When::Timed { start, .. } = start {
        let Zone::Named(zone) = start.zone() else {
            return refuse(line, "a series needs a time zone by name, such as Europe/Paris");
        };
        range["recurrenceTimeZone"] = json!(zone.name());
    }
    match (&rule.count, &rule.until) {
        (Some(_), Some(_)) => return refuse(line, "COUNT and UNTIL exclude each other"),
        (Some(count), None) => {
            (range["type"], range["numberOfOccurrences"]) = (json!("numbered"), json!(count));
        }
        (None, Some(until)) => {
            let Some(last) = last_day(until, start) else { return refuse(line, "UNTIL is no time") };
            (range["type"], range["endDate"]) = (json!("endDate"), json!(last.max(first).to_string()));
        }
        (None, None) => range["type"] = json!("noEnd"),
    }
    Ok(json!({ "pattern": pattern, "range": range }))
}

/// The last day that still has an occurrence's start before `UNTIL`.
fn last_day(until: &str, start: &When) -> Option<NaiveDate> {
    if let Ok(day) = NaiveDate::parse_from_str(until, "%Y%m%d") {
        return Some(day);
    }
    let (text, utc) = until.strip_suffix('Z').map_or((until, false), |text| (text, true));
    let given = NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%S").ok()?;
    let (wall, at) = match start {
        When::Timed { start, .. } if utc => (start.zone().wall(given.and_utc()), start.wall().time()),
        When::Timed { start, .. } => (given, start.wall().time()),
        When::AllDay { .. } => (given, NaiveTime::MIN),
    };
    Some(if wall.time() < at { wall.date() - TimeDelta::days(1) } else { wall.date() })
}

fn pattern(line: &str, rule: &Rule, first: NaiveDate) -> Result<Map<String, Value>, Refusal> {
    let mut pattern = Map::new();
    let mut put = |key: &str, value: Value| {
        pattern.insert(key.to_owned(), value);
    };
    let plain = rule.days.iter().all(|(number, _)| number.is_none());
    let by_day = !rule.days.is_empty();
    let bare = rule.month_days.is_empty() && rule.month.is_none() && rule.position.is_none();
    match rule.freq.as_str() {
        "DAILY" if bare && !by_day => put("type", json!("daily")),
        "DAILY" | "WEEKLY" if bare && plain && (rule.freq == "WEEKLY" || rule.interval == 1) => {
            let own = DAYS[first.weekday().num_days_from_monday() as usize].1;
            let named: Vec<&str> = if by_day {
                DAYS.iter().filter(|(s, _)| rule.days.iter().any(|(_, day)| day == s)).map(|d| d.1).collect()
            } else {
                vec![own]
            };
            put("type", json!("weekly"));
            put("daysOfWeek", json!(named));
            let starts = rule.week_start.unwrap_or("MO");
            put("firstDayOfWeek", json!(DAYS.iter().find(|(s, _)| *s == starts).map(|d| d.1)));
        }
        "MONTHLY" if rule.month.is_none() && !by_day => {
            put("type", json!("absoluteMonthly"));
            put("dayOfMonth", json!(absolute(line, rule, first, None)?));
        }
        "YEARLY" if !by_day => {
            let month = rule.month.unwrap_or_else(|| first.month().into());
            if rule.month.is_none() && !rule.month_days.is_empty() {
                return refuse(line, "name the month of a yearly day with BYMONTH");
            }
            put("type", json!("absoluteYearly"));
            put("month", json!(month));
            put("dayOfMonth", json!(absolute(line, rule, first, Some(month))?));
        }
        "MONTHLY" | "YEARLY" if by_day && rule.month_days.is_empty() => {
            let yearly = rule.freq == "YEARLY";
            if yearly != rule.month.is_some() {
                return refuse(line, "a day of the week in a year needs exactly one BYMONTH");
            }
            let position = match (rule.days.as_slice(), rule.position) {
                ([(Some(number), _)], None) => Some(*number),
                (_, Some(position)) if plain => Some(position),
                _ => None,
            };
            let Some((name, _)) = INDEXES.iter().find(|(_, number)| Some(*number) == position) else {
                return refuse(line, "it takes the first to the fourth or the last such day of a month");
            };
            let named: Vec<&str> =
                DAYS.iter().filter(|(s, _)| rule.days.iter().any(|(_, day)| day == s)).map(|d| d.1).collect();
            put("type", json!(if yearly { "relativeYearly" } else { "relativeMonthly" }));
            put("daysOfWeek", json!(named));
            put("index", json!(name));
            if let Some(month) = rule.month {
                put("month", json!(month));
            }
        }
        _ => return refuse(line, "there is no pattern for it"),
    }
    Ok(pattern)
}

/// `dayOfMonth` that does what the rule does; of a year, in this month.
fn absolute(line: &str, rule: &Rule, first: NaiveDate, month: Option<i64>) -> Result<i64, Refusal> {
    let most = match month {
        Some(month) => shortest(month).unwrap_or(ALWAYS),
        None => ALWAYS,
    };
    let day = i64::from(first.day());
    match (rule.month_days.as_slice(), rule.position) {
        ([], None) if day <= most => Ok(day),
        ([day], None) if (1..=most).contains(day) => Ok(*day),
        // In February of all years this is the 29th, moved where there is none.
        ([-1], None) => Ok(match month {
            Some(2) => 29,
            Some(_) => most,
            None => 31,
        }),
        ([28, 29], Some(-1)) if month.is_none() => Ok(29),
        ([28, 29, 30], Some(-1)) if month.is_none() => Ok(30),
        ([] | [29..=31], None) => refuse(
            line,
            "it does not skip months without that day; use BYMONTHDAY=-1 for the last day of a month",
        ),
        _ => refuse(line, "it takes one day of a month"),
    }
}
