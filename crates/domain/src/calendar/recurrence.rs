//! Recurrence lines: their normal form, which of them an application may write, and their expansion.
//!
//! Rules are expanded by wall clock, and only the outcome is put into the time zone: a daily meeting stays
//! at nine when the clocks change. `rrule` expands; where it and libical are known to disagree, a rule of
//! an application is refused with the reason, and one of the provider is expanded all the same.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use rrule::{RRule, RRuleSet, Unvalidated};

use super::event::{Moment, Original, When, Zone};

#[cfg(test)]
mod tests;

/// Occurrences that one expansion returns at most.
pub const MAX_OCCURRENCES: u16 = 10_000;

/// Why lines are not taken from an application.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("recurrence line {line:?}: {reason}")]
pub struct Refused {
    /// The line.
    pub line: String,
    /// What is wrong and what to do.
    pub reason: String,
}

/// The recurrence of an event, parsed.
#[derive(Clone, Debug)]
pub struct Recurrence {
    start: When,
    rules: Vec<RRule<Unvalidated>>,
    exclusions: Vec<RRule<Unvalidated>>,
    dates: Vec<Original>,
    exceptions: BTreeSet<Original>,
}

/// Checks the lines that an application gave its event.
///
/// # Errors
/// The first line that cannot be kept, with the reason.
pub fn validate<'a>(lines: impl IntoIterator<Item = &'a str>, start: &When) -> Result<(), Refused> {
    for line in lines {
        let normal = normal(line);
        let refuse = |reason: &str| Err(Refused { line: line.to_owned(), reason: reason.to_owned() });
        let Some((name, body)) = normal.split_once(':') else { return refuse("has no colon") };
        if let When::Timed { start, .. } = start
            && matches!(start.zone(), Zone::Offset(_))
        {
            return refuse("a series needs a time zone by name, such as Europe/Paris, not an offset");
        }
        if name == "EXRULE" {
            return refuse("EXRULE is withdrawn from the standard; use EXDATE");
        }
        if name == "RRULE"
            && let Some(reason) = disputed(body, start)
        {
            return refuse(reason);
        }
        let one = parse([line], start)?;
        if name == "RRULE" && one.occurrences(1).is_empty() {
            return refuse("has no occurrence at all");
        }
    }
    Ok(())
}

/// What implementations read differently.
fn disputed(body: &str, start: &When) -> Option<&'static str> {
    let has = |part: &str| body.split(';').any(|own| own.split('=').next() == Some(part));
    let yearly = body.starts_with("FREQ=YEARLY");
    if has("RSCALE") || has("SKIP") || has("BYEASTER") {
        return Some("RSCALE, SKIP and BYEASTER are not supported");
    }
    if has("COUNT") && has("UNTIL") {
        return Some("COUNT and UNTIL exclude each other");
    }
    if matches!(start, When::AllDay { .. }) && (has("BYHOUR") || has("BYMINUTE") || has("BYSECOND")) {
        return Some("an all-day event has no BYHOUR, BYMINUTE or BYSECOND");
    }
    if has("BYWEEKNO") && !has("BYDAY") {
        return Some("BYWEEKNO alone leaves the day of the week open; add BYDAY");
    }
    if has("BYWEEKNO") && (has("BYMONTH") || has("BYMONTHDAY")) {
        return Some("BYWEEKNO together with BYMONTH or BYMONTHDAY is read differently; use one of them");
    }
    if has("BYWEEKNO") && has("INTERVAL") {
        return Some("BYWEEKNO with an interval is read differently around the new year; repeat every year");
    }
    if body.starts_with("FREQ=WEEKLY") && has("BYSETPOS") {
        return Some("weekly BYSETPOS is read differently in the first week; name the days with BYDAY");
    }
    if yearly && has("BYMONTHDAY") && !has("BYMONTH") {
        return Some("yearly BYMONTHDAY leaves the month open; add BYMONTH, or repeat monthly");
    }
    None
}

