//! Fences of one process.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::time::SharedClock;

use super::{Admission, Ask, FenceError, FenceKey, FenceStore, Lane, LaneRules};

/// More lanes than any installation has; beyond it, lanes without a window are forgotten.
const MAX_LANES: usize = 4_096;

/// A [`FenceStore`] in memory.
#[derive(Debug)]
pub struct MemoryFence {
    clock: SharedClock,
    lanes: Mutex<HashMap<FenceKey, Lane>>,
}

impl MemoryFence {
    /// A store without any window.
    pub fn new(clock: SharedClock) -> Self {
        Self { clock, lanes: Mutex::new(HashMap::new()) }
    }

    fn with<T>(
        &self,
        key: &FenceKey,
        rules: &LaneRules,
        act: impl FnOnce(&mut Lane, chrono::DateTime<chrono::Utc>) -> T,
    ) -> T {
        let now = self.clock.now();
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if lanes.len() >= MAX_LANES && !lanes.contains_key(key) {
            lanes.retain(|_, lane| lane.window(now).is_some());
        }
        act(lanes.entry(key.clone()).or_insert_with(|| Lane::new(now, rules)), now)
    }
}

impl MemoryFence {
    /// [`FenceStore::admit`], which cannot fail here.
    pub fn admit_now(&self, key: &FenceKey, ask: &Ask, rules: &LaneRules) -> Admission {
        self.with(key, rules, |lane, now| lane.admit(now, ask, rules))
    }

    /// [`FenceStore::close`], which cannot fail here.
    pub fn close_now(&self, key: &FenceKey, wait: Duration, rules: &LaneRules) -> bool {
        self.with(key, rules, |lane, now| lane.close(now, wait, rules))
    }

    /// [`FenceStore::release`], which cannot fail here.
    pub fn release_now(&self, key: &FenceKey, holder: &str) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get_mut(key) {
            lane.release(holder);
        }
    }

    /// [`FenceStore::window`], which cannot fail here.
    pub fn window_now(&self, key: &FenceKey) -> Option<Duration> {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.get(key).and_then(|lane| lane.window(self.clock.now()))
    }
}

#[async_trait::async_trait]
impl FenceStore for MemoryFence {
    async fn admit(&self, key: &FenceKey, ask: &Ask, rules: &LaneRules) -> Result<Admission, FenceError> {
        Ok(self.admit_now(key, ask, rules))
    }

    async fn close(&self, key: &FenceKey, wait: Duration, rules: &LaneRules) -> Result<bool, FenceError> {
        Ok(self.close_now(key, wait, rules))
    }

    async fn release(&self, key: &FenceKey, holder: &str) -> Result<(), FenceError> {
        self.release_now(key, holder);
        Ok(())
    }

    async fn window(&self, key: &FenceKey) -> Result<Option<Duration>, FenceError> {
        Ok(self.window_now(key))
    }
}
