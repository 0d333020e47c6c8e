//! Occurrences against an oracle that knows no cron library: many zones, years and expressions, around each
//! change of the clock. `SCHEDULE_SEED` and `SCHEDULE_CASES` (default 300) choose what is tried.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::schedule::CronExpr;

/// Fields as sets, with their text.
#[derive(Debug)]
struct Fields {
    text: String,
    minutes: BTreeSet<u32>,
    hours: BTreeSet<u32>,
    days: BTreeSet<u32>,
    months: BTreeSet<u32>,
    weekdays: BTreeSet<u32>,
}

/// A field of a cron expression: its text and what it matches.
fn field(dice: &mut StdRng, low: u32, high: u32, plain: f64) -> (String, BTreeSet<u32>) {
    let any = || ("*".to_owned(), (low..=high).collect());
    if dice.random_bool(plain) {
        return any();
    }
    match dice.random_range(0..5) {
        0 => {
            let step = dice.random_range(1..=(high - low).max(1));
            (format!("*/{step}"), (low..=high).step_by(step as usize).collect())
        }
        1 => {
            let from = dice.random_range(low..=high);
            let to = dice.random_range(from..=high);
            (format!("{from}-{to}"), (from..=to).collect())
        }
        2 => {
            let values: BTreeSet<u32> =
                (0..dice.random_range(2..5)).map(|_| dice.random_range(low..=high)).collect();
            let mut text = String::new();
            for value in &values {
                let comma = if text.is_empty() { "" } else { "," };
                let _ = write!(text, "{comma}{value}");
            }
            (text, values)
        }
        _ => {
            let value = dice.random_range(low..=high);
            (value.to_string(), [value].into())
        }
    }
}

impl Fields {
    fn roll(dice: &mut StdRng) -> Self {
        let (minute, minutes) = field(dice, 0, 59, 0.1);
        // Half of them in the small hours, where clocks change.
        let (hour, hours) =
            if dice.random_bool(0.5) { field(dice, 0, 3, 0.0) } else { field(dice, 0, 23, 0.3) };
        let (hour, hours) = if hour.starts_with('*') {
            // The text `*/2` means all the day's hours, whatever range was rolled.
            let step = hour.strip_prefix("*/").map_or(1, |step| step.parse().expect("a number"));
            (hour, (0..24).step_by(step).collect())
        } else {
            (hour, hours)
        };
        let (month, months) = field(dice, 1, 12, 0.8);
        let all = |low, high| ("*".to_owned(), (low..=high).collect::<BTreeSet<u32>>());
        // Both restricted means "either" in cron; that is not what is tested here.
        let by_day = dice.random_bool(0.5);
        let (day, days) = if by_day { field(dice, 1, 31, 0.7) } else { all(1, 31) };
        let (weekday, weekdays) = if by_day { all(0, 6) } else { field(dice, 0, 6, 0.7) };
        let text = format!("{minute} {hour} {day} {month} {weekday}");
        Self { text, minutes, hours, days, months, weekdays }
    }

    fn date_matches(&self, date: NaiveDate) -> bool {
        self.days.contains(&date.day())
            && self.months.contains(&date.month())
            && self.weekdays.contains(&date.weekday().num_days_from_sunday())
    }

    fn matches(&self, wall: NaiveDateTime) -> bool {
        self.date_matches(wall.date())
            && self.hours.contains(&wall.hour())
            && self.minutes.contains(&wall.minute())
            && wall.second() == 0
    }

    /// Occurrences in `(from, to]`, by trying every minute.
    fn occurrences(&self, zone: Tz, from: DateTime<Utc>, to: DateTime<Utc>) -> BTreeSet<DateTime<Utc>> {
        let mut found = BTreeSet::new();
        if self.hours.len() == 24 {
            let mut at = from.with_second(0).expect("a second") + TimeDelta::minutes(1);
            while at <= to {
                if self.matches(at.with_timezone(&zone).naive_local()) {
                    found.insert(at);
                }
                at += TimeDelta::minutes(1);
            }
            return found;
        }
        let mut wall = (from - TimeDelta::days(2)).date_naive().and_hms_opt(0, 0, 0).expect("midnight");
        while wall <= (to + TimeDelta::days(2)).naive_utc() {
            if self.matches(wall) {
                let at = first_instant(zone, wall);
                if at > from && at <= to {
                    found.insert(at);
                }
            }
            wall += TimeDelta::minutes(1);
        }
        found
    }
}

/// When the clock shows `wall` first, or, when it never does, what it shows next.
fn first_instant(zone: Tz, mut wall: NaiveDateTime) -> DateTime<Utc> {
    loop {
        if let Some(at) = zone.from_local_datetime(&wall).earliest() {
            return at.with_timezone(&Utc);
        }
        wall += TimeDelta::minutes(1);
    }
}

/// The hours of the year in which the zone's offset changes.
fn changes(zone: Tz, year: i32) -> Vec<DateTime<Utc>> {
    let begin = NaiveDate::from_ymd_opt(year, 1, 1).expect("a date").and_hms_opt(0, 0, 0).expect("midnight");
    let offset = |at: DateTime<Utc>| zone.offset_from_utc_datetime(&at.naive_utc()).fix();
    let hours = (0..366 * 24).map(|hour| begin.and_utc() + TimeDelta::hours(hour));
    hours.filter(|at| offset(*at) != offset(*at + TimeDelta::hours(1))).collect()
}

#[test]
fn every_zone_agrees_with_the_oracle() {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
    };
    let (seed, cases) = (number("SCHEDULE_SEED", 20_251_120), number("SCHEDULE_CASES", 300));
    println!("SCHEDULE_SEED={seed} SCHEDULE_CASES={cases}");
    let mut dice = StdRng::seed_from_u64(seed);
    let (mut compared, mut near_changes) = (0, 0);
    for case in 0..cases {
        let zone = TZ_VARIANTS[dice.random_range(0..TZ_VARIANTS.len())];
        let year = dice.random_range(1975..2037);
        let fields = Fields::roll(&mut dice);
        let Ok(expression) = CronExpr::parse(&fields.text, zone.name()) else {
            let comes = (0..366 * 5).any(|day| {
                let first = NaiveDate::from_ymd_opt(2024, 1, 1).expect("a date");
                fields.date_matches(first + TimeDelta::days(day))
            });
            assert!(!comes, "case {case}: {} was refused", fields.text);
            continue;
        };
        let mut centres = changes(zone, year);
        near_changes += centres.len();
        let day = dice.random_range(0..360);
        centres.push(Utc.with_ymd_and_hms(year, 1, 2, 0, 0, 0).unwrap() + TimeDelta::days(day));
        for centre in centres {
            let seconds = dice.random_range(0..3600);
            let from = centre - TimeDelta::hours(30) + TimeDelta::seconds(seconds);
            let to = centre + TimeDelta::hours(30);
            let expected: Vec<_> = fields.occurrences(zone, from, to).into_iter().collect();
            let found = expression.occurrences(from, to, 10_000);
            assert_eq!(found, expected, "case {case} of seed {seed}: {expression} from {from} to {to}");
            compared += expected.len();
        }
    }
    println!("{compared} occurrences, {near_changes} changes of the clock");
    assert!(compared > 10 * usize::try_from(cases).expect("a number"), "hardly anything was compared");
}
