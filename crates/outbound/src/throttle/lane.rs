//! The state of one fence and its rules, without I/O. The Redis script of crate `cache` computes the same.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::throttle::ThrottleWindow;
use domain::time::{after, elapsed};

/// The smallest share of the full budget that repeated throttling can push it down to.
const FLOOR: f64 = 0.25;

/// Rules of a lane.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LaneRules {
    /// Budget in the provider's units a minute; 0 = unlimited. Halved by each window, recovers by a tenth of the
    /// full budget a minute: other applications draw on the same budget (pain 23).
    pub units_per_minute: u32,
    /// Units that may be used at once; 0 = a minute's. Where the provider counts over a sliding window, this and
    /// `units_per_minute` together must stay below the window's limit.
    pub burst: u32,
    /// How long after a window calls go one at a time, over all replicas, so that only one of them meets the next.
    pub caution: Duration,
    /// Life of the slot, should its holder die.
    pub slot_life: Duration,
}

impl Default for LaneRules {
    fn default() -> Self {
        Self {
            units_per_minute: domain::throttle::SHAREPOINT_UNITS_PER_MINUTE,
            burst: 0,
            caution: Duration::from_secs(30),
            slot_life: Duration::from_secs(5),
        }
    }
}

impl LaneRules {
    /// The most that the budget holds.
    pub fn capacity(&self) -> u32 {
        if self.burst == 0 { self.units_per_minute } else { self.burst }
    }
}

/// The wish to make one call.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Who asks; unique to the call.
    pub holder: String,
    /// Cost in the provider's units.
    pub cost: u32,
}

/// Why a call has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitReason {
    /// A throttle window is open.
    Window,
    /// Another call is on its way while the lane is careful.
    Slot,
    /// The budget is used up.
    Budget,
}

/// The answer to an [`Ask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Call now.
    Go {
        /// The call holds the lane's slot and must give it back.
        exclusive: bool,
    },
    /// Nothing was taken; ask again after `wait`.
    Wait {
        /// Why.
        reason: WaitReason,
        /// How long.
        wait: Duration,
    },
}

/// How often a waiter looks whether the slot is free.
const SLOT_POLL: Duration = Duration::from_millis(10);

/// Window, slot and budget of one fence.
#[derive(Debug, Clone)]
pub struct Lane {
    window: ThrottleWindow,
    slot: Option<(String, DateTime<Utc>)>,
    level: f64,
    rate: f64,
    updated_at: DateTime<Utc>,
}

impl Lane {
    /// A lane that was never throttled, its budget full.
    pub fn new(now: DateTime<Utc>, rules: &LaneRules) -> Self {
        let full = f64::from(rules.units_per_minute);
        let level = f64::from(rules.capacity());
        Self { window: ThrottleWindow::default(), slot: None, level, rate: full, updated_at: now }
    }

    /// Decides about one call.
    pub fn admit(&mut self, now: DateTime<Utc>, ask: &Ask, rules: &LaneRules) -> Admission {
        if let Some(wait) = self.window.wait(now) {
            return Admission::Wait { reason: WaitReason::Window, wait };
        }
        let exclusive = self.window.open_until().is_some_and(|until| now < after(until, rules.caution));
        let taken =
            self.slot.as_ref().is_some_and(|(holder, expires)| now < *expires && *holder != ask.holder);
        if exclusive && taken {
            return Admission::Wait { reason: WaitReason::Slot, wait: SLOT_POLL };
        }
        if let Some(wait) = self.take(now, ask.cost, rules) {
            return Admission::Wait { reason: WaitReason::Budget, wait };
        }
        if exclusive {
            self.slot = Some((ask.holder.clone(), after(now, rules.slot_life)));
        }
        Admission::Go { exclusive }
    }

    /// Opens or lengthens the window. True when it was not open before.
    pub fn close(&mut self, now: DateTime<Utc>, wait: Duration, rules: &LaneRules) -> bool {
        let fresh = self.window.wait(now).is_none();
        self.window.extend_by(now, wait);
        if fresh {
            self.refill(now, rules);
            self.rate = (self.rate / 2.0).max(f64::from(rules.units_per_minute) * FLOOR);
            self.level /= 2.0;
        }
        fresh
    }

    /// Gives the slot back, if `holder` has it.
    pub fn release(&mut self, holder: &str) {
        if self.slot.as_ref().is_some_and(|(owner, _)| owner == holder) {
            self.slot = None;
        }
    }

    /// What is left of the window.
    pub fn window(&self, now: DateTime<Utc>) -> Option<Duration> {
        self.window.wait(now)
    }

    fn take(&mut self, now: DateTime<Utc>, cost: u32, rules: &LaneRules) -> Option<Duration> {
        if rules.units_per_minute == 0 {
            return None;
        }
        self.refill(now, rules);
        let cost = f64::from(cost).min(f64::from(rules.capacity()));
        if self.level >= cost {
            self.level -= cost;
            return None;
        }
        let seconds = (cost - self.level) * 60.0 / self.rate;
        Some(Duration::from_secs_f64(seconds) + Duration::from_millis(1))
    }

