//! Operators' switches: those whose time is over go back, and what they held is queued again.

use std::time::Duration;

use chassis::time::{deadline, pause};
use store::schedules::database_time;
use store::{StoreError, flags};

use crate::Parts;

/// How often they are looked at; with a worker's view of them ([`flags::FRESH`]) the time until a switch is obeyed.
const EVERY: Duration = Duration::from_secs(2);
/// Deadline of one look.
const STEP: Duration = Duration::from_secs(10);
/// Who is named in the audit record.
const BY: &str = "scheduler";

/// Looks until the process drains.
pub(crate) async fn run(parts: Parts) {
    let draining = parts.shutdown.draining();
    if store::watch::until_ready(&parts.store, &parts.database, &parts.shutdown).await.is_none() {
        return;
    }
    loop {
        match deadline("looking at the switches", STEP, look(&parts)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(error = chassis::telemetry::chain(&error), "cannot look at the switches");
            }
            Err(elapsed) => tracing::warn!(error = %elapsed, "cannot look at the switches"),
        }
        tokio::select! {
            () = draining.cancelled() => return,
            () = pause(EVERY) => {}
        }
    }
}

async fn look(parts: &Parts) -> Result<(), StoreError> {
    let mut tx = parts.store.dispatch().await?;
    let due = flags::due(&mut tx).await?;
    if due.expired {
        let ended = flags::end_expired(&mut tx, BY).await?;
        tracing::info!(ended, "switches whose time is over are back");
    }
    let standing = flags::standing(&mut tx).await?;
    let now = database_time(&mut tx).await?;
    let released = if due.held { flags::release_unheld(&mut tx, &standing, now).await? } else { 0 };
    tx.commit().await?;
    if released > 0 {
        tracing::info!(released, "queued jobs that a switch had held");
        parts.wake.notify_one();
    }
    for (flag, companies) in standing.counts(now) {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53 organizations")]
        metrics::gauge!("flag_active", "flag" => flag.as_str()).set(companies as f64);
    }
    Ok(())
}
