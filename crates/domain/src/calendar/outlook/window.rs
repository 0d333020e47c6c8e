//! The span of time that is kept in step. A calendar view lists a window that its delta link is bound to (provider
//! facts A4), so that the window is moved ahead by a new enumeration before its end comes near.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::calendar::event::When;

/// Days before the present.
const BEHIND: i64 = 90;
/// Days after the present.
const AHEAD: i64 = 400;
/// Days of the future that are left when the window moves.
const LEFT: i64 = 370;

/// A span of time; its end is exclusive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The first instant.
    pub from: DateTime<Utc>,
    /// The first instant after it.
    pub to: DateTime<Utc>,
}

impl Window {
    /// The window around `now`, on whole days.
    pub fn around(now: DateTime<Utc>) -> Self {
        let day = now.date_naive().and_time(chrono::NaiveTime::MIN).and_utc();
        Self { from: day - TimeDelta::days(BEHIND), to: day + TimeDelta::days(AHEAD) }
    }

    /// Whether it is time to move it ahead.
    pub fn is_stale(&self, now: DateTime<Utc>) -> bool {
        self.to - now < TimeDelta::days(LEFT)
    }

    /// Whether something at this time is listed. Days have no zone: one more on either side may be.
    pub fn holds(&self, when: &When) -> bool {
        let (start, end) = match when {
            When::Timed { start, end } => (start.instant(), end.instant()),
            When::AllDay { start, end } => (
                start.and_time(chrono::NaiveTime::MIN).and_utc() + TimeDelta::hours(14),
                end.and_time(chrono::NaiveTime::MIN).and_utc() - TimeDelta::hours(14),
            ),
        };
        end.max(start) > self.from && start < self.to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_moves_once_a_month() {
        let now: DateTime<Utc> = "2026-05-04T13:00:00Z".parse().expect("instant");
        let window = Window::around(now);
        assert!(!window.is_stale(now + TimeDelta::days(28)));
        assert!(window.is_stale(now + TimeDelta::days(32)));
        let day = now.date_naive();
        let at = |days: i64| {
            let start = day + TimeDelta::days(days);
            When::AllDay { start, end: start + TimeDelta::days(1) }
        };
        assert!(window.holds(&at(0)) && window.holds(&at(399)) && window.holds(&at(-89)));
        assert!(!window.holds(&at(402)) && !window.holds(&at(-92)));
    }
}
