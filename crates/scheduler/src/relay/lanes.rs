//! What waits in the outbox while it is more than fits, by queue, tenant and priority.
//!
//! Counting all of it takes time, so it is done now and then; in between only what is newer than everything
//! seen is counted. The numbers may be wrong for that long (another relay takes from the same lanes, a
//! transaction commits late): a lane that gives less than it should is forgotten until the next count.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use domain::ids::CompanyId;
use store::jobs::{LanePick, OutboxRow};
use uuid::Uuid;

use super::RelayError;
use super::carry::Carry;

/// How often everything is counted, at least.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// Counting takes at most one part in this many of the time.
const COUNT_SHARE: u32 = 20;

/// Queue, tenant and priority.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) queue: String,
    pub(super) company: Uuid,
    pub(super) priority: i16,
}

/// What is known of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) number: usize,
    /// Smallest id that can still wait.
    pub(super) from: i64,
}

/// Every lane with something waiting.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    known: BTreeMap<Key, Waiting>,
    /// Newest id that was counted.
    newest: i64,
    count_at: Option<Instant>,
}

impl Lanes {
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &Waiting)> {
        self.known.iter()
    }

    /// Counts everything from `floor` on when that is due, otherwise what is new.
    pub(super) async fn learn(&mut self, carry: &mut Carry, floor: i64) -> Result<(), RelayError> {
        let all = self.count_at.is_none_or(|at| at <= Instant::now()) || self.known.is_empty();
        let begun = Instant::now();
        let found = carry.waiting(if all { floor } else { self.newest + 1 }).await?;
        if all {
            self.known.clear();
            self.count_at = Some(Instant::now() + COUNT_EVERY.max(begun.elapsed() * COUNT_SHARE));
        }
        for lane in found {
            self.newest = self.newest.max(lane.newest);
            let key = Key { queue: lane.queue, company: lane.company.uuid(), priority: lane.priority };
            let waiting = self.known.entry(key).or_insert(Waiting { number: 0, from: lane.oldest });
            waiting.number += usize::try_from(lane.waiting).unwrap_or(0);
            waiting.from = waiting.from.min(lane.oldest);
        }
        Ok(())
    }

    /// Takes note of what a round took.
    pub(super) fn took(&mut self, picks: &[LanePick], rows: &[OutboxRow]) {
        let mut got: BTreeMap<Key, (usize, i64)> = BTreeMap::new();
        for row in rows {
            let key = Key { queue: row.queue.clone(), company: row.company.uuid(), priority: row.priority };
            let (number, last) = got.entry(key).or_default();
            *number += 1;
            *last = (*last).max(row.id);
        }
        for pick in picks {
            let key =
                Key { queue: pick.queue.clone(), company: pick.company.uuid(), priority: pick.priority };
            let (number, last) = got.get(&key).copied().unwrap_or_default();
            let short = i64::try_from(number).is_ok_and(|number| number < pick.count);
            let Some(waiting) = self.known.get_mut(&key) else { continue };
            waiting.number = waiting.number.saturating_sub(number);
            waiting.from = waiting.from.max(last + 1);
            if short || waiting.number == 0 {
                self.known.remove(&key);
            }
        }
    }
}

/// A pick from a lane.
pub(super) fn pick(key: &Key, waiting: Waiting, count: usize) -> LanePick {
    LanePick {
        queue: key.queue.clone(),
        company: CompanyId(key.company),
        priority: key.priority,
        from: waiting.from,
        count: i64::try_from(count).unwrap_or(i64::MAX),
    }
}
