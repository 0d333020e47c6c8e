//! What tells a consumer that it is deaf: it has room, its queue has messages or the ledger has due jobs, and
//! nothing is delivered.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Silence that is suspicious while there is something to deliver.
pub(crate) const SUSPICIOUS: Duration = Duration::from_secs(5);
/// Time between the first and the last look at a silent consumer: a delivery may be on its way.
const GRACE: Duration = Duration::from_secs(1);
/// Least time between two rebuilds for this reason: if the message itself is lost, a rebuild cannot help.
const AGAIN: Duration = Duration::from_secs(30);

/// Tells the consumer of a queue that work is due which its queue should have delivered. Clones tell the same
/// consumer.
#[derive(Debug, Clone, Default)]
pub struct Watchdog {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    due: Notify,
    times: Mutex<Times>,
}

#[derive(Debug, Default)]
struct Times {
    /// Last delivery, or last (re)building.
    alive: Option<Instant>,
    /// First look since then that found it silent.
    suspected: Option<Instant>,
    /// Last rebuild because of silence.
    rebuilt: Option<Instant>,
}

impl Watchdog {
    /// Call it every second or so while the ledger says that work for this queue is due and nobody takes it. A
    /// consumer that has room and no delivery for five seconds is then built anew; one that delivers goes on.
    pub fn work_is_due(&self) {
        self.inner.due.notify_one();
    }

    /// Waits until somebody says so.
    pub(crate) async fn due(&self) {
        self.inner.due.notified().await;
    }

    /// It delivered, or was built.
    pub(crate) fn alive(&self) {
        let mut times = self.times();
        times.alive = Some(Instant::now());
        times.suspected = None;
    }

    /// Whether it has been silent for so long, seen twice, that it is built anew; true at most once in a while.
    pub(crate) fn bites(&self) -> bool {
        let mut times = self.times();
        let silent = times.alive.is_some_and(|alive| alive.elapsed() >= SUSPICIOUS);
        let lately = times.rebuilt.is_some_and(|rebuilt| rebuilt.elapsed() < AGAIN);
        if !silent || lately {
            return false;
        }
        let suspected = *times.suspected.get_or_insert_with(Instant::now);
        let bites = suspected.elapsed() >= GRACE;
        if bites {
            times.rebuilt = Some(Instant::now());
        }
        bites
    }

    fn times(&self) -> std::sync::MutexGuard<'_, Times> {
        self.inner.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tags of the deliveries of one channel that are not settled.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held(Arc<Mutex<BTreeSet<u64>>>);

impl Held {
    pub(crate) fn delivered(&self, tag: u64) {
        self.tags().insert(tag);
    }

    pub(crate) fn settled(&self, tag: u64) {
        self.tags().remove(&tag);
    }

    /// Everything up to the tag is settled.
    pub(crate) fn settled_through(&self, tag: u64) {
        let mut tags = self.tags();
        *tags = tags.split_off(&tag.saturating_add(1));
    }

    pub(crate) fn number(&self) -> u32 {
        u32::try_from(self.tags().len()).unwrap_or(u32::MAX)
    }

    fn tags(&self) -> std::sync::MutexGuard<'_, BTreeSet<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
