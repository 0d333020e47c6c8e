//! The throttle fence: when a provider asks one caller for silence, everybody keeps it.
//!
//! Microsoft counts calls for an application in a tenant, whichever process makes them, and calls made while a
//! window is open lengthen it (provider facts A8, pain 22). So the window, an adaptive budget and, for a while
//! after each window, a single slot are shared by all replicas through a [`FenceStore`]; without one the fence of
//! the process itself still stands.

mod gate;
mod lane;
mod layered;
mod memory;

pub use gate::{Gate, Pass, Throttled};
pub use lane::{Admission, Ask, Lane, LaneRules, WaitReason};
pub use layered::LayeredFence;
pub use memory::MemoryFence;

use std::time::Duration;

/// What a fence encloses: the calls that a provider counts together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FenceKey {
    /// Provider, such as `microsoft`.
    pub provider: &'static str,
    /// The provider's tenant.
    pub tenant: String,
    /// Workload with a limit of its own, such as `drives`.
    pub workload: &'static str,
}

impl std::fmt::Display for FenceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.provider, self.tenant, self.workload)
    }
}

/// The shared fence cannot be asked.
#[derive(Debug, thiserror::Error)]
#[error("throttle fence store: {reason}")]
pub struct FenceError {
    /// What went wrong.
    pub reason: String,
}

/// Where the state of fences lives. Times are durations, so that the clocks of replicas need not agree.
#[async_trait::async_trait]
pub trait FenceStore: Send + Sync + std::fmt::Debug {
    /// Asks to make one call; takes budget, and the slot while the lane is careful.
    async fn admit(&self, key: &FenceKey, ask: &Ask, rules: &LaneRules) -> Result<Admission, FenceError>;

    /// Opens or lengthens the window: nobody calls for `wait`. True when the window was not open before.
    async fn close(&self, key: &FenceKey, wait: Duration, rules: &LaneRules) -> Result<bool, FenceError>;

    /// Gives the slot back, if `holder` has it.
    async fn release(&self, key: &FenceKey, holder: &str) -> Result<(), FenceError>;

    /// What is left of the window.
    async fn window(&self, key: &FenceKey) -> Result<Option<Duration>, FenceError>;
}
