//! Cron schedules with a time zone, and what happens to occurrences that nobody was there for.

use std::fmt;

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::{GapInfo, Tz};
use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};

mod jitter;
mod missed;

pub use jitter::share;
pub use missed::{
    Decision, DecisionReason, Due, MAX_COUNTED, MAX_LISTED, Missed, Omitted, UnknownMissedPolicy,
};

/// Why a schedule was refused.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleFault {
    /// Not five or six fields.
    #[error("cron expression {expr:?} has {fields} fields, expected 5, or 6 with seconds first")]
    FieldCount {
        /// The expression.
        expr: String,
        /// The number of its fields.
        fields: usize,
    },
    /// A field that cannot be read.
    #[error("cron expression {expr:?} cannot be read")]
    Syntax {
        /// The expression.
        expr: String,
        /// What the parser says.
        #[source]
        source: CronError,
    },
    /// A date that never comes, such as 31 April.
    #[error("cron expression {expr:?} names a date that never comes")]
    Impossible {
        /// The expression.
        expr: String,
    },
    /// Not a name of the IANA time zone database.
    #[error("unknown time zone {name:?}, expected an IANA name such as Europe/Paris")]
    UnknownTimeZone {
        /// The name.
        name: String,
    },
}

/// A cron expression in a time zone.
///
/// Daylight saving: an expression that names hours is read from the clock on the wall. A time that the
/// spring change skips occurs at the first instant after the gap (once, however many times were skipped
/// there), and one that the autumn change repeats occurs once, at its first pass. An expression that runs
/// in every hour goes by elapsed time: in both passes of a repeated hour, and not in a skipped one.
#[derive(Clone)]
pub struct CronExpr {
    text: String,
    tz: Tz,
    cron: Cron,
    /// The hour field leaves no hour out.
    every_hour: bool,
}

impl CronExpr {
    /// Reads an expression of five fields (minute, hour, day of month, month, day of week), or six
    /// with seconds first, in the IANA time zone `tz`.
    ///
    /// # Errors
    /// A [`ScheduleFault`] that quotes the expression or the zone.
    pub fn parse(expr: &str, tz: &str) -> Result<Self, ScheduleFault> {
        let text = expr.split_whitespace().collect::<Vec<_>>().join(" ");
        let fields = text.split(' ').filter(|field| !field.is_empty()).count();
        if !(5..=6).contains(&fields) {
            return Err(ScheduleFault::FieldCount { expr: text, fields });
        }
        let Ok(tz) = tz.parse::<Tz>() else {
            return Err(ScheduleFault::UnknownTimeZone { name: tz.to_owned() });
        };
        let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        let cron = match parser.parse(&text) {
            Ok(cron) => cron,
            Err(source) => return Err(ScheduleFault::Syntax { expr: text, source }),
        };
        let every_hour = (0..24).all(|hour| cron.pattern.hour_match(hour).unwrap_or(false));
        let schedule = Self { text, tz, cron, every_hour };
        // Any starting point shows whether the date exists at all.
        if schedule.next_after(DateTime::UNIX_EPOCH).is_none() {
            return Err(ScheduleFault::Impossible { expr: schedule.text });
        }
        Ok(schedule)
    }

    /// The expression, with single spaces.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The time zone.
    pub fn time_zone(&self) -> Tz {
        self.tz
    }

    /// The first occurrence later than `t`; `None` only past the end of the calendar.
    pub fn next_after(&self, t: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if self.every_hour {
            let next = self.cron.find_next_occurrence(&t.with_timezone(&self.tz), false).ok()?;
            let next = next.with_timezone(&Utc);
            return (next > t).then_some(next);
        }
        // A wall time that is not later than the one at `t` never stands for an instant later than `t`.
        let mut wall = t.with_timezone(&self.tz).naive_local().with_nanosecond(0)?;
        loop {
            // UTC has no gaps: this reads the fields and nothing else.
            wall = self.cron.find_next_occurrence(&wall.and_utc(), false).ok()?.naive_utc();
            let instant = self.instant_of(wall)?;
            if instant > t {
                return Some(instant);
            }
        }
    }

    /// The instant at which the clock on the wall shows `wall` for the first time, or the first one after the
    /// gap that `wall` lies in.
    fn instant_of(&self, wall: NaiveDateTime) -> Option<DateTime<Utc>> {
        if let Some(instant) = self.tz.from_local_datetime(&wall).earliest() {
            return Some(instant.with_timezone(&Utc));
        }
        GapInfo::new(&wall, &self.tz)?.end.map(|end| end.with_timezone(&Utc))
    }

    /// Whether the occurrence `t` stands for a time of day that the clock skipped.
    pub fn after_gap(&self, t: DateTime<Utc>) -> bool {
        let wall = t.with_timezone(&self.tz).naive_local();
        let before = wall - TimeDelta::seconds(1);
        !self.every_hour
            && self.tz.from_local_datetime(&before).earliest().is_none()
            && !self.cron.is_time_matching(&wall.and_utc()).unwrap_or(false)
    }

    /// The occurrences later than `from` up to `to`, at most `cap` of them, the earliest first.
    pub fn occurrences(&self, from: DateTime<Utc>, to: DateTime<Utc>, cap: usize) -> Vec<DateTime<Utc>> {
        std::iter::successors(self.next_after(from), |t| self.next_after(*t))
            .take_while(|t| *t <= to)
            .take(cap)
            .collect()
    }
}

impl fmt::Debug for CronExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CronExpr({:?}, {})", self.text, self.tz)
    }
}

impl fmt::Display for CronExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.tz)
    }
}

impl PartialEq for CronExpr {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.tz) == (&other.text, other.tz)
    }
}

impl Eq for CronExpr {}

#[cfg(test)]
mod tests;
