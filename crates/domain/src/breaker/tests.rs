use proptest::prelude::*;

use super::*;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).expect("in range")
}

fn fail(breaker: &mut Breaker, now: DateTime<Utc>) {
    let permit = breaker.try_acquire(now).expect("allowed");
    breaker.record(now, permit, Outcome::Failure);
}

fn opened() -> Breaker {
    let mut breaker = Breaker::new(BreakerConfig::ONEDRIVE);
    for _ in 0..4 {
        assert_eq!(breaker.state_code(), 0);
        fail(&mut breaker, at(0));
    }
    assert_eq!(breaker.state_code(), 2);
    breaker
}

#[test]
fn four_failures_open_it_for_a_minute() {
    let mut breaker = opened();
    let rejected = breaker.try_acquire(at(1)).expect_err("open");
    assert_eq!(rejected.retry_after, Duration::from_secs(59));
    assert_eq!(rejected.to_string(), "circuit breaker is open, next probe in 59 s");
    let probe = breaker.try_acquire(at(60)).expect("one probe");
    assert_eq!(breaker.state_code(), 1);
    assert!(breaker.try_acquire(at(61)).is_err(), "only one probe");
    breaker.record(at(62), probe, Outcome::Success);
    assert_eq!(breaker.state(), BreakerState::Closed { failures: 0 });
}

#[test]
fn a_failed_probe_opens_it_again() {
    let mut breaker = opened();
    fail(&mut breaker, at(60));
    assert!(breaker.try_acquire(at(119)).is_err());
    assert!(breaker.try_acquire(at(120)).is_ok());
}

#[test]
fn a_lost_probe_expires_and_its_late_outcome_is_ignored() {
    let mut breaker = opened();
    let lost = breaker.try_acquire(at(60)).expect("probe");
    assert!(breaker.try_acquire(at(149)).is_err());
    let second = breaker.try_acquire(at(150)).expect("the first probe is lost");
    breaker.record(at(151), lost, Outcome::Success);
    assert_eq!(breaker.state_code(), 1);
    breaker.record(at(152), second, Outcome::Throttled);
    assert_eq!(breaker.state_code(), 0);
}

#[test]
fn an_abandoned_probe_frees_its_place() {
    let mut breaker = opened();
    let probe = breaker.try_acquire(at(60)).expect("probe");
    breaker.record(at(61), probe, Outcome::Abandoned);
    assert!(breaker.try_acquire(at(61)).is_ok());
}

#[test]
fn throttling_neither_counts_nor_resets() {
    let mut breaker = Breaker::new(BreakerConfig::ONEDRIVE);
    for _ in 0..3 {
        fail(&mut breaker, at(0));
        let permit = breaker.try_acquire(at(0)).expect("closed");
        breaker.record(at(0), permit, Outcome::Throttled);
    }
    assert_eq!(breaker.state(), BreakerState::Closed { failures: 3 });
    let permit = breaker.try_acquire(at(0)).expect("closed");
    breaker.record(at(0), permit, Outcome::Success);
    assert_eq!(breaker.state(), BreakerState::Closed { failures: 0 });
}

#[test]
fn the_state_survives_storage() {
    let breaker = opened();
    let json = serde_json::to_string(&breaker).expect("json");
    assert_eq!(serde_json::from_str::<Breaker>(&json).expect("breaker"), breaker);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    // Whatever happens, no instant of an open breaker lets two calls through, and it never stays
    // shut for longer than the reset time plus the life of a probe.
    #[test]
    fn one_probe_at_a_time_and_never_stuck(
        steps in proptest::collection::vec((0i64..40, 0u8..6, 0usize..4), 1..200),
    ) {
        let mut breaker = Breaker::new(BreakerConfig::ONEDRIVE);
        let mut held: Vec<Permit> = Vec::new();
        let mut now = 0;
        for (pause, action, index) in steps {
            now += pause;
            let before = breaker.state_code();
            match action {
                0 | 1 => match breaker.try_acquire(at(now)) {
                    Ok(permit) => {
                        held.push(permit);
                        if before != 0 {
                            let again = breaker.try_acquire(at(now));
                            prop_assert!(again.is_err(), "second probe");
                        }
                    }
                    Err(rejected) => {
                        prop_assert!(rejected.retry_after <= Duration::from_secs(90));
                        let mut later = breaker;
                        prop_assert!(later.try_acquire(after(at(now), rejected.retry_after)).is_ok());
                    }
                },
                action => {
                    if let Some(permit) = held.get(index).copied() {
                        held.swap_remove(index);
                        let outcome = match action {
                            2 => Outcome::Success,
                            3 => Outcome::Throttled,
                            4 => Outcome::Abandoned,
                            _ => Outcome::Failure,
                        };
                        breaker.record(at(now), permit, outcome);
                    }
                }
            }
        }
    }
}
