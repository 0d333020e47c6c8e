use std::collections::BTreeMap;

use chrono::{Offset, TimeDelta, TimeZone};
use proptest::prelude::*;

use super::*;

fn timed(wall: &str, zone: &str) -> When {
    let wall = NaiveDateTime::parse_from_str(wall, "%Y%m%dT%H%M%S").expect("wall");
    let start = Moment::new(wall, zone.parse().expect("zone"));
    When::Timed { start, end: start }
}

fn start_of(text: &str) -> When {
    match NaiveDate::parse_from_str(text, "%Y%m%d") {
        Ok(start) => When::AllDay { start, end: start + TimeDelta::days(1) },
        Err(_) => timed(text.trim_end_matches('Z'), "UTC"),
    }
}

fn shown(original: Original) -> String {
    match original {
        Original::At(instant) => instant.format("%Y%m%dT%H%M%S").to_string(),
        Original::On(day) => day.format("%Y%m%d").to_string(),
    }
}

#[test]
fn every_published_vector_agrees_or_is_refused() {
    let Some(vectors) = crate::fixture::read("recurrence/libical_recur_vectors.json") else { return };
    let (mut agree, mut refused, mut wrong) = (0, BTreeMap::new(), Vec::new());
    let vectors = vectors.as_array().expect("array");
    for vector in vectors {
        let text = |key: &str| vector[key].as_str().expect("text");
        let start = start_of(text("DTSTART"));
        let line = format!("RRULE:{}", text("RRULE"));
        if let Err(error) = validate([line.as_str()], &start) {
            *refused.entry(error.reason).or_insert(0) += 1;
            continue;
        }
        let expected: Vec<&str> = text("INSTANCES").split(',').map(|one| one.trim_end_matches('Z')).collect();
        let found: Vec<String> = parse([line.as_str()], &start)
            .expect("parsed")
            .occurrences(2_000)
            .into_iter()
            .map(shown)
            .collect();
        if found == expected {
            agree += 1;
        } else {
            wrong.push(format!(
                "{line} from {}: {:.120}\n   not {:.120}",
                text("DTSTART"),
                found.join(","),
                expected.join(",")
            ));
        }
    }
    println!("{agree} agree, refused: {refused:#?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(agree + refused.values().sum::<usize>(), vectors.len());
    assert!(agree >= 100, "{agree}");
}

#[test]
fn a_daily_series_keeps_its_wall_clock_in_every_zone() {
    let mut changes = 0;
    for zone in chrono_tz::TZ_VARIANTS {
        let start = timed("20251225T023000", zone.name());
        let all = parse(["RRULE:FREQ=DAILY;COUNT=400"], &start).expect("parsed").occurrences(500);
        assert_eq!(all.len(), 400, "{zone}");
        let mut offsets = BTreeSet::new();
        for (index, original) in all.iter().enumerate() {
            let Original::At(instant) = original else { panic!("{zone}: {original:?}") };
            let days = TimeDelta::days(i64::try_from(index).expect("small"));
            let wall =
                NaiveDate::from_ymd_opt(2025, 12, 25).expect("day").and_hms_opt(2, 30, 0).expect("time")
                    + days;
            let is = zone.from_utc_datetime(&instant.naive_utc());
            offsets.insert(is.offset().fix().local_minus_utc());
            let skipped = zone.from_local_datetime(&wall).earliest().is_none();
            assert!(
                is.naive_local() == wall || (skipped && is.naive_local() > wall),
                "{zone}: {is} for {wall}"
            );
        }
        changes += usize::from(offsets.len() > 1);
    }
    assert!(changes > 100, "{changes} zones change their clocks");
}

#[test]
fn until_counts_in_the_zone_of_the_series() {
    let start = timed("20260328T233000", "America/New_York");
    let until = |until: &str| {
        parse([format!("RRULE:FREQ=DAILY;UNTIL={until}").as_str()], &start)
            .expect("parsed")
            .occurrences(50)
            .len()
    };
    assert_eq!(until("20260330T033000Z"), 2, "the 29th at 23:30 is the 30th at 03:30 in UTC");
    assert_eq!(until("20260330T032959Z"), 1);
    assert_eq!(until("20260330"), 3, "a day counts as a whole");
}

#[test]
fn dates_add_and_take_away() {
    let start = timed("20260301T090000", "Europe/Paris");
    let lines = [
        "RRULE:FREQ=DAILY;COUNT=4",
        "EXDATE;TZID=Europe/Paris:20260302T090000,20260303T090000",
        "RDATE:20260310T080000Z",
        "EXRULE:FREQ=DAILY;INTERVAL=3;COUNT=1",
    ];
    let all: Vec<String> =
        parse(lines, &start).expect("parsed").occurrences(50).into_iter().map(shown).collect();
    assert_eq!(all, ["20260304T080000", "20260310T080000"]);
    let days = start_of("20260301");
    let all = parse(["RRULE:FREQ=WEEKLY;COUNT=3", "EXDATE;VALUE=DATE:20260308"], &days).expect("parsed");
    assert_eq!(all.occurrences(9).into_iter().map(shown).collect::<Vec<_>>(), ["20260301", "20260315"]);
}

#[test]
fn refusals_say_why() {
    let start = timed("20260301T090000", "Europe/Paris");
    let why = |line: &str| validate([line], &start).expect_err("refused").to_string();
    assert!(why("DTSTART:20260301T090000Z").contains("DTSTART is none of"));
    assert!(why("RRULE:FREQ=SOMETIMES").contains("RRULE:FREQ=SOMETIMES"));
    assert!(why("RRULE:FREQ=DAILY;COUNT=2;UNTIL=20270101").contains("exclude each other"));
    assert!(why("EXRULE:FREQ=DAILY").contains("EXDATE"));
    assert!(why("nonsense").contains("colon"));
    assert!(why("EXDATE;TZID=Mars/Olympus:20260301T090000").contains("Mars/Olympus"));
    let offset = timed("20260301T090000", "+01:00");
    assert!(validate(["RRULE:FREQ=DAILY"], &offset).expect_err("refused").to_string().contains("by name"));
    assert_eq!(validate(["rrule:freq=weekly;byday=MO,WE", "EXDATE:20260304T080000Z"], &start), Ok(()));
}

#[test]
fn the_normal_form_is_one_for_all_spellings() {
    assert_eq!(normal("rrule:count=3;freq=daily;interval=1"), "RRULE:FREQ=DAILY;COUNT=3");
    assert_eq!(normal("RRULE:FREQ=DAILY;WKST=MO;COUNT=3;"), "RRULE:FREQ=DAILY;COUNT=3");
    assert_eq!(
        normal("exdate;tzid=Europe/Paris:20260302T090000,20260301T090000"),
        "EXDATE;TZID=Europe/Paris:20260301T090000,20260302T090000"
    );
}

proptest! {
    #[test]
    fn no_line_brings_it_down(line in "(RRULE|EXRULE|RDATE|EXDATE)?[:;A-Z0-9=,/+-]{0,40}") {
        let start = timed("20260301T090000", "Europe/Paris");
        if let Ok(parsed) = parse([line.as_str()], &start) {
            prop_assert!(parsed.occurrences(3).len() <= 3);
        }
        prop_assert_eq!(normal(&normal(&line)), normal(&line));
    }
}
