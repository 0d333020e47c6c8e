//! The two stages of a shutdown.

use tokio_util::sync::CancellationToken;

/// Tells the parts of a process that it is ending.
///
/// Stage 1, *draining*: take no new work, finish what is held. Stage 2, *stopping*: the grace is
/// nearly over, hand back what is still held and end. Stage 2 implies stage 1.
#[derive(Debug, Clone)]
pub struct Shutdown {
    draining: CancellationToken,
    stopping: CancellationToken,
}

impl Shutdown {
    /// A shutdown that has not begun.
    pub fn new() -> Self {
        Self { draining: CancellationToken::new(), stopping: CancellationToken::new() }
    }

    /// Begins stage 1. Once begun it cannot be taken back; more calls change nothing.
    pub fn begin(&self) {
        self.draining.cancel();
    }

    /// Begins stage 2, and stage 1 if it had not begun.
    pub fn stop(&self) {
        self.draining.cancel();
        self.stopping.cancel();
    }

    /// Cancelled when stage 1 begins.
    pub fn draining(&self) -> CancellationToken {
        self.draining.clone()
    }

    /// Cancelled when stage 2 begins.
    pub fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }

    /// Whether stage 1 has begun.
    pub fn has_begun(&self) -> bool {
        self.draining.is_cancelled()
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}
