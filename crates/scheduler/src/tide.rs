//! From which id on the outbox is looked at.
//!
//! While any session keeps an old transaction open, rows that were removed since cannot be cleaned away, and a
//! look from the beginning walks all of them, every time. Ids are given out in order but commit out of order:
//! so a look starts behind the newest id of a second ago, once a second it reaches back ten seconds, and once
//! a minute to the beginning.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far ordinary looks trail the newest id.
const TRAIL: Duration = Duration::from_secs(1);
/// How far the deeper looks trail it: longer than any ordinary transaction that enqueues.
const DEEP_TRAIL: Duration = Duration::from_secs(10);
/// How often a deeper look is due.
const DEEP_EVERY: Duration = Duration::from_secs(1);
/// How often a look from the beginning is due, at least; one that is slow comes less often.
const FULL_EVERY: Duration = Duration::from_mins(1);
/// A look from the beginning takes at most one part in this many of the time.
const FULL_SHARE: u32 = 50;
/// Least time between two samples.
const SAMPLE_EVERY: Duration = Duration::from_millis(100);

/// What is known of the ids in the outbox.
#[derive(Debug, Default)]
pub struct Tide {
    /// When which id was the newest, oldest first.
    samples: VecDeque<(Instant, i64)>,
    /// Nothing that waits has a smaller id, unless it was in a transaction for longer than [`DEEP_TRAIL`].
    floor: i64,
    /// Oldest that waited at the last deep look.
    oldest: Option<i64>,
    deep_at: Option<Instant>,
    full_at: Option<Instant>,
}

impl Tide {
    /// Where an ordinary look begins.
    pub fn start(&self, now: Instant) -> i64 {
        let recent = self.newest_before(now, TRAIL).unwrap_or(self.floor);
        self.oldest.map_or(recent, |oldest| recent.min(oldest))
    }

    /// Where a deep look begins.
    pub fn floor(&self) -> i64 {
        self.floor
    }

    /// Where the next look of the beat begins: now and then it is a deep one, or one from the beginning.
    pub fn look(&self, now: Instant) -> i64 {
        if self.full_at.is_none_or(|at| at <= now) {
            0
        } else if self.deep_at.is_none_or(|at| at <= now) {
            self.floor
        } else {
            self.start(now)
        }
    }

    /// Takes the answer of a look into account, which began at `from` and took `cost`: the oldest id that
    /// waits from there on, and the newest that was given out.
    pub fn looked(&mut self, now: Instant, from: i64, oldest: Option<i64>, newest: i64, cost: Duration) {
        self.sample(now, newest);
        if from > self.floor {
            return;
        }
        let settled = self.newest_before(now, DEEP_TRAIL).unwrap_or(0).max(self.floor);
        self.floor = oldest.map_or(settled, |oldest| settled.min(oldest));
        self.oldest = oldest;
        self.deep_at = Some(now + DEEP_EVERY);
        if from == 0 && self.full_at.is_none_or(|at| at <= now) {
            self.full_at = Some(now + FULL_EVERY.max(cost * FULL_SHARE));
        }
    }

    /// Notes the newest id that was given out.
    pub fn sample(&mut self, now: Instant, newest: i64) {
        if self.samples.back().is_some_and(|(at, _)| now.duration_since(*at) < SAMPLE_EVERY) {
            return;
        }
        self.samples.push_back((now, newest));
        while self.samples.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= DEEP_TRAIL) {
            self.samples.pop_front();
        }
    }

    fn newest_before(&self, now: Instant, trail: Duration) -> Option<i64> {
        let old = |(at, _): &&(Instant, i64)| now.duration_since(*at) >= trail;
        self.samples.iter().rev().find(old).map(|(_, newest)| *newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    /// A tide after 20 s in which an id was given out every 10 ms and everything was rung at once.
    fn running() -> (Tide, Instant) {
        let (mut tide, begin) = (Tide::default(), Instant::now());
        for second in 0..200_u32 {
            let now = begin + Duration::from_millis(100) * second;
            let from = tide.look(now);
            tide.looked(now, from, None, i64::from(second) * 10, MOMENT);
        }
        (tide, begin + Duration::from_millis(100) * 199)
    }

    #[test]
    fn looks_trail_the_newest_id() {
        let (tide, now) = running();
        assert_eq!(tide.start(now), 1990 - 100);
        assert!((900..=1000).contains(&tide.floor()), "{}", tide.floor());
    }

    #[test]
    fn what_waits_is_never_passed() {
        let (mut tide, now) = running();
        let later = now + DEEP_EVERY;
        assert_eq!(tide.look(later), tide.floor());
        tide.looked(later, tide.floor(), Some(1000), 2090, MOMENT);
        for seconds in 0..30_u32 {
            let now = later + DEEP_EVERY * seconds;
            assert!(tide.look(now) <= 1000 && tide.start(now) <= 1000, "after {seconds} s");
            tide.looked(now, tide.look(now), Some(1000), 2090 + i64::from(seconds) * 100, MOMENT);
        }
    }

    #[test]
    fn a_late_commit_is_found_within_a_minute() {
        let (mut tide, now) = running();
        let full = now + FULL_EVERY;
        assert_eq!(tide.look(full), 0);
        tide.looked(full, 0, Some(3), 9000, Duration::from_secs(3));
        assert_eq!((tide.floor(), tide.start(full)), (3, 3));
        assert_ne!(tide.look(full + FULL_EVERY), 0, "slow looks from the beginning come less often");
    }
}
