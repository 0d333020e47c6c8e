use chrono::TimeDelta;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

fn start() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
}

fn active(id: &str, at: DateTime<Utc>, days: i64, seed: u64) -> Channel {
    let mut channel = Channel::new(id, at);
    channel.activated("res", at + TimeDelta::days(days), at, &mut StdRng::seed_from_u64(seed));
    channel
}

#[test]
fn the_next_one_is_there_before_the_old_one_goes() {
    let mut channels = vec![active("one", start(), 7, 1)];
    assert_eq!(plan(&mut channels, Capability::Push, true, start() + TimeDelta::days(1)), []);
    let late = start() + TimeDelta::days(6);
    assert_eq!(plan(&mut channels, Capability::Push, true, late), [Step::Register]);
    channels.push(Channel::new("two", late));
    assert_eq!(plan(&mut channels, Capability::Push, true, late), [], "one registration at a time");
    assert!(channels[0].is_live(late), "the old one still works");
    channels[1].activated("res", late + TimeDelta::days(7), late, &mut StdRng::seed_from_u64(2));
    assert_eq!(plan(&mut channels, Capability::Push, true, late), [Step::Stop("one".to_owned())]);
    channels[0].stopped();
    assert_eq!(plan(&mut channels, Capability::Push, true, late), []);
}

#[test]
fn an_unanswered_registration_is_given_up() {
    let mut channels = vec![Channel::new("one", start())];
    assert_eq!(plan(&mut channels, Capability::Push, true, start()), []);
    let later = start() + TimeDelta::minutes(10);
    assert_eq!(plan(&mut channels, Capability::Push, true, later), [Step::Register]);
    assert_eq!(channels[0].phase, Phase::Stopped);
    // Its greeting told which resource it watches: the channel exists and can be stopped.
    let mut greeted = Channel::new("two", start());
    greeted.resource_id = Some("res".to_owned());
    let steps = plan(&mut [greeted], Capability::Push, true, later);
    assert_eq!(steps, [Step::Register, Step::Stop("two".to_owned())]);
}

#[test]
fn disconnecting_stops_everything_and_registers_nothing() {
    let mut channels = vec![active("one", start(), 7, 1), active("two", start(), 8, 1)];
    let steps = plan(&mut channels, Capability::Push, false, start());
    assert_eq!(steps, [Step::Stop("one".to_owned()), Step::Stop("two".to_owned())]);
    assert_eq!(plan(&mut [], Capability::Poll, true, start()), []);
    assert!(!is_dark(&[], Capability::Poll, start()));
    assert!(is_dark(&[], Capability::Push, start()));
    assert!(!is_dark(&[active("one", start(), 7, 1)], Capability::Push, start()));
}

#[test]
fn notifications_are_judged() {
    let mut channel = Channel::new("one", start());
    assert_eq!(channel.accept(b"secret", b"secret", "res", "sync"), Accept::Sync, "before the answer");
    channel.activated("res", start() + TimeDelta::days(7), start(), &mut StdRng::seed_from_u64(1));
    assert_eq!(channel.accept(b"secret", b"secret", "res", "exists"), Accept::Changed);
    assert_eq!(channel.accept(b"secret", b"secreT", "res", "exists"), Accept::Refused);
    assert_eq!(channel.accept(b"secret", b"secret", "other", "exists"), Accept::Refused);
    assert_eq!(channel.accept(b"secret", b"", "res", "exists"), Accept::Refused);
    channel.stopped();
    assert_eq!(channel.accept(b"secret", b"secret", "res", "exists"), Accept::Late);
}

proptest! {
    #[test]
    fn renewals_are_spread_and_in_time(seed: u64, hours in 1i64..2_000) {
        let mut channel = Channel::new("one", start());
        let end = start() + TimeDelta::hours(hours);
        channel.activated("res", end, start(), &mut StdRng::seed_from_u64(seed));
        let renew = channel.renew_at.expect("drawn");
        let life = TimeDelta::hours(hours);
        prop_assert!(renew >= start() + life * 64 / 100 && renew <= start() + life * 86 / 100);
    }

    #[test]
    fn a_calendar_is_never_dark_while_registrations_succeed(seed: u64, steps in 1usize..400) {
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut channels, mut now) = (vec![active("first", start(), 7, seed)], start());
        for step in 0..steps {
            now += TimeDelta::hours(6);
            for todo in plan(&mut channels, Capability::Push, true, now) {
                match todo {
                    Step::Register => {
                        let mut next = Channel::new(step.to_string(), now);
                        next.activated("res", now + TimeDelta::days(7), now, &mut rng);
                        channels.push(next);
                    }
                    Step::Stop(id) => channels.iter_mut().filter(|one| one.id == id).for_each(Channel::stopped),
                }
            }
            prop_assert!(!is_dark(&channels, Capability::Push, now));
            prop_assert!(channels.iter().filter(|one| one.phase == Phase::Active).count() <= 2);
        }
    }
}
