//! The provider's throttle window and the budget that keeps us out of it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::time::{after, elapsed};

mod allowance;
mod cost;

pub use allowance::{Advice, Allowance, Priority, wide_scope};
pub use cost::{Operation, SHAREPOINT_UNITS_PER_MINUTE};

/// The interval in which the provider asked for silence, shared by all who call the same
/// (tenant, application, workload). It only ever grows: a shorter, later answer is of an older call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThrottleWindow {
    open_until: Option<DateTime<Utc>>,
}

impl ThrottleWindow {
    /// A window that ends at `until`.
    pub fn until(until: DateTime<Utc>) -> Self {
        Self { open_until: Some(until) }
    }

    /// Extends the window to `until`; an earlier instant changes nothing. True when it moved.
    pub fn extend_to(&mut self, until: DateTime<Utc>) -> bool {
        let moved = self.open_until.is_none_or(|open_until| until > open_until);
        if moved {
            self.open_until = Some(until);
        }
        moved
    }

    /// Extends the window to `now + wait`. True when it moved.
    pub fn extend_by(&mut self, now: DateTime<Utc>, wait: Duration) -> bool {
        self.extend_to(after(now, wait))
    }

    /// Takes over what another replica knows.
    pub fn merge(&mut self, other: Self) {
        if let Some(until) = other.open_until {
            self.extend_to(until);
        }
    }

    /// The end of the window, whether or not it has passed.
    pub fn open_until(&self) -> Option<DateTime<Utc>> {
        self.open_until
    }

    /// How long to stay silent; `None` when calls are allowed.
    pub fn wait(&self, now: DateTime<Utc>) -> Option<Duration> {
        self.open_until.map(|until| elapsed(now, until)).filter(|wait| !wait.is_zero())
    }
}

/// The answer of [`Budget::take`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// The cost has been taken; call.
    Ok,
    /// Nothing has been taken; ask again after this time.
    WaitFor(Duration),
}

/// A token bucket on a clock that is passed in. Units are the provider's (resource units for
/// SharePoint and OneDrive).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    capacity: f64,
    refill_per_second: f64,
    level: f64,
    updated_at: Option<DateTime<Utc>>,
}

impl Budget {
    /// A full bucket of `capacity` units (at least 1) that refills at `refill_per_second` units
    /// (at least one a day).
    pub fn new(capacity: u32, refill_per_second: f64) -> Self {
        let capacity = f64::from(capacity.max(1));
        let refill_per_second =
            if refill_per_second.is_finite() { refill_per_second.max(1.0 / 86_400.0) } else { capacity };
        Self { capacity, refill_per_second, level: capacity, updated_at: None }
    }

    /// A bucket that spreads `units` over a minute and lets a tenth of them through at once.
    pub fn per_minute(units: u32) -> Self {
        Self::new(units / 10, f64::from(units) / 60.0)
    }

    /// Takes `cost` units, or says how long to wait for them. A cost above the capacity waits for
    /// a full bucket, since it could never be met otherwise.
    pub fn take(&mut self, now: DateTime<Utc>, cost: u32) -> Take {
        self.refill(now);
        let cost = f64::from(cost).min(self.capacity);
        if self.level >= cost {
            self.level -= cost;
            return Take::Ok;
        }
        // A millisecond more than exact, so that rounding cannot make the caller ask twice.
        let seconds = (cost - self.level) / self.refill_per_second;
        Take::WaitFor(Duration::from_secs_f64(seconds) + Duration::from_millis(1))
    }

    /// Empties the bucket: the provider has said that less is left than we believed.
    pub fn drain(&mut self, now: DateTime<Utc>) {
        self.refill(now);
        self.level = 0.0;
    }

    /// The units left at `now`.
    pub fn level(&mut self, now: DateTime<Utc>) -> f64 {
        self.refill(now);
        self.level
    }

    fn refill(&mut self, now: DateTime<Utc>) {
        let since = self.updated_at.map_or(Duration::ZERO, |at| elapsed(at, now));
        self.level = (self.level + since.as_secs_f64() * self.refill_per_second).min(self.capacity);
        // A clock that steps back gives nothing and takes nothing.
        self.updated_at = Some(self.updated_at.map_or(now, |at| at.max(now)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(millis).expect("in range")
    }

    #[test]
    fn the_window_only_grows() {
        let mut window = ThrottleWindow::default();
        assert_eq!(window.wait(at(0)), None);
        assert!(window.extend_by(at(0), Duration::from_secs(10)));
        assert!(!window.extend_by(at(1_000), Duration::from_secs(2)));
        assert_eq!(window.wait(at(4_000)), Some(Duration::from_secs(6)));
        window.merge(ThrottleWindow::until(at(20_000)));
        window.merge(ThrottleWindow::default());
        assert_eq!(window.wait(at(19_999)), Some(Duration::from_millis(1)));
        assert_eq!(window.wait(at(20_000)), None);
    }

    #[test]
    fn a_cost_above_the_capacity_waits_for_a_full_bucket() {
        let mut budget = Budget::new(2, 1.0);
        assert_eq!(budget.take(at(0), 50), Take::Ok);
        assert_eq!(budget.take(at(0), 50), Take::WaitFor(Duration::from_millis(2_001)));
        assert_eq!(budget.take(at(2_001), 50), Take::Ok);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn grants_never_exceed_capacity_plus_refill(
            capacity in 1u32..100,
            rate in 0.1f64..100.0,
            steps in proptest::collection::vec((0i64..2_000, 1u32..10), 1..100),
        ) {
            let mut budget = Budget::new(capacity, rate);
            let (mut now, mut granted) = (0i64, 0.0f64);
            for (pause, cost) in steps {
                now += pause;
                let cost = cost.min(capacity);
                match budget.take(at(now), cost) {
                    Take::Ok => granted += f64::from(cost),
                    Take::WaitFor(wait) => {
                        let mut later = budget;
                        let then = after(at(now), wait);
                        prop_assert_eq!(later.take(then, cost), Take::Ok, "the wait is long enough");
                    }
                }
                let seconds = Duration::from_millis(u64::try_from(now).expect("positive")).as_secs_f64();
                prop_assert!(granted <= f64::from(capacity) + rate * seconds + 1e-6);
            }
        }

        #[test]
        fn a_clock_that_steps_back_gives_nothing(back in 0i64..1_000_000) {
            let mut budget = Budget::new(1, 1.0);
            prop_assert_eq!(budget.take(at(0), 1), Take::Ok);
            prop_assert!(matches!(budget.take(at(-back), 1), Take::WaitFor(_)));
            prop_assert!(matches!(budget.take(at(999), 1), Take::WaitFor(_)));
            prop_assert_eq!(budget.take(at(1_000), 1), Take::Ok);
        }
    }
}
