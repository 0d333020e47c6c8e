//! What the provider says about its budget before it throttles, and the pace that follows from it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::throttle::{Advice, Allowance};
use tokio::time::Instant;

use crate::http::Response;

/// Reads the budget headers of an answer (provider facts A8).
pub(super) fn allowance(response: &Response) -> Allowance {
    let number = |name| response.header(name).and_then(|text| text.trim().parse::<u64>().ok());
    Allowance {
        limit: number("ratelimit-limit"),
        remaining: number("ratelimit-remaining"),
        reset: number("ratelimit-reset").map(Duration::from_secs),
        used_share: response
            .header("x-ms-throttle-limit-percentage")
            .and_then(|text| text.trim().parse().ok()),
    }
}

/// Spaces background calls of this process while little of the budget is left.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<Option<Spacing>>);

#[derive(Debug, Clone, Copy)]
struct Spacing {
    every: Duration,
    until: Instant,
    next: Instant,
}

impl Pace {
    /// Takes over an advice; silence is the fence's matter.
    pub fn learn(&self, advice: Advice, now: Instant) {
        let mut spacing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Advice::Space { every, during } = advice {
            let next = spacing.map_or(now, |old| old.next.max(now)).min(now + every);
            *spacing = Some(Spacing { every, until: now + during, next });
        }
    }

    /// Takes the next place in the row: how long to wait for it.
    pub fn place(&self, now: Instant) -> Duration {
        let mut spacing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(row) = spacing.as_mut().filter(|row| now < row.until) else {
            *spacing = None;
            return Duration::ZERO;
        };
        let at = row.next.max(now);
        row.next = at + row.every;
        at.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_spaced_until_the_window_ends() {
        let pace = Pace::default();
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        assert_eq!(pace.place(now), Duration::ZERO);
        pace.learn(Advice::Space { every: second, during: second * 10 }, now);
        assert_eq!([pace.place(now), pace.place(now), pace.place(now)], [Duration::ZERO, second, second * 2]);
        pace.learn(Advice::Free, now);
        assert_eq!(pace.place(now + second * 11), Duration::ZERO, "the window is over");
        assert_eq!(pace.place(now + second * 11), Duration::ZERO);
    }
}
