//! The process's own fence in front of the shared one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chassis::time::deadline;
use chrono::{DateTime, Utc};
use domain::time::{SharedClock, after, elapsed};

use super::{Admission, Ask, FenceError, FenceKey, FenceStore, LaneRules, MemoryFence, WaitReason};

/// How long the shared store may take; longer than that is as good as away.
const STORE_DEADLINE: Duration = Duration::from_millis(100);
/// How long a store that failed is left alone.
const STORE_PAUSE: Duration = Duration::from_secs(3);

/// Asks the local fence first and the shared one before every call: a window that another replica has met must be
/// seen by the very next call here, and the question costs a fraction of a millisecond. While the shared store is
/// away, the local fence decides alone (counter `throttle_fence_degraded_total`).
#[derive(Debug)]
pub struct LayeredFence {
    local: MemoryFence,
    shared: Option<Arc<dyn FenceStore>>,
    clock: SharedClock,
    shared_paused_until: Mutex<Option<DateTime<Utc>>>,
}

impl LayeredFence {
    /// A fence that is shared when `shared` is given.
    pub fn new(clock: SharedClock, shared: Option<Arc<dyn FenceStore>>) -> Self {
        Self { local: MemoryFence::new(clock.clone()), shared, clock, shared_paused_until: Mutex::new(None) }
    }

    /// Asks to make one call.
    pub async fn admit(&self, key: &FenceKey, ask: &Ask, rules: &LaneRules) -> Admission {
        if let Some(wait) = self.local.window_now(key) {
            return Admission::Wait { reason: WaitReason::Window, wait };
        }
        match self.ask_shared(|shared| async move { shared.admit(key, ask, rules).await }).await {
            Some(answer) => answer,
            None => self.local.admit_now(key, ask, rules),
        }
    }

    /// Opens or lengthens the window for everybody. True when it was not open before, as far as is known.
    pub async fn close(&self, key: &FenceKey, wait: Duration, rules: &LaneRules) -> bool {
        let fresh = self.local.close_now(key, wait, rules);
        let shared = self.ask_shared(|shared| async move { shared.close(key, wait, rules).await }).await;
        shared.unwrap_or(fresh)
    }

    /// Gives the slot back.
    pub async fn release(&self, key: &FenceKey, holder: &str) {
        self.local.release_now(key, holder);
        self.ask_shared(|shared| async move { shared.release(key, holder).await }).await;
    }

    /// What is left of the window.
    pub async fn window(&self, key: &FenceKey) -> Option<Duration> {
        let shared = self.ask_shared(|shared| async move { shared.window(key).await }).await.flatten();
        shared.max(self.local.window_now(key))
    }

    /// `None` when there is no shared store or it does not answer.
    async fn ask_shared<T, F>(&self, question: impl FnOnce(Arc<dyn FenceStore>) -> F) -> Option<T>
    where
        F: Future<Output = Result<T, FenceError>>,
    {
        let shared = self.shared.clone()?;
        let now = self.clock.now();
        if self.paused().is_some_and(|until| !elapsed(now, until).is_zero()) {
            metrics::counter!("throttle_fence_degraded_total").increment(1);
            return None;
        }
        let fault = match deadline("throttle fence store", STORE_DEADLINE, question(shared)).await {
            Ok(Ok(answer)) => {
                if self.set_paused(None).is_some() {
                    tracing::info!("throttle fence is shared again");
                }
                return Some(answer);
            }
            Ok(Err(fault)) => fault.to_string(),
            Err(elapsed) => elapsed.to_string(),
        };
        if self.set_paused(Some(after(now, STORE_PAUSE))).is_none() {
            tracing::warn!(fault, "throttle fence works without its shared store");
        }
        metrics::counter!("throttle_fence_degraded_total").increment(1);
        None
    }

    fn paused(&self) -> Option<DateTime<Utc>> {
        *self.shared_paused_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_paused(&self, until: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        let mut paused = self.shared_paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *paused, until)
    }
}