/// Parses lines of any origin.
///
/// # Errors
/// A line is of no kind that the provider has, or cannot be read.
pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>, start: &When) -> Result<Recurrence, Refused> {
    let mut all = Recurrence {
        start: start.clone(),
        rules: Vec::new(),
        exclusions: Vec::new(),
        dates: Vec::new(),
        exceptions: BTreeSet::new(),
    };
    for line in lines {
        let refuse = |reason: String| Refused { line: line.to_owned(), reason };
        let normal = normal(line);
        let (head, body) = normal.split_once(':').ok_or_else(|| refuse("has no colon".to_owned()))?;
        match head.split(';').next().unwrap_or_default() {
            "RRULE" => all.rules.push(rule(body, start).map_err(refuse)?),
            "EXRULE" => all.exclusions.push(rule(body, start).map_err(refuse)?),
            "RDATE" => all.dates.extend(dates(head, body, start).map_err(refuse)?),
            "EXDATE" => all.exceptions.extend(dates(head, body, start).map_err(refuse)?),
            other => return Err(refuse(format!("{other} is none of RRULE, EXRULE, RDATE and EXDATE"))),
        }
    }
    Ok(all)
}

/// The rule without its zone: `UNTIL` becomes a wall clock time like the start.
fn rule(body: &str, start: &When) -> Result<RRule<Unvalidated>, String> {
    let (until, rest): (Vec<&str>, Vec<&str>) = body.split(';').partition(|part| part.starts_with("UNTIL="));
    let rule: RRule<Unvalidated> = rest.join(";").parse().map_err(|error| format!("{error}"))?;
    let Some(until) = until.first().and_then(|part| part.strip_prefix("UNTIL=")) else { return Ok(rule) };
    let wall = match (until_of(until).ok_or_else(|| format!("UNTIL={until} is no time"))?, start) {
        (Until::Utc(instant), When::Timed { start, .. }) => start.zone().wall(instant),
        (Until::Utc(instant), When::AllDay { .. }) => instant.naive_utc(),
        (Until::Wall(wall), _) => wall,
        // The whole day counts.
        (Until::Day(day), _) => day.and_hms_opt(23, 59, 59).unwrap_or_default(),
    };
    Ok(rule.until(at(wall)))
}

enum Until {
    Utc(DateTime<Utc>),
    Wall(NaiveDateTime),
    Day(NaiveDate),
}

fn until_of(text: &str) -> Option<Until> {
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y%m%d") {
        return Some(Until::Day(day));
    }
    if let Ok(wall) = NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%SZ") {
        return Some(Until::Utc(wall.and_utc()));
    }
    NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%S").ok().map(Until::Wall)
}

/// The dates of an RDATE or EXDATE line; of a period its start.
fn dates(head: &str, body: &str, start: &When) -> Result<Vec<Original>, String> {
    let named = head.split(';').find_map(|part| part.strip_prefix("TZID="));
    let zone = match (named, start) {
        (Some(name), _) => name.parse::<Zone>().map_err(|error| error.to_string())?,
        (None, When::Timed { start, .. }) => start.zone(),
        (None, When::AllDay { .. }) => Zone::Offset(0),
    };
    body.split(',')
        .map(|value| value.split('/').next().unwrap_or_default())
        .map(|value| {
            Ok(match (until_of(value).ok_or_else(|| format!("{value} is no time"))?, start) {
                (Until::Day(day), When::AllDay { .. }) => Original::On(day),
                (Until::Day(day), When::Timed { start, .. }) => {
                    Original::At(Moment::new(day.and_time(start.wall().time()), start.zone()).instant())
                }
                (Until::Wall(wall), When::AllDay { .. }) => Original::On(wall.date()),
                (Until::Utc(instant), When::AllDay { .. }) => Original::On(instant.date_naive()),
                (Until::Wall(wall), _) => Original::At(Moment::new(wall, zone).instant()),
                (Until::Utc(instant), _) => Original::At(instant),
            })
        })
        .collect()
}

