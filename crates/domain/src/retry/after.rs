//! `Retry-After` in every spelling that providers send.

use std::time::Duration;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Utc};

use crate::time::elapsed;

/// The `Retry-After` header (RFC 9110, section 10.2.3) as Microsoft sends it: whole seconds,
/// decimal seconds (`2.128`, Graph's throttling page), or one of the three HTTP-date forms.
pub struct RetryAfter;

impl RetryAfter {
    /// The longest wait that is believed. A longer one is shortened to this: no documented window
    /// of Graph lasts longer, and a typing error of a proxy must not stop a tenant for a day.
    pub const MAX: Duration = Duration::from_hours(1);

    /// The wait that `value` asks for, counted from `now`.
    ///
    /// Negative seconds and dates in the past are zero. `None` when the text is none of the forms.
    pub fn parse(value: &str, now: DateTime<Utc>) -> Option<Duration> {
        let value = value.trim();
        let wait = seconds(value).or_else(|| http_date(value, now).map(|at| elapsed(now, at)))?;
        Some(wait.min(Self::MAX))
    }
}

fn seconds(value: &str) -> Option<Duration> {
    let (negative, digits) = match value.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, value.strip_prefix('+').unwrap_or(value)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    if !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    if negative {
        return Some(Duration::ZERO);
    }
    // Too many digits for a u64 are still a number, only an absurd one.
    let whole = whole.parse::<u64>().unwrap_or(u64::MAX);
    let nanos = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(9)
        .fold(0u32, |nanos, digit| nanos * 10 + u32::from(digit - b'0'));
    Some(Duration::new(whole, nanos))
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// IMF-fixdate, RFC 850 date or asctime date. The day's name is not compared with the date: a
/// server that gets it wrong still means the instant.
fn http_date(value: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let words: Vec<&str> = value.split([' ', ',', '-']).filter(|word| !word.is_empty()).take(7).collect();
    let [_, rest @ ..] = words.as_slice() else { return None };
    let (day, month, year, time) = match *rest {
        [day, month, year, time, "GMT" | "UTC"] => (day, month, year, time),
        [month, day, time, year] if time.contains(':') => (day, month, year, time),
        _ => return None,
    };
    let date = NaiveDate::from_ymd_opt(full_year(year, now)?, month_number(month)?, number(day)?)?;
    Some(NaiveDateTime::new(date, clock_time(time)?).and_utc())
}

/// A two-digit year more than fifty years ahead belongs to the century before (RFC 9110, 5.6.7).
fn full_year(text: &str, now: DateTime<Utc>) -> Option<i32> {
    let year = i32::try_from(number(text)?).ok()?;
    match text.len() {
        4 => Some(year),
        2 => {
            let this_year = now.year();
            let year = this_year - this_year.rem_euclid(100) + year;
            Some(if year > this_year + 50 { year - 100 } else { year })
        }
        _ => None,
    }
}

fn month_number(text: &str) -> Option<u32> {
    let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    names.iter().position(|name| *name == text).and_then(|index| u32::try_from(index + 1).ok())
}

fn clock_time(text: &str) -> Option<NaiveTime> {
    let mut parts = text.splitn(3, ':').map(|part| if part.len() == 2 { number(part) } else { None });
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    // A leap second is the second before it; the difference is below every delay used here.
    NaiveTime::from_hms_opt(hour, minute, if second == 60 { 59 } else { second })
}

fn number(text: &str) -> Option<u32> {
    if all_digits(text) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, TimeZone};
    use proptest::prelude::*;

    use super::*;

    fn now() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(1994, 11, 6, 8, 49, 7).single().expect("an instant")
    }

    fn parse(value: &str) -> Option<Duration> {
        RetryAfter::parse(value, now())
    }

    #[test]
    fn the_forms() {
        let half_a_minute = Some(Duration::from_secs(30));
        assert_eq!(parse("30"), half_a_minute);
        assert_eq!(parse(" 30.0 "), half_a_minute);
        assert_eq!(parse("2.128"), Some(Duration::from_millis(2_128)));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT"), half_a_minute);
        assert_eq!(parse("Sunday, 06-Nov-94 08:49:37 GMT"), half_a_minute);
        assert_eq!(parse("Sun Nov  6 08:49:37 1994"), half_a_minute);
    }

    #[test]
    fn the_past_is_now() {
        assert_eq!(parse("-5"), Some(Duration::ZERO));
        assert_eq!(parse("-0.5"), Some(Duration::ZERO));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:00 GMT"), Some(Duration::ZERO));
        assert_eq!(parse("Sunday, 06-Nov-45 08:49:37 GMT"), Some(Duration::ZERO), "1945, not 2045");
    }

    #[test]
    fn absurd_waits_are_shortened() {
        assert_eq!(parse("3601"), Some(RetryAfter::MAX));
        assert_eq!(parse("99999999999999999999999999999"), Some(RetryAfter::MAX));
        assert_eq!(parse("Tue, 06 Nov 2094 08:49:37 GMT"), Some(RetryAfter::MAX));
    }

    #[test]
    fn garbage_is_none() {
        for text in [
            "",
            "soon",
            "1e3",
            "NaN",
            "inf",
            "0x10",
            "5s",
            "1.2.3",
            ".",
            "1.",
            "--1",
            "+",
            "120, 120",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 8:49 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 25:49:37 GMT",
            "\u{664}",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn never_panics_and_never_exceeds_the_cap(text in "\\PC{0,40}") {
            if let Some(wait) = parse(&text) {
                prop_assert!(wait <= RetryAfter::MAX);
            }
        }

        #[test]
        fn formatted_dates_are_read_back(ahead in 0i64..3_600) {
            let at = now() + TimeDelta::seconds(ahead);
            for format in ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"] {
                let text = at.format(format).to_string();
                prop_assert_eq!(parse(&text), Some(Duration::from_secs(u64::try_from(ahead).expect("positive"))));
            }
        }
    }
}
