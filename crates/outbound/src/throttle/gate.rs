//! Waiting in front of the fence, for a bounded time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chassis::ids::new_id;
use chassis::time::pause;
use domain::throttle::Priority;
use tokio::time::Instant;

use super::{Admission, Ask, FenceKey, LaneRules, LayeredFence, WaitReason};

/// The fence asks for a longer silence than a call should wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("throttled, next call in {} ms", .retry_after.as_millis())]
pub struct Throttled {
    /// The earliest moment that is worth another attempt.
    pub retry_after: Duration,
}

/// The right to make one call. Hand it back with [`Gate::leave`].
#[derive(Debug)]
pub struct Pass {
    holder: String,
    exclusive: bool,
}

/// One lane of a fence, and how long callers wait in front of it.
#[derive(Debug)]
pub struct Gate {
    fence: Arc<LayeredFence>,
    key: FenceKey,
    rules: LaneRules,
    max_wait: Duration,
    /// Interactive calls that wait here now.
    interactive: AtomicUsize,
}

/// How long a call waits for its turn while the lane is careful.
const SLOT_WAIT: Duration = Duration::from_secs(20);
/// How a background call steps aside while an interactive one waits.
const STEP_ASIDE: Duration = Duration::from_millis(10);
/// How often it does so before it competes again, so that it never starves.
const STEPS_ASIDE: u32 = 100;

/// Counts an interactive call for as long as it waits.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gate {
    /// A gate. Waits longer than `max_wait` are handed back to the caller, so that a job waits in its ledger row
    /// instead of in a connector's memory.
    pub fn new(fence: Arc<LayeredFence>, key: FenceKey, rules: LaneRules, max_wait: Duration) -> Self {
        Self { fence, key, rules, max_wait, interactive: AtomicUsize::new(0) }
    }

    /// Waits until a call of this cost may be made.
    ///
    /// # Errors
    /// [`Throttled`] when that takes longer than the gate's limit, or than `patience`.
    pub async fn enter(&self, cost: u32, patience: Duration) -> Result<Pass, Throttled> {
        self.enter_as(Priority::Background, cost, patience).await
    }

    /// [`Gate::enter`]; background calls step aside while interactive ones of this process wait.
    ///
    /// # Errors
    /// [`Throttled`] as of [`Gate::enter`].
    pub async fn enter_as(
        &self,
        priority: Priority,
        cost: u32,
        patience: Duration,
    ) -> Result<Pass, Throttled> {
        let _waiting = (priority == Priority::Interactive).then(|| {
            self.interactive.fetch_add(1, Ordering::Relaxed);
            Waiting(&self.interactive)
        });
        let mut aside = 0;
        self.step_aside(priority, &mut aside).await;
        let ask = Ask { holder: new_id().to_string(), cost };
        let started = Instant::now();
        let silence_limit = self.max_wait.min(patience);
        let turn_limit = SLOT_WAIT.min(patience);
        loop {
            let (reason, wait) = match self.fence.admit(&self.key, &ask, &self.rules).await {
                Admission::Go { exclusive } => return Ok(Pass { holder: ask.holder, exclusive }),
                Admission::Wait { reason, wait } => (reason, wait),
            };
            let limit = match reason {
                WaitReason::Window | WaitReason::Budget => silence_limit,
                WaitReason::Slot => turn_limit,
            };
            if started.elapsed() + wait > limit {
                return Err(Throttled { retry_after: wait.max(Duration::from_millis(50)) });
            }
            pause(wait).await;
            self.step_aside(priority, &mut aside).await;
        }
    }

    async fn step_aside(&self, priority: Priority, steps: &mut u32) {
        let background = priority == Priority::Background;
        while background && *steps < STEPS_ASIDE && self.interactive.load(Ordering::Relaxed) > 0 {
            *steps += 1;
            pause(STEP_ASIDE).await;
        }
    }

    /// Ends a call. `silence` is what the provider asked for, when it throttled the call; the window is opened
    /// before the slot is given back, so that no other call slips in between.
    pub async fn leave(&self, pass: Pass, silence: Option<Duration>) {
        if let Some(wait) = silence {
            self.close(wait).await;
        }
        if pass.exclusive {
            self.fence.release(&self.key, &pass.holder).await;
        }
    }

    /// Opens the window without having held a pass (an item of a batch was throttled).
    pub async fn close(&self, wait: Duration) {
        let fresh = self.fence.close(&self.key, wait, &self.rules).await;
        metrics::counter!("provider_throttled_total", "provider" => self.key.provider).increment(1);
        if fresh {
            tracing::warn!(fence = %self.key, wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX), "throttled by the provider");
        }
    }

    /// Keeps everybody silent although nothing was throttled yet: the provider said that its budget is used up.
    pub async fn hush(&self, wait: Duration) {
        if self.fence.close(&self.key, wait, &self.rules).await {
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            tracing::info!(fence = %self.key, wait_ms, "budget used up, keeping silent");
        }
    }

    /// What is left of the window.
    pub async fn window(&self) -> Option<Duration> {
        self.fence.window(&self.key).await
    }
}
