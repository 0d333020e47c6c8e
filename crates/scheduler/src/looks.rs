//! From which moment on the beat looks at delayed and at running jobs; see [`crate::tide`] for why.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use store::jobs::EARLIEST;
use store::pulse::{Due, Marks};

/// How far a look trails the server's clock: whoever makes a job wait for a moment commits within this time.
const TRAIL: TimeDelta = TimeDelta::seconds(10);
/// How often all delayed jobs are looked at, at least: also those whose time was set to the past.
const DELAYED_FULL: Duration = Duration::from_secs(5);
/// How often expired leases are looked for; a lease is several seconds long.
const LEASES: Duration = Duration::from_secs(1);
/// How often all running jobs are looked at, at least.
const LEASES_FULL: Duration = Duration::from_secs(30);
/// A look from the beginning takes at most one part in this many of the time.
const FULL_SHARE: u32 = 50;

/// App writes wait until a worker takes them, and for ever while their calendar is parked: a push is queued when what is
/// due is not what it was at the last look.
#[derive(Debug)]
struct Exports {
    from: DateTime<Utc>,
    full: Instant,
    seen: (i64, Option<DateTime<Utc>>),
}

impl Exports {
    fn new(now: Instant) -> Self {
        Self { from: EARLIEST, full: now, seen: (0, None) }
    }

    fn from(&self, now: Instant) -> DateTime<Utc> {
        if self.full <= now { EARLIEST } else { self.from }
    }

    fn looked(&mut self, begun: Instant, now: Instant, due: &Due) -> bool {
        let full = self.full <= begun;
        let cost = now.duration_since(begun) * FULL_SHARE;
        if full {
            self.full = now + DELAYED_FULL.max(cost);
        }
        self.from = due.now - TRAIL;
        let (count, newest) = self.seen;
        // One that another left behind as it aged out of the look is no news; one that is counted for another is
        // found by the look at all of them.
        let news = due.exports > 0 && (full || due.newest_export > newest || due.exports > count);
        // What the look at all of them saw in addition is not compared with the next look.
        let recent = due.newest_export.is_some_and(|newest| newest >= self.from);
        self.seen = if full && !recent { (0, None) } else { (due.exports, due.newest_export) };
        news
    }
}

/// Where the next look begins.
#[derive(Debug)]
pub(crate) struct Looks {
    delayed_from: DateTime<Utc>,
    delayed_full: Instant,
    running_from: DateTime<Utc>,
    leases_due: Instant,
    leases_full: Instant,
    exports: Exports,
}

impl Looks {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            delayed_from: EARLIEST,
            delayed_full: now,
            running_from: EARLIEST,
            leases_due: now,
            leases_full: now,
            exports: Exports::new(now),
        }
    }

    /// Marks of a look that begins now, at this bell.
    pub(crate) fn marks(&self, now: Instant, bell: i64) -> Marks {
        let (run_at, started_at) = self.next(now);
        Marks { bell, run_at, started_at, export: self.exports.from(now) }
    }

    /// Whether app writes came to calendars that no push was queued for, as far as the look tells.
    pub(crate) fn exports(&mut self, begun: Instant, now: Instant, due: &Due) -> bool {
        self.exports.looked(begun, now, due)
    }

    /// Earliest `run_at` and, when leases are looked at too, earliest `started_at`.
    fn next(&self, now: Instant) -> (DateTime<Utc>, Option<DateTime<Utc>>) {
        let run_at = if self.delayed_full <= now { EARLIEST } else { self.delayed_from };
        let started_at = if self.leases_full <= now { EARLIEST } else { self.running_from };
        (run_at, (self.leases_due <= now).then_some(started_at))
    }

    /// Takes the answer of a look into account, which began at [`Looks::next`] of `begun`. `more`: of the
    /// delayed jobs that it found, some are still to be promoted.
    pub(crate) fn looked(&mut self, begun: Instant, now: Instant, due: &Due, more: bool) {
        let (run_at, started_at) = self.next(begun);
        let recent = due.now - TRAIL;
        let cost = now.duration_since(begun) * FULL_SHARE;
        if self.delayed_full <= begun && !more {
            self.delayed_full = now + DELAYED_FULL.max(cost);
        }
        self.delayed_from = if more { run_at } else { recent };
        if started_at.is_some() {
            self.running_from = due.oldest_run.map_or(recent, |oldest| oldest.min(recent));
            self.leases_due = now + LEASES;
            if self.leases_full <= begun {
                self.leases_full = now + LEASES_FULL.max(cost);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(now: DateTime<Utc>, exports: i64, newest_export: Option<DateTime<Utc>>) -> Due {
        Due {
            bells: false,
            jobs: false,
            leases: false,
            occurrences: false,
            now,
            oldest_bell: None,
            newest_bell: 0,
            oldest_run: None,
            exports,
            newest_export,
        }
    }

    #[test]
    fn app_writes_are_news_once_and_again_with_each_look_at_all() {
        let (begun, at) = (Instant::now(), EARLIEST + TimeDelta::days(1));
        let mut exports = Exports::new(begun);
        assert_eq!(exports.from(begun), EARLIEST);
        assert!(!exports.looked(begun, begun, &due(at, 0, None)));
        assert_eq!(exports.from(begun), at - TRAIL);
        assert!(exports.looked(begun, begun, &due(at, 1, Some(at))), "the first");
        assert!(!exports.looked(begun, begun, &due(at, 1, Some(at))), "it waits for its worker");
        let later = at + TimeDelta::seconds(1);
        assert!(exports.looked(begun, begun, &due(later, 1, Some(later))), "another in its place");
        assert!(exports.looked(begun, begun, &due(later, 2, Some(later))), "one that committed late");
        assert!(!exports.looked(begun, begun, &due(later, 1, Some(later))), "one was taken");
        let full = begun + DELAYED_FULL;
        assert_eq!(exports.from(full), EARLIEST);
        let parked = due(later + TimeDelta::minutes(1), 3, Some(later));
        assert!(exports.looked(full, full, &parked), "a calendar came back");
        assert!(!exports.looked(full, full, &due(parked.now, 0, None)), "they are out of the next look");
        let fresh = due(parked.now, 1, Some(parked.now));
        assert!(exports.looked(full, full, &fresh), "fewer than the old ones, and news");
    }
}
