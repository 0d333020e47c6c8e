//! Subscriptions of Microsoft are renewed when the connector said so (half of their life, with jitter).

use std::collections::BTreeMap;
use std::time::Duration;

use chassis::time::{deadline, pause};
use domain::ids::CompanyId;
use store::jobs::enqueue_many;
use store::{Store, StoreError, subscriptions};

use crate::Parts;

/// How often is looked.
const EVERY: Duration = Duration::from_secs(30);
/// Deadline of one look.
const STEP: Duration = Duration::from_secs(20);
/// Renewals of one look; the rest waits for the next one.
const LIMIT: i64 = 1_000;

/// Looks until the process drains. Jobs of several replicas coalesce.
pub(crate) async fn run(parts: Parts) {
    let draining = parts.shutdown.draining();
    loop {
        tokio::select! {
            () = draining.cancelled() => return,
            () = pause(EVERY) => {}
        }
        match deadline("looking for renewals", STEP, queue(&parts.store)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(queued)) => tracing::info!(queued, "subscriptions are to be renewed"),
            Ok(Err(error)) => {
                tracing::debug!(error = chassis::telemetry::chain(&error), "cannot look for renewals");
            }
            Err(elapsed) => tracing::warn!(error = %elapsed, "cannot look for renewals"),
        }
    }
}

/// Queues the renewals that are due; answers how many.
///
/// # Errors
/// As every statement.
pub async fn queue(store: &Store) -> Result<usize, StoreError> {
    let mut tx = store.dispatch().await?;
    let due = subscriptions::due(&mut tx, LIMIT).await?;
    let mut by_company: BTreeMap<CompanyId, Vec<(String, String)>> = BTreeMap::new();
    for (company, kind, id) in due {
        by_company.entry(company).or_default().push((kind, id));
    }
    let mut jobs = Vec::new();
    for (company, resources) in by_company {
        jobs.extend(subscriptions::ensure_jobs(company, &resources, "scheduler", 2)?);
    }
    let queued = jobs.len();
    enqueue_many(&mut tx, jobs).await?;
    tx.commit().await?;
    Ok(queued)
}
