//! From which moment on the beat looks at delayed and at running jobs; see [`crate::tide`] for why.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use store::jobs::EARLIEST;
use store::pulse::Due;

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

/// Where the next look begins.
#[derive(Debug)]
pub(crate) struct Looks {
    delayed_from: DateTime<Utc>,
    delayed_full: Instant,
    running_from: DateTime<Utc>,
    leases_due: Instant,
    leases_full: Instant,
}

impl Looks {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            delayed_from: EARLIEST,
            delayed_full: now,
            running_from: EARLIEST,
            leases_due: now,
            leases_full: now,
        }
    }

    /// Earliest `run_at` and, when leases are looked at too, earliest `started_at`.
    pub(crate) fn next(&self, now: Instant) -> (DateTime<Utc>, Option<DateTime<Utc>>) {
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
