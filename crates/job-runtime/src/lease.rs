//! Keeping the leases of a worker's jobs: one statement per beat for all of them, on a task of its own, so that
//! a busy handler does not delay it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chassis::time::{deadline, pause};
use domain::ids::JobId;
use store::jobs::{Fence, Heartbeat, heartbeat_many};
use store::{Store, StoreError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::config::RuntimeConfig;

/// What becomes of a lease while its attempt runs.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    /// Cancelled when the job is no longer ours, or may no longer be.
    pub(crate) lost: CancellationToken,
    /// Cancelled when someone asked the job to stop.
    pub(crate) cancel_requested: CancellationToken,
    /// What the handler sees: either of the two.
    pub(crate) cancelled: CancellationToken,
    /// The attempt's end is being committed.
    ending: AtomicBool,
}

impl Hold {
    /// Says whether the attempt's end is being committed. Meanwhile a beat that misses the job proves nothing: the
    /// fence is checked by the commit itself.
    pub(crate) fn ending(&self, ending: bool) {
        self.ending.store(ending, Ordering::Release);
    }

    fn cancel(&self) {
        self.cancel_requested.cancel();
        self.cancelled.cancel();
    }

    fn lose(&self, job: JobId, reason: &str) {
        if !self.lost.is_cancelled() {
            metrics::counter!("lease_lost_total").increment(1);
            tracing::warn!(job_id = %job, reason, "the lease is lost, the attempt stops");
            self.lost.cancel();
            self.cancelled.cancel();
        }
    }
}

/// The lease of a running attempt. Dropped, it is no longer renewed.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) hold: Arc<Hold>,
    key: Key,
    leases: Arc<Leases>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.leases.held().remove(&self.key);
    }
}

/// A job and its epoch: a worker may hold a job again whose earlier attempt it has not ended yet.
type Key = (JobId, i64);

#[derive(Debug)]
struct Entry {
    hold: Arc<Hold>,
    /// When the last successful request was sent, on the monotonic clock: a suspended machine or a slow server can
    /// only make us stop too early.
    renewed: Instant,
}

/// The leases that a worker holds.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    held: Mutex<HashMap<Key, Entry>>,
    /// Wakes the keeper that has nothing to keep.
    added: Notify,
}

impl Leases {
    /// Keeps the lease of `fence`, granted at or after `asked`.
    pub(crate) fn keep(self: &Arc<Self>, fence: &Fence, asked: Instant) -> Lease {
        let (key, hold) = ((fence.job, fence.epoch), Arc::new(Hold::default()));
        self.held().insert(key, Entry { hold: hold.clone(), renewed: asked });
        self.added.notify_one();
        Lease { hold, key, leases: self.clone() }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the lease that was renewed longest ago was renewed.
    fn oldest(&self) -> Option<Instant> {
        self.held().values().filter(|entry| !entry.hold.lost.is_cancelled()).map(|e| e.renewed).min()
    }

    fn keys(&self) -> Vec<Key> {
        let held = self.held();
        held.iter().filter(|(_, entry)| !entry.hold.lost.is_cancelled()).map(|(key, _)| *key).collect()
    }

    /// Gives up what was not renewed for `limit`.
    fn lose_late(&self, limit: Duration) {
        for ((job, _), entry) in &*self.held() {
            if entry.renewed.elapsed() >= limit {
                entry.hold.lose(*job, "the lease was not renewed in time");
            }
        }
    }

    /// Takes note of a beat; true when every lease in it was renewed or is lost.
    fn note(&self, asked: &[Key], beats: &HashMap<JobId, Heartbeat>, sent: Instant) -> bool {
        let mut settled = true;
        let mut held = self.held();
        for key in asked {
            let Some(entry) = held.get_mut(key) else { continue };
            match beats.get(&key.0) {
                Some(Heartbeat::Alive) => entry.renewed = sent,
                Some(Heartbeat::CancelRequested) => {
                    entry.renewed = sent;
                    entry.hold.cancel();
                }
                Some(Heartbeat::Busy) | None => settled = false,
                // Most likely gone with its own commit, which is about to be answered.
                Some(Heartbeat::Lost) if entry.hold.ending.load(Ordering::Acquire) => settled = false,
                Some(Heartbeat::Lost) => entry.hold.lose(key.0, "the job was taken over"),
            }
        }
        settled
    }
}

/// Renews leases.
pub(crate) struct Keeper {
    pub(crate) leases: Arc<Leases>,
    pub(crate) store: Store,
    pub(crate) config: RuntimeConfig,
    /// Cancelled when nobody can hold a lease any more.
    pub(crate) over: CancellationToken,
}

impl Keeper {
    /// Beats while there are leases; asks the database nothing while there are none.
    pub(crate) async fn run(self) {
        let (every, limit) = (self.config.heartbeat(), self.config.self_stop());
        let mut not_before = Instant::now();
        loop {
            let Some(oldest) = self.leases.oldest() else {
                tokio::select! {
                    () = self.over.cancelled() => return,
                    () = self.leases.added.notified() => continue,
                }
            };
            let due = (oldest + every).max(not_before);
            let wake = due.min(oldest + limit);
            tokio::select! {
                () = self.over.cancelled() => return,
                () = pause(wake.saturating_duration_since(Instant::now())) => {}
            }
            self.leases.lose_late(limit);
            let Some(oldest) = self.leases.oldest() else { continue };
            if Instant::now() < (oldest + every).max(not_before) {
                continue;
            }
            let settled = self.beat((oldest + limit).saturating_duration_since(Instant::now())).await;
            not_before = if settled { Instant::now() } else { Instant::now() + every / 5 };
        }
    }

    /// One beat; false when it must be repeated soon.
    async fn beat(&self, left: Duration) -> bool {
        let (asked, sent) = (self.leases.keys(), Instant::now());
        match deadline("heartbeat", left, self.send(&asked)).await {
            Ok(Ok(beats)) => self.leases.note(&asked, &beats, sent),
            Ok(Err(error)) => {
                let error = chassis::telemetry::chain(&error);
                tracing::warn!(error, jobs = asked.len(), "a heartbeat failed, trying again");
                false
            }
            Err(elapsed) => {
                tracing::warn!(error = %elapsed, jobs = asked.len(), "a heartbeat was not answered");
                false
            }
        }
    }

    async fn send(&self, asked: &[Key]) -> Result<HashMap<JobId, Heartbeat>, StoreError> {
        let mut tx = self.store.dispatch().await?;
        let beats = heartbeat_many(&mut tx, asked, self.config.lease_seconds).await?;
        tx.commit().await?;
        Ok(beats.into_iter().collect())
    }
}
