//! The past of a folder, read in windows of `receivedDateTime` beside the cursor.
//!
//! A delta round with a filter ends after 5,000 messages, whatever else exists (message-delta, Graph v1.0), so what
//! a filtered cursor covers is listed apart from it, newest first, one bounded window at a time.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// Messages of a window above which the next one is shorter.
const MANY: u64 = 2_000;
/// Messages of a window below which the next one is longer.
const FEW: u64 = 200;
/// Shortest and longest window.
const SPANS: (i64, i64) = (3_600, 366 * 86_400);

/// A window `[from, to)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Earliest.
    pub from: DateTime<Utc>,
    /// Before this.
    pub to: DateTime<Utc>,
}

/// A backfill under way; stored with the round, so that it goes on where it stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backfill {
    since: DateTime<Utc>,
    /// Everything from here on is read.
    reached: DateTime<Utc>,
    span_seconds: i64,
}

impl Backfill {
    /// Everything in `[since, until)`, in windows of 30 days at first.
    pub fn new(since: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        Self { since, reached: until, span_seconds: 30 * 86_400 }
    }

    /// What to read next; `None` when everything is read.
    pub fn next(&self) -> Option<Window> {
        let from = (self.reached - TimeDelta::seconds(self.span_seconds)).max(self.since);
        (from < self.reached).then_some(Window { from, to: self.reached })
    }

    /// A window was read to its end and held `messages`.
    pub fn read(&mut self, window: Window, messages: u64) {
        self.reached = window.from;
        if messages > MANY {
            self.span_seconds = (self.span_seconds / 4).max(SPANS.0);
        } else if messages < FEW {
            self.span_seconds = self.span_seconds.saturating_mul(4).min(SPANS.1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn windows_touch_and_cover_everything(
            start in 0i64..1_000_000_000, length in 0i64..400_000_000, counts in proptest::collection::vec(0u64..5_000, 1..20),
        ) {
            let at = |s| DateTime::from_timestamp(s, 0).expect("a time");
            let mut backfill = Backfill::new(at(start), at(start + length));
            let mut edge = at(start + length);
            let mut counts = counts.iter().cycle();
            let mut windows = 0;
            while let Some(window) = backfill.next() {
                prop_assert_eq!(window.to, edge);
                prop_assert!(window.from < window.to && window.from >= at(start));
                edge = window.from;
                backfill.read(window, *counts.next().expect("cycles"));
                windows += 1;
                prop_assert!(windows <= 400_000_000 / SPANS.0 + 1);
            }
            prop_assert_eq!(edge, at(start));
        }
    }
}
