use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;

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
        let decisions = hourly.due(at("2025-01-01T10:00:00Z"), at("2025-01-01T11:00:02Z"), policy);
        assert_eq!(
            decisions,
            [Decision { occurrence: at("2025-01-01T11:00:00Z"), run: true, reason: DecisionReason::Due }]
        );
        assert!(hourly.due(at("2025-01-01T11:00:00Z"), at("2025-01-01T11:59:59Z"), policy).is_empty());
        assert!(hourly.due(at("2025-01-01T11:00:00Z"), at("2024-01-01T00:00:00Z"), policy).is_empty());
        assert_eq!(policy.as_str().parse::<Missed>().expect("known"), policy);
    }
}

#[test]
fn after_an_outage() {
    let hourly = cron("0 * * * *", "UTC");
    let (last, now) = (at("2025-01-01T10:00:00Z"), at("2025-01-01T13:30:00Z"));
    let of = |policy| -> Vec<(bool, &str)> {
        hourly.due(last, now, policy).iter().map(|d| (d.run, d.reason.as_str())).collect()
    };
    assert_eq!(of(Missed::RunOnce), [(false, "superseded"), (false, "superseded"), (true, "catch_up")]);
    assert_eq!(of(Missed::Skip), [(false, "missed"), (false, "missed"), (false, "missed")]);
}

#[test]
fn a_year_of_missed_minutes_is_bounded_and_keeps_the_latest() {
    let now = at("2026-01-01T00:00:30Z");
    let decisions = cron("* * * * *", "UTC").due(at("2025-01-01T00:00:00Z"), now, Missed::RunOnce);
    assert_eq!(decisions.len(), MAX_LISTED);
    assert_eq!(decisions.last().map(|d| (d.occurrence, d.run)), Some((at("2026-01-01T00:00:00Z"), true)));
    assert_eq!(decisions.iter().filter(|d| d.run).count(), 1);
    let every_second = cron("* * * * * *", "UTC");
    assert_eq!(every_second.due(at("2025-01-01T00:00:00Z"), now, Missed::Skip).len(), MAX_LISTED);
    let busy_january = cron("* * * * 1 *", "UTC");
    let decisions = busy_january.due(at("2025-01-01T00:00:00Z"), at("2025-06-01T00:00:00Z"), Missed::Skip);
    assert_eq!(decisions.last().map(|d| d.occurrence), Some(at("2025-01-31T23:59:59Z")));
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
            schedule.due(from, to, Missed::Skip).iter().map(|d| d.occurrence).collect::<Vec<_>>(),
            found
        );
    }
}
