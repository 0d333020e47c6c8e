//! A request limit per user, kept in memory.
//!
//! GCRA, the leaky bucket as a meter: each key has the time at which its bucket would be empty
//! again. A user may spend the whole minute's allowance at once and regains it evenly.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::problem::whole_seconds;

/// Requests a minute when nothing else is configured (CONTRACT, conventions).
pub const DEFAULT_PER_MINUTE: u32 = 120;
/// Users remembered at once. Beyond it those nearest to a full allowance are forgotten first.
const MAX_KEYS: usize = 100_000;

/// Counts requests per key. Clones share the counts. Each process counts for itself: behind `n`
/// replicas a user has up to `n` times the limit.
#[derive(Debug, Clone)]
pub struct RateLimiter {
    limit: u32,
    /// What one request costs.
    interval: Duration,
    max_keys: usize,
    full_again: Arc<Mutex<HashMap<String, Instant>>>,
}

/// The limiter's answer to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// `None`: go on. Otherwise the time after which the next request is accepted.
    pub retry_after: Option<Duration>,
    /// The limit in requests a minute.
    pub limit: u32,
    /// Requests that would be accepted right now.
    pub remaining: u32,
    /// Time until the allowance is whole again.
    pub reset: Duration,
}

impl RateLimiter {
    /// At most `per_minute` (at least 1) requests a minute for each key.
    pub fn per_minute(per_minute: u32) -> Self {
        let limit = per_minute.max(1);
        Self {
            limit,
            interval: Duration::from_mins(1) / limit,
            max_keys: MAX_KEYS,
            full_again: Arc::default(),
        }
    }

    /// Counts a request of `key` at `now`; a refused one costs nothing.
    pub fn check(&self, key: &str, now: Instant) -> Verdict {
        let mut keys = self.full_again.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= self.max_keys && !keys.contains_key(key) {
            forget(&mut keys, now);
        }
        let full_again = keys.get(key).copied().unwrap_or(now).max(now);
        let capacity = self.interval * self.limit;
        let owed = full_again - now + self.interval;
        let Some(left) = capacity.checked_sub(owed) else {
            let reset = full_again - now;
            let retry_after = Some(owed.saturating_sub(capacity));
            return Verdict { retry_after, limit: self.limit, remaining: 0, reset };
        };
        keys.insert(key.to_owned(), now + owed);
        let remaining = left.as_nanos() / self.interval.as_nanos().max(1);
        let remaining = u32::try_from(remaining).unwrap_or(self.limit);
        Verdict { retry_after: None, limit: self.limit, remaining, reset: owed }
    }
}

impl Verdict {
    /// Adds `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset` (seconds).
    pub fn describe(&self, headers: &mut HeaderMap) {
        for (name, value) in [
            ("ratelimit-limit", u64::from(self.limit)),
            ("ratelimit-remaining", u64::from(self.remaining)),
            ("ratelimit-reset", whole_seconds(self.reset)),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
        }
    }
}

/// Drops the keys whose allowance is whole; if there are none, the half that is nearest to it.
fn forget(keys: &mut HashMap<String, Instant>, now: Instant) {
    let before = keys.len();
    keys.retain(|_, full_again| *full_again > now);
    if keys.len() < before {
        return;
    }
    let mut times: Vec<Instant> = keys.values().copied().collect();
    let middle = times.len() / 2;
    let (_, median, _) = times.select_nth_unstable(middle);
    let median = *median;
    keys.retain(|_, full_again| *full_again > median);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_allowance_may_be_spent_at_once_and_comes_back_evenly() {
        let limiter = RateLimiter::per_minute(120);
        let start = Instant::now();
        for left in (0..120).rev() {
            let verdict = limiter.check("a", start);
            assert_eq!((verdict.retry_after, verdict.remaining), (None, left));
        }
        let refused = limiter.check("a", start);
        assert_eq!(refused.retry_after, Some(Duration::from_millis(500)));
        assert_eq!(refused.reset, Duration::from_mins(1));
        assert_eq!(limiter.check("b", start).retry_after, None, "others are not affected");
        assert_eq!(limiter.check("a", start + Duration::from_millis(500)).retry_after, None);
    }

    #[test]
    fn memory_is_bounded() {
        let limiter = RateLimiter { max_keys: 10, ..RateLimiter::per_minute(5) };
        let now = Instant::now();
        for user in 0..1000 {
            limiter.check(&format!("user {user}"), now);
            assert!(limiter.full_again.lock().expect("not poisoned").len() <= 10);
        }
    }

    proptest! {
        #[test]
        fn no_minute_sees_more_than_twice_the_limit_and_refusals_say_when(
            gaps in proptest::collection::vec(0..2_000_u64, 1..400), limit in 1..30_u32,
        ) {
            let limiter = RateLimiter::per_minute(limit);
            let mut now = Instant::now();
            let mut accepted: Vec<Instant> = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                match limiter.check("a", now).retry_after {
                    None => accepted.push(now),
                    Some(wait) => prop_assert_eq!(limiter.clone().check("a", now).retry_after, Some(wait)),
                }
            }
            for (at, first) in accepted.iter().enumerate() {
                let within = accepted[at..].iter().filter(|time| **time - *first < Duration::from_mins(1)).count();
                prop_assert!(within <= 2 * limit as usize, "{} of {}", within, limit);
            }
        }
    }
}
