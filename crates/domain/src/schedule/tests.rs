use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;

mod oracle;

fn cron(expr: &str, tz: &str) -> CronExpr {
    CronExpr::parse(expr, tz).expect("a valid schedule")
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

fn texts(times: &[DateTime<Utc>]) -> Vec<String> {
    times.iter().map(|t| t.format("%m-%dT%H:%MZ").to_string()).collect()
}

#[test]
fn every_six_hours() {
    let schedule = cron(" 0  */6 * * * ", "Europe/Paris");
    assert_eq!(schedule.to_string(), "0 */6 * * * (Europe/Paris)");
    assert_eq!(schedule.next_after(at("2025-11-03T12:00:00Z")), Some(at("2025-11-03T17:00:00Z")));
    assert_eq!(
        cron("*/20 0 0 * * *", "UTC")
            .occurrences(at("2025-01-01T00:00:00Z"), at("2025-01-02T00:00:00Z"), 9)
            .len(),
        3
    );
}

#[test]
fn the_skipped_time_of_spring_fires_once() {
    let nights = cron("30 2 * * *", "Europe/Paris").occurrences(
        at("2025-03-28T12:00:00Z"),
        at("2025-04-01T00:00:00Z"),
        10,
    );
    assert_eq!(texts(&nights), ["03-29T01:30Z", "03-30T01:00Z", "03-31T00:30Z"]);
}

#[test]
fn the_repeated_time_of_autumn_fires_once() {
    let nights = cron("30 2 * * *", "Europe/Paris").occurrences(
        at("2025-10-25T12:00:00Z"),
        at("2025-10-28T00:00:00Z"),
        10,
    );
    assert_eq!(texts(&nights), ["10-26T00:30Z", "10-27T01:30Z"]);
}

#[test]
fn refused_expressions() {
    for (expr, tz, message) in [
        ("0 0 31 4 *", "UTC", "cron expression \"0 0 31 4 *\" names a date that never comes"),
        ("0 0 30 2 *", "Europe/Paris", "cron expression \"0 0 30 2 *\" names a date that never comes"),
        ("* * * *", "UTC", "cron expression \"* * * *\" has 4 fields, expected 5, or 6 with seconds first"),
        ("", "UTC", "cron expression \"\" has 0 fields, expected 5, or 6 with seconds first"),
        ("61 * * * *", "UTC", "cron expression \"61 * * * *\" cannot be read"),
        ("0 0 * * *", "Paris", "unknown time zone \"Paris\", expected an IANA name such as Europe/Paris"),
    ] {
        assert_eq!(CronExpr::parse(expr, tz).expect_err(expr).to_string(), message);
    }
    assert!(CronExpr::parse("0 0 29 2 *", "UTC").is_ok(), "29 February does come");
}

#[test]
fn on_time_runs_under_both_policies() {
    let hourly = cron("0 * * * *", "UTC");
    for policy in [Missed::RunOnce, Missed::Skip] {
        let decisions = hourly.due(at("2025-01-01T10:00:00Z"), at("2025-01-01T11:00:02Z"), policy).decisions;
        assert_eq!(
            decisions,
            [Decision { occurrence: at("2025-01-01T11:00:00Z"), run: true, reason: DecisionReason::Due }]
        );
        assert!(
            hourly.due(at("2025-01-01T11:00:00Z"), at("2025-01-01T11:59:59Z"), policy).decisions.is_empty()
        );
        let back = hourly.due(at("2025-01-01T11:00:00Z"), at("2024-01-01T00:00:00Z"), policy);
        assert_eq!(back, Due::default(), "a clock that jumped back");
        assert_eq!(policy.as_str().parse::<Missed>().expect("known"), policy);
    }
}

#[test]
fn after_an_outage() {
    let hourly = cron("0 * * * *", "UTC");
    let (last, now) = (at("2025-01-01T10:00:00Z"), at("2025-01-01T13:30:00Z"));
    let of = |policy| -> Vec<(bool, &str)> {
        hourly.due(last, now, policy).decisions.iter().map(|d| (d.run, d.reason.as_str())).collect()
    };
    assert_eq!(of(Missed::RunOnce), [(false, "superseded"), (false, "superseded"), (true, "catch_up")]);
    assert_eq!(of(Missed::Skip), [(false, "missed"), (false, "missed"), (false, "missed")]);
}

#[test]
fn a_year_of_missed_minutes_is_bounded_and_keeps_the_latest() {
    let (last, now) = (at("2025-01-01T00:00:00Z"), at("2026-01-01T00:00:30Z"));
    let due = cron("* * * * *", "UTC").due(last, now, Missed::RunOnce);
    assert_eq!(due.decisions.len(), MAX_LISTED);
    assert_eq!(due.decisions.last().map(|d| (d.occurrence, d.run)), Some((at("2026-01-01T00:00:00Z"), true)));
    assert_eq!(due.decisions.iter().filter(|d| d.run).count(), 1);
    let omitted = due.omitted.expect("the rest");
    assert_eq!((omitted.count, omitted.first), (MAX_COUNTED, at("2025-01-01T00:01:00Z")));
    assert_eq!(omitted.last, due.decisions[0].occurrence - TimeDelta::minutes(1), "no hole between them");
    let day = cron("*/10 * * * *", "UTC").due(at("2025-12-31T00:00:00Z"), now, Missed::Skip);
    assert_eq!(day.omitted.map(|o| o.count), Some(144 - MAX_LISTED), "counted exactly");
    assert_eq!(day.omitted.map(|o| o.reason), Some(DecisionReason::Missed));
    let every_second = cron("* * * * * *", "UTC");
    assert_eq!(every_second.due(last, now, Missed::Skip).decisions.len(), MAX_LISTED);
    let busy_january = cron("* * * * 1 *", "UTC");
    let due = busy_january.due(last, at("2025-06-01T00:00:00Z"), Missed::Skip);
    assert_eq!(due.decisions.last().map(|d| d.occurrence), Some(at("2025-01-31T23:59:59Z")));
}

#[test]
fn named_hours_follow_the_clock_and_every_hour_follows_time() {
    let autumn = |expr| {
        let found = cron(expr, "Europe/Paris").occurrences(
            at("2025-10-25T23:59:59Z"),
            at("2025-10-26T02:00:00Z"),
            20,
        );
        texts(&found).iter().map(|t| t[6..11].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(autumn("*/30 2 * * *"), ["00:00", "00:30"], "the first pass alone");
    assert_eq!(
        autumn("*/30 * * * *"),
        ["00:00", "00:30", "01:00", "01:30", "02:00"],
        "in order, no hour left out"
    );
    assert_eq!(autumn("0 2,14 * * *"), ["00:00"]);
    let spring = |expr| {
        let found = cron(expr, "Europe/Paris").occurrences(
            at("2025-03-30T00:29:00Z"),
            at("2025-03-30T02:00:00Z"),
            20,
        );
        texts(&found).iter().map(|t| t[6..11].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(spring("*/30 * * * *"), ["00:30", "01:00", "01:30", "02:00"]);
    assert_eq!(spring("*/30 2 * * *"), ["01:00"], "one run for two skipped times");
    assert_eq!(spring("0,45 2-3 * * *"), ["01:00", "01:45"], "3 o'clock stands for itself");
    let moved = at("2025-03-30T01:00:00Z");
    assert!(cron("30 2 * * *", "Europe/Paris").after_gap(moved));
    assert!(!cron("0 2-3 * * *", "Europe/Paris").after_gap(moved));
    assert!(!cron("30 2 * * *", "Europe/Paris").after_gap(at("2025-03-31T00:30:00Z")));
}

#[test]
fn a_whole_day_that_a_zone_leaves_out() {
    // Samoa went from 29 to 31 December 2011.
    let daily = cron("0 12 * * *", "Pacific/Apia");
    let found = daily.occurrences(at("2011-12-28T00:00:00Z"), at("2012-01-01T00:00:00Z"), 9);
    assert_eq!(
        texts(&found),
        ["12-28T22:00Z", "12-29T22:00Z", "12-30T10:00Z", "12-30T22:00Z", "12-31T22:00Z"]
    );
    assert!(daily.after_gap(at("2011-12-30T10:00:00Z")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn occurrences_rise_and_respect_the_bounds(
        start in 0i64..2_000_000_000,
        minute in 0u8..60,
        hour in 0u8..24,
        tz in prop_oneof![Just("Europe/Paris"), Just("America/New_York"), Just("Australia/Lord_Howe"), Just("UTC")],
    ) {
        let schedule = cron(&format!("{minute} {hour} * * *"), tz);
        let from = DateTime::from_timestamp(start, 0).expect("in range");
        let to = from + TimeDelta::days(10);
        let found = schedule.occurrences(from, to, 100);
        prop_assert!((9..=11).contains(&found.len()), "once a day: {:?}", found);
        prop_assert!(found.windows(2).all(|pair| pair[0] < pair[1]));
        prop_assert!(found.iter().all(|t| *t > from && *t <= to));
        prop_assert_eq!(
            schedule.due(from, to, Missed::Skip).decisions.iter().map(|d| d.occurrence).collect::<Vec<_>>(),
            found
        );
    }
}
