//! The emulator's time: the real clock plus what `POST /clock` has added to it.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use domain::time::SharedClock;

/// A clock whose distance from the real one can be widened at run time.
#[derive(Debug)]
pub(crate) struct ShiftedClock {
    base: SharedClock,
    ahead_ms: AtomicI64,
}

impl ShiftedClock {
    pub(crate) fn new(base: SharedClock) -> Self {
        Self { base, ahead_ms: AtomicI64::new(0) }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        let ahead = TimeDelta::milliseconds(self.ahead_ms.load(Ordering::Relaxed));
        self.base.now().checked_add_signed(ahead).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// Milliseconds since the epoch.
    pub(crate) fn now_ms(&self) -> i64 {
        self.now().timestamp_millis()
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.ahead_ms.fetch_add(seconds.saturating_mul(1000), Ordering::Relaxed);
    }

    pub(crate) fn reset(&self) {
        self.ahead_ms.store(0, Ordering::Relaxed);
    }
}

/// The form of a date in HTTP headers (RFC 9110, IMF-fixdate).
pub(crate) fn http_date(at: DateTime<Utc>) -> String {
    at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