/// A wall clock time as the expander takes it.
fn at(wall: NaiveDateTime) -> DateTime<rrule::Tz> {
    wall.and_utc().with_timezone(&rrule::Tz::UTC)
}

impl Recurrence {
    /// The dates of the RDATE lines.
    pub fn dates(&self) -> Vec<Original> {
        self.dates.clone()
    }

    fn wall(&self) -> NaiveDateTime {
        match &self.start {
            When::Timed { start, .. } => start.wall(),
            When::AllDay { start, .. } => start.and_time(chrono::NaiveTime::MIN),
        }
    }

    fn place(&self, wall: NaiveDateTime) -> Original {
        match &self.start {
            When::Timed { start, .. } => Original::At(Moment::new(wall, start.zone()).instant()),
            When::AllDay { .. } => Original::On(wall.date()),
        }
    }

    fn expand(&self, rule: &RRule<Unvalidated>, limit: u16) -> Vec<Original> {
        let first = at(self.wall());
        let Ok(rule) = rule.clone().validate(first) else { return Vec::new() };
        let dates = RRuleSet::new(first).rrule(rule).all(limit).dates;
        dates.into_iter().map(|date| self.place(date.naive_utc())).collect()
    }

    /// The first `limit` occurrences, in order; at most [`MAX_OCCURRENCES`]. A rule that the expander
    /// cannot do has none.
    pub fn occurrences(&self, limit: u16) -> Vec<Original> {
        let limit = limit.min(MAX_OCCURRENCES);
        let spare = u16::try_from(self.exceptions.len()).unwrap_or(MAX_OCCURRENCES);
        let wanted = if self.exclusions.is_empty() { limit.saturating_add(spare) } else { MAX_OCCURRENCES };
        let mut all: BTreeSet<Original> = self.dates.iter().copied().collect();
        for rule in &self.rules {
            all.extend(self.expand(rule, wanted));
        }
        if self.rules.is_empty() {
            all.insert(self.place(self.wall()));
        }
        for rule in &self.exclusions {
            for excluded in self.expand(rule, MAX_OCCURRENCES) {
                all.remove(&excluded);
            }
        }
        all.into_iter().filter(|one| !self.exceptions.contains(one)).take(limit.into()).collect()
    }
}

/// A line in the form in which lines are compared: upper case except for zone names, without folding or
/// spaces, parts of a rule in a fixed order, list values sorted, defaults left out.
pub fn normal(line: &str) -> String {
    let line: String = line.chars().filter(|c| !c.is_whitespace()).collect();
    let Some((head, body)) = line.split_once(':') else { return line };
    let mut head_parts = head.split(';');
    let name = head_parts.next().unwrap_or_default().to_ascii_uppercase();
    let mut normal = name.clone();
    for part in head_parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        normal.push(';');
        normal.push_str(&key.to_ascii_uppercase());
        normal.push('=');
        normal.push_str(if key.eq_ignore_ascii_case("TZID") { value } else { "" });
        if !key.eq_ignore_ascii_case("TZID") {
            normal.push_str(&value.to_ascii_uppercase());
        }
    }
    normal.push(':');
    let body = body.to_ascii_uppercase();
    if name == "RRULE" || name == "EXRULE" {
        let mut parts: Vec<&str> = body
            .split(';')
            .filter(|part| !part.is_empty() && !matches!(*part, "INTERVAL=1" | "WKST=MO"))
            .collect();
        parts.sort_by_key(|part| (!part.starts_with("FREQ="), *part));
        normal.push_str(&parts.join(";"));
    } else {
        let mut values: Vec<&str> = body.split(',').filter(|value| !value.is_empty()).collect();
        values.sort_unstable();
        values.dedup();
        normal.push_str(&values.join(","));
    }
    normal
}
