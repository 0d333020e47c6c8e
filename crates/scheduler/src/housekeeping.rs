//! What is looked at every now and then.

use std::collections::HashSet;
use std::time::Duration;

use chassis::time::{deadline, pause};
use domain::ids::CompanyId;
use store::StoreError;
use store::schedules::{DefaultSchedule, ensure};

use crate::Parts;

/// How often lost bells are looked for.
const LOST_EVERY: Duration = Duration::from_secs(10);
/// How often new companies are looked for.
const COMPANIES_EVERY: Duration = Duration::from_secs(30);
/// Deadline of one step.
const STEP: Duration = Duration::from_secs(30);
/// Bells of one step.
const LIMIT: i64 = 1000;

/// Rings queued jobs again whose message was lost: a purged queue, a wiped broker.
pub(crate) async fn ring_lost(parts: Parts, lost_after: Duration) {
    while next(&parts, LOST_EVERY).await {
        let rung = deadline("ringing lost jobs", STEP, async {
            let mut tx = parts.store.dispatch().await?;
            let rung = store::jobs::ring_lost(&mut tx, lost_after.as_secs_f64(), LIMIT).await?;
            tx.commit().await?;
            Ok::<_, StoreError>(rung)
        });
        match rung.await {
            Ok(Ok(0)) => {}
            Ok(Ok(rung)) => {
                metrics::counter!("bells_lost_total").increment(rung);
                tracing::warn!(rung, "queued jobs had no message, they are rung again");
                parts.wake.notify_one();
            }
            Ok(Err(error)) => {
                tracing::debug!(error = chassis::telemetry::chain(&error), "cannot look for lost bells");
            }
            Err(elapsed) => tracing::warn!(error = %elapsed, "cannot look for lost bells"),
        }
    }
}

/// Gives every company the schedules of the environment: at start, and when a company is new.
pub(crate) async fn ensure_schedules(parts: Parts, schedules: Vec<DefaultSchedule>) {
    let mut known = HashSet::new();
    if store::watch::until_ready(&parts.store, &parts.database, &parts.shutdown).await.is_none() {
        return;
    }
    loop {
        match deadline("ensuring schedules", STEP, ensure_for_new(&parts, &schedules, &known)).await {
            Ok(Ok(new)) => known.extend(new),
            Ok(Err(error)) => {
                tracing::debug!(error = chassis::telemetry::chain(&error), "cannot ensure schedules");
            }
            Err(elapsed) => tracing::warn!(error = %elapsed, "cannot ensure schedules"),
        }
        if !next(&parts, COMPANIES_EVERY).await {
            return;
        }
    }
}

async fn ensure_for_new(
    parts: &Parts,
    schedules: &[DefaultSchedule],
    known: &HashSet<CompanyId>,
) -> Result<Vec<CompanyId>, StoreError> {
    let mut tx = parts.store.dispatch().await?;
    let companies = store::companies::all(&mut tx).await?;
    let new: Vec<CompanyId> = companies.into_iter().filter(|company| !known.contains(company)).collect();
    for company in &new {
        for schedule in schedules {
            if ensure(&mut tx, *company, schedule).await? {
                tracing::info!(
                    company_id = %company,
                    schedule = schedule.jobname,
                    cron = schedule.schedule,
                    "schedule taken from the environment"
                );
            }
        }
    }
    tx.commit().await?;
    Ok(new)
}

/// Waits; false once the process drains.
async fn next(parts: &Parts, every: Duration) -> bool {
    let draining = parts.shutdown.draining();
    tokio::select! {
        () = draining.cancelled() => false,
        () = pause(every) => true,
    }
}
