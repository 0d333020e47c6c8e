//! The clock as a parameter: rules never read the wall clock themselves.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// A source of the present instant.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The present instant in UTC.
    fn now(&self) -> DateTime<Utc>;
}

/// The form in which a clock is handed to services.
pub type SharedClock = Arc<dyn Clock>;

/// A clock that moves only when told to. Clones share the same hands, so that a test keeps one
/// and gives the other away.
#[derive(Clone, Debug)]
pub struct ManualClock {
    now: Arc<Mutex<DateTime<Utc>>>,
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: DateTime<Utc>) -> Self {
        Self { now: Arc::new(Mutex::new(now)) }
    }

    /// Moves the clock to `now`, which may lie in its past.
    pub fn set(&self, now: DateTime<Utc>) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now = after(*now, by);
    }

    /// The same clock in the form services take.
    pub fn shared(&self) -> SharedClock {
        Arc::new(self.clone())
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `t + by`, stopping at the end of the calendar instead of overflowing.
pub fn after(t: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(by).ok().and_then(|by| t.checked_add_signed(by)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// The time from `earlier` to `later`; zero when they are the other way round.
pub fn elapsed(earlier: DateTime<Utc>, later: DateTime<Utc>) -> Duration {
    later.signed_duration_since(earlier).to_std().unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_their_hands() {
        let clock = ManualClock::new(DateTime::UNIX_EPOCH);
        let shared = clock.shared();
        clock.advance(Duration::from_secs(3));
        assert_eq!(shared.now().timestamp(), 3);
        clock.set(DateTime::UNIX_EPOCH);
        assert_eq!(shared.now(), DateTime::UNIX_EPOCH);
    }

    #[test]
    fn arithmetic_does_not_overflow() {
        assert_eq!(after(DateTime::<Utc>::MAX_UTC, Duration::MAX), DateTime::<Utc>::MAX_UTC);
        assert_eq!(elapsed(DateTime::<Utc>::MAX_UTC, DateTime::UNIX_EPOCH), Duration::ZERO);
    }
}