    fn refill(&mut self, now: DateTime<Utc>, rules: &LaneRules) {
        let full = f64::from(rules.units_per_minute);
        let minutes = elapsed(self.updated_at, now).as_secs_f64() / 60.0;
        self.level = (self.level + minutes * self.rate).min(f64::from(rules.capacity()));
        self.rate = (self.rate + minutes * full / 10.0).min(full);
        self.updated_at = self.updated_at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GO: Admission = Admission::Go { exclusive: false };

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(millis).expect("in range")
    }

    fn ask(holder: &str) -> Ask {
        Ask { holder: holder.into(), cost: 1 }
    }

    #[test]
    fn a_window_stops_everybody_and_then_lets_one_at_a_time() {
        let rules = LaneRules::default();
        let mut lane = Lane::new(at(0), &rules);
        assert_eq!(lane.admit(at(0), &ask("a"), &rules), GO);
        assert_eq!(lane.admit(at(0), &ask("b"), &rules), GO);
        assert!(lane.close(at(100), Duration::from_secs(2), &rules));
        assert!(!lane.close(at(200), Duration::from_secs(1), &rules), "shorter and already open");
        assert_eq!(
            lane.admit(at(1_100), &ask("a"), &rules),
            Admission::Wait { reason: WaitReason::Window, wait: Duration::from_secs(1) }
        );
        assert_eq!(lane.admit(at(2_100), &ask("a"), &rules), Admission::Go { exclusive: true });
        assert!(matches!(
            lane.admit(at(2_100), &ask("b"), &rules),
            Admission::Wait { reason: WaitReason::Slot, .. }
        ));
        lane.release("b");
        assert!(
            matches!(lane.admit(at(2_101), &ask("b"), &rules), Admission::Wait { .. }),
            "not b's to give"
        );
        lane.release("a");
        assert_eq!(lane.admit(at(2_102), &ask("b"), &rules), Admission::Go { exclusive: true });
        assert_eq!(lane.admit(at(7_200), &ask("c"), &rules), Admission::Go { exclusive: true }, "b died");
        assert_eq!(lane.admit(at(40_000), &ask("d"), &rules), GO);
        assert_eq!(lane.admit(at(40_000), &ask("e"), &rules), GO);
    }

    #[test]
    fn the_budget_halves_and_recovers_slowly() {
        let rules = LaneRules { units_per_minute: 100, ..LaneRules::default() };
        let mut lane = Lane::new(at(0), &rules);
        for call in 0..100 {
            assert_eq!(lane.admit(at(0), &ask(&call.to_string()), &rules), GO);
        }
        let Admission::Wait { reason: WaitReason::Budget, wait } = lane.admit(at(0), &ask("x"), &rules)
        else {
            panic!("the budget is used up");
        };
        assert_eq!(wait, Duration::from_millis(601));
        lane.close(at(0), Duration::from_secs(1), &rules);
        let Admission::Wait { wait, .. } = lane.admit(at(1_000), &ask("x"), &rules) else {
            panic!("less than one unit in a second at half the rate");
        };
        assert!(wait > Duration::from_millis(150), "{wait:?}");
        for _ in 0..10 {
            lane.close(at(1_000_000), Duration::ZERO, &rules);
        }
        lane.refill(at(1_000_000), &rules);
        assert!(lane.rate >= 25.0, "never below the floor: {}", lane.rate);
        lane.refill(at(1_000_000 + 600_000), &rules);
        assert!((lane.rate - 100.0).abs() < 1e-6, "recovered: {}", lane.rate);
    }

    #[test]
    fn a_burst_keeps_a_sliding_window() {
        let rules = LaneRules { units_per_minute: 540, burst: 60, ..LaneRules::default() };
        let mut lane = Lane::new(at(0), &rules);
        let (mut now, mut granted) = (0, Vec::new());
        while now < 180_000 {
            match lane.admit(at(now), &ask("a"), &rules) {
                Admission::Go { .. } => granted.push(now),
                Admission::Wait { wait, .. } => now += i64::try_from(wait.as_millis()).expect("short").max(1),
            }
        }
        let most =
            granted.iter().map(|from| granted.iter().filter(|t| (*from..from + 60_000).contains(*t)).count());
        assert!(most.max().is_some_and(|most| (590..=600).contains(&most)), "{} calls", granted.len());
    }

    #[test]
    fn no_budget_means_unlimited() {
        let rules = LaneRules { units_per_minute: 0, ..LaneRules::default() };
        let mut lane = Lane::new(at(0), &rules);
        for _ in 0..10_000 {
            assert_eq!(lane.admit(at(0), &ask("a"), &rules), GO);
        }
        lane.close(at(0), Duration::ZERO, &rules);
    }
}
