//! When to try again: full jitter below a growing ceiling, never earlier than the provider asked.

use std::time::Duration;

use rand::Rng;
use serde::{Deserialize, Serialize};

mod after;
mod verdict;

pub use after::RetryAfter;
pub use verdict::{Next, ParkReason, UnknownParkReason, Verdict};

/// The shortest delay between two attempts, so that a jitter of zero is not a busy loop.
pub const MIN_DELAY: Duration = Duration::from_millis(50);

/// How often and how patiently a failed call is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Attempts in all, the first one included.
    pub max_attempts: u32,
    /// Ceiling of the delay after the first failure.
    pub initial: Duration,
    /// Ceiling that the delay never grows beyond (a longer `Retry-After` still wins).
    pub max: Duration,
    /// Growth of the ceiling from one failure to the next.
    pub multiplier: u32,
}

impl RetryPolicy {
    /// The OneDrive runbook's figures: 4 attempts, 1 s to 15 s, doubling.
    pub const ONEDRIVE: Self = Self {
        max_attempts: 4,
        initial: Duration::from_secs(1),
        max: Duration::from_secs(15),
        multiplier: 2,
    };

    /// The greatest delay that jitter may choose after `attempt` failures (1-based).
    pub fn ceiling(&self, attempt: u32) -> Duration {
        let growth = self.multiplier.saturating_pow(attempt.saturating_sub(1));
        self.initial.saturating_mul(growth).min(self.max).max(MIN_DELAY)
    }

    /// The delay before the next attempt after `attempt` failures (1-based).
    ///
    /// Full jitter, `random(0, min(max, initial * multiplier^(attempt - 1)))`, with a floor of
    /// [`MIN_DELAY`]. With `retry_after` the delay is never shorter than that, and up to a tenth
    /// longer (bounded by the ceiling), so that waiting workers do not return in one instant.
    pub fn delay(&self, attempt: u32, retry_after: Option<Duration>, rng: &mut dyn Rng) -> Duration {
        let ceiling = self.ceiling(attempt);
        let jittered = uniform(ceiling, rng).max(MIN_DELAY);
        match retry_after {
            None => jittered,
            Some(asked) => {
                let spread = uniform((asked / 10).min(ceiling), rng);
                jittered.max(asked.saturating_add(spread))
            }
        }
    }

    /// Whether `attempt` failures (1-based) have used up the attempts.
    pub fn exhausted(&self, attempt: u32) -> bool {
        attempt >= self.max_attempts
    }

    /// What follows failure number `attempt` (1-based) that was judged `verdict`.
    pub fn next(&self, attempt: u32, verdict: Verdict, rng: &mut dyn Rng) -> Next {
        match verdict {
            Verdict::Park(reason) => Next::Park(reason),
            Verdict::Fail => Next::Dead,
            Verdict::Retry | Verdict::RetryAfter(_) if self.exhausted(attempt) => Next::Dead,
            Verdict::Retry => Next::Wait(self.delay(attempt, None, rng)),
            Verdict::RetryAfter(asked) => Next::Wait(self.delay(attempt, Some(asked), rng)),
        }
    }
}

/// A duration between zero and `ceiling`, both included, in microseconds.
fn uniform(ceiling: Duration, rng: &mut dyn Rng) -> Duration {
    let micros = u64::try_from(ceiling.as_micros()).unwrap_or(u64::MAX);
    // The high half of a 64 by 64 bit product is uniform enough: the bias is below 2^-20 for a day.
    let scaled = (u128::from(rng.next_u64()) * (u128::from(micros) + 1)) >> 64;
    Duration::from_micros(u64::try_from(scaled).unwrap_or(micros))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn the_seeds_ceilings() {
        let policy = RetryPolicy::ONEDRIVE;
        let seconds: Vec<u64> = (1..=6).map(|n| policy.ceiling(n).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 15, 15]);
        assert!(!policy.exhausted(3));
        assert!(policy.exhausted(4));
    }

    #[test]
    fn jitter_reaches_both_ends() {
        let mut rng = StdRng::seed_from_u64(7);
        let drawn: Vec<Duration> =
            (0..2_000).map(|_| RetryPolicy::ONEDRIVE.delay(3, None, &mut rng)).collect();
        assert!(drawn.iter().any(|d| *d < Duration::from_millis(200)));
        assert!(drawn.iter().any(|d| *d > Duration::from_millis(3_800)));
    }

    #[test]
    fn verdicts_decide() {
        let mut rng = StdRng::seed_from_u64(1);
        let policy = RetryPolicy::ONEDRIVE;
        assert_eq!(policy.next(1, Verdict::Fail, &mut rng), Next::Dead);
        assert_eq!(
            policy.next(9, Verdict::Park(ParkReason::Consent), &mut rng),
            Next::Park(ParkReason::Consent)
        );
        assert!(matches!(policy.next(3, Verdict::Retry, &mut rng), Next::Wait(_)));
        assert_eq!(policy.next(4, Verdict::Retry, &mut rng), Next::Dead);
        assert_eq!(policy.next(4, Verdict::RetryAfter(Duration::ZERO), &mut rng), Next::Dead);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn delays_stay_in_their_bounds(
            seed: u64,
            attempt in 0u32..=u32::MAX,
            initial in 0u64..100_000,
            max in 0u64..1_000_000,
            multiplier in 0u32..50,
            asked in proptest::option::of(0u64..4_000_000),
        ) {
            let policy = RetryPolicy {
                max_attempts: 4,
                initial: Duration::from_millis(initial),
                max: Duration::from_millis(max),
                multiplier,
            };
            let asked = asked.map(Duration::from_millis);
            let delay = policy.delay(attempt, asked, &mut StdRng::seed_from_u64(seed));
            prop_assert!(delay >= MIN_DELAY);
            match asked {
                None => prop_assert!(delay <= policy.ceiling(attempt)),
                Some(asked) => {
                    prop_assert!(delay >= asked);
                    prop_assert!(delay <= asked + policy.ceiling(attempt));
                }
            }
        }
    }
}
