//! Keeping the lease of one attempt, on a task of its own so that a busy handler does not delay it.

use std::sync::Arc;
use std::time::Instant;

use chassis::time::{deadline, pause};
use store::StoreError;
use store::jobs::{Fence, Heartbeat};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument;

use crate::runtime::Shared;

/// The lease of a running attempt. Dropped, it is no longer renewed.
#[derive(Debug)]
pub(crate) struct Lease {
    /// Cancelled when the job is no longer ours, or may no longer be.
    pub(crate) lost: CancellationToken,
    /// Cancelled when someone asked the job to stop.
    pub(crate) cancel_requested: CancellationToken,
    /// What the handler sees: either of the two.
    pub(crate) cancelled: CancellationToken,
    _renewal: DropGuard,
}

impl Lease {
    /// Renews the lease of `fence` that was granted at or after `asked`.
    pub(crate) fn keep(shared: &Arc<Shared>, fence: &Fence, asked: Instant) -> Self {
        let cancelled = CancellationToken::new();
        let (lost, cancel_requested, done) =
            (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        let renewal = Renewal {
            shared: shared.clone(),
            fence: fence.clone(),
            lost: lost.clone(),
            cancel_requested: cancel_requested.clone(),
            cancelled: cancelled.clone(),
        };
        let until = done.clone();
        let renewing = async move {
            tokio::select! {
                () = until.cancelled() => {}
                () = renewal.run(asked) => {}
            }
        };
        shared.host.tasks.spawn("job-lease", renewing.in_current_span());
        Self { lost, cancel_requested, cancelled, _renewal: done.drop_guard() }
    }
}

struct Renewal {
    shared: Arc<Shared>,
    fence: Fence,
    lost: CancellationToken,
    cancel_requested: CancellationToken,
    cancelled: CancellationToken,
}

impl Renewal {
    /// Beats until the lease is lost. Time is the monotonic clock's, counted from before each request was
    /// sent: a suspended machine or a slow server can only make us stop too early.
    async fn run(self, asked: Instant) {
        let config = &self.shared.config;
        let mut renewed = asked;
        let mut wait = config.heartbeat();
        loop {
            pause(wait.saturating_sub(renewed.elapsed())).await;
            let Some(left) = config.self_stop().checked_sub(renewed.elapsed()) else {
                return self.lose("the lease was not renewed in time");
            };
            let sent = Instant::now();
            match deadline("heartbeat", left, self.beat()).await {
                Ok(Ok(Heartbeat::Alive)) => (renewed, wait) = (sent, config.heartbeat()),
                Ok(Ok(Heartbeat::CancelRequested)) => {
                    (renewed, wait) = (sent, config.heartbeat());
                    self.cancel_requested.cancel();
                    self.cancelled.cancel();
                }
                Ok(Ok(Heartbeat::Lost)) => return self.lose("the job was taken over"),
                Ok(Err(error)) => {
                    tracing::warn!(
                        error = chassis::telemetry::chain(&error),
                        "a heartbeat failed, trying again"
                    );
                    wait = renewed.elapsed() + config.heartbeat() / 5;
                }
                Err(_) => return self.lose("the database did not answer in time"),
            }
        }
    }

    async fn beat(&self) -> Result<Heartbeat, StoreError> {
        let mut tx = self.shared.store.tenant(self.fence.company).await?;
        let beat = store::jobs::heartbeat(&mut tx, &self.fence, self.shared.config.lease_seconds).await?;
        tx.commit().await?;
        Ok(beat)
    }

    fn lose(&self, reason: &str) {
        metrics::counter!("lease_lost_total").increment(1);
        tracing::warn!(reason, "the lease is lost, the attempt stops");
        self.lost.cancel();
        self.cancelled.cancel();
    }
}
