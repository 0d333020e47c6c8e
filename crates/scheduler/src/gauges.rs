//! Numbers for dashboards and alerts. Every replica shows the same ones.

use std::collections::BTreeSet;
use std::time::Duration;

use chassis::time::{deadline, pause};
use store::StoreError;
use store::calendar::{queue, webhooks};
use store::jobs::{QueueCounts, backlog_from, counts};

use crate::Parts;

/// How often the numbers are read.
const EVERY: Duration = Duration::from_secs(10);
/// Deadline of reading them.
const STEP: Duration = Duration::from_secs(10);

/// Shows the numbers until the process drains. Without `realtime` no calendar is to have a channel.
pub(crate) async fn run(parts: Parts, realtime: bool) {
    let draining = parts.shutdown.draining();
    let mut kinds = BTreeSet::new();
    loop {
        tokio::select! {
            () = draining.cancelled() => return,
            () = pause(EVERY) => {}
        }
        match deadline("counting jobs", STEP, read(&parts, realtime)).await {
            Ok(Ok(Numbers { counts, bells, calendars, soonest_end })) => {
                show(&counts, bells, &mut kinds);
                metrics::gauge!("calendar_writes_pending").set(float(calendars.0));
                metrics::gauge!("calendars_without_channel").set(float(calendars.1));
                if let Some(end) = soonest_end {
                    metrics::gauge!("webhook_subscription_expiry_timestamp_seconds", "provider" => "microsoft")
                        .set(end);
                }
            }
            Ok(Err(error)) => tracing::debug!(error = chassis::telemetry::chain(&error), "cannot count jobs"),
            Err(elapsed) => tracing::warn!(error = %elapsed, "cannot count jobs"),
        }
    }
}

struct Numbers {
    counts: QueueCounts,
    /// Bells that wait, and the age of the oldest.
    bells: (i64, f64),
    /// App writes under way, calendars without a channel.
    calendars: (i64, i64),
    /// The soonest end of a subscription of Microsoft, seconds since the epoch.
    soonest_end: Option<f64>,
}

async fn read(parts: &Parts, realtime: bool) -> Result<Numbers, StoreError> {
    let floor = parts.tide().floor();
    let mut tx = parts.store.dispatch().await?;
    let dark = if realtime { webhooks::without_channel(&mut tx).await? } else { 0 };
    let numbers = Numbers {
        counts: counts(&mut tx).await?,
        bells: backlog_from(&mut tx, floor).await?,
        calendars: (queue::pending(&mut tx).await?, dark),
        soonest_end: store::subscriptions::soonest_end(&mut tx).await?,
    };
    tx.commit().await?;
    Ok(numbers)
}

/// A kind that has no jobs any more is shown as zero, not as it was last seen.
fn show(counts: &QueueCounts, (waiting, age): (i64, f64), kinds: &mut BTreeSet<String>) {
    kinds.extend(counts.by_kind.iter().map(|c| c.kind.clone()));
    for kind in kinds.iter() {
        let found = counts.by_kind.iter().find(|c| c.kind == *kind);
        for (name, number) in [
            ("jobs_pending", found.map(|c| c.pending)),
            ("jobs_running", found.map(|c| c.running)),
            ("jobs_dead", found.map(|c| c.dead)),
        ] {
            metrics::gauge!(name, "kind" => kind.clone()).set(float(number.unwrap_or(0)));
        }
    }
    metrics::gauge!("jobs_oldest_ready_age_seconds").set(counts.oldest_pending_seconds);
    metrics::gauge!("outbox_waiting").set(float(waiting));
    metrics::gauge!("outbox_unpublished_age_seconds").set(age);
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 jobs")]
fn float(number: i64) -> f64 {
    number as f64
}
