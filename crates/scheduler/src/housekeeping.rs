//! What is looked at every now and then.

use std::collections::HashSet;
use std::time::Duration;

use chassis::time::{deadline, pause};
use domain::ids::CompanyId;
use store::purge::{Aged, aged, drop_history, extend_history};
use store::schedules::{DefaultSchedule, ensure, settle};
use store::{Store, StoreError, Tx};

use crate::{Parts, cron};

/// How often new companies are looked for.
const COMPANIES_EVERY: Duration = Duration::from_secs(30);
/// How often the jobs of occurrences are looked at.
const SETTLE_EVERY: Duration = Duration::from_secs(10);
/// How often history is made and dropped, and how soon again after a step failed.
const HISTORY_EVERY: (Duration, Duration) = (Duration::from_hours(1), Duration::from_mins(1));
/// Weekly partitions that are made ahead.
const WEEKS_AHEAD: i32 = 4;
/// Steps of one round; what is left waits for the next one.
const HISTORY_STEPS: usize = 2_000;
/// Rows of one purge step.
const PURGE: i64 = 5_000;
/// Deadline of one step.
const STEP: Duration = Duration::from_secs(30);
/// Runs settled in one step.
const LIMIT: i64 = 1000;

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
    if !new.is_empty() {
        // What passed until now belongs to the schedules as they stand, whatever the environment changes.
        let now = store::schedules::database_time(&mut tx).await?;
        while cron::decide_at(&mut tx, now).await?.schedules > 0 {}
    }
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

/// Writes down how the jobs of occurrences ended, for whoever reads `schedule_runs`.
pub(crate) async fn settle_runs(parts: Parts) {
    while next(&parts, SETTLE_EVERY).await {
        let settled = deadline("settling occurrences", STEP, async {
            let mut tx = parts.store.dispatch().await?;
            let settled = settle(&mut tx, LIMIT).await?;
            tx.commit().await?;
            Ok::<_, StoreError>(settled)
        });
        match settled.await {
            Ok(Ok(settled)) => tracing::debug!(settled, "occurrences settled"),
            Ok(Err(error)) => {
                tracing::debug!(error = chassis::telemetry::chain(&error), "cannot settle occurrences");
            }
            Err(elapsed) => tracing::warn!(error = %elapsed, "cannot settle occurrences"),
        }
    }
}

/// Makes the partitions of the weeks to come and drops what is older than `days`.
pub(crate) async fn keep_history(parts: Parts, days: i32) {
    if store::watch::until_ready(&parts.store, &parts.database, &parts.shutdown).await.is_none() {
        return;
    }
    loop {
        let wait = match history(&parts.store, days).await {
            Ok(()) => HISTORY_EVERY.0,
            Err(error) => {
                // A long transaction may hold a lock: none is waited for, since others would wait behind us.
                tracing::info!(error, "history is kept later");
                HISTORY_EVERY.1
            }
        };
        if !next(&parts, wait).await {
            return;
        }
    }
}

/// What is done about history, a small piece at a time.
#[derive(Debug, Clone, Copy)]
enum Piece {
    /// The partitions of the weeks to come.
    Extend,
    /// Partitions that are too old.
    Drop,
    /// Rows that are too old.
    Purge(Aged),
}

impl Piece {
    const fn doing(self) -> &'static str {
        match self {
            Piece::Extend => "making partitions",
            Piece::Drop => "dropping partitions",
            Piece::Purge(_) => "purging history",
        }
    }

    /// Does one step; 0 when nothing is left to do.
    async fn step(self, tx: &mut Tx, days: i32) -> Result<u64, StoreError> {
        match self {
            Piece::Extend => {
                let Some(did) = extend_history(tx, WEEKS_AHEAD).await? else { return Ok(0) };
                tracing::info!(step = did, "history of finished jobs");
                metrics::counter!("history_partitions_made_total")
                    .increment(u64::from(did.starts_with("attached")));
                Ok(1)
            }
            Piece::Drop => {
                let Some(table) = drop_history(tx, days).await? else { return Ok(0) };
                tracing::info!(table, days, "old history dropped");
                metrics::counter!("history_partitions_dropped_total").increment(1);
                Ok(1)
            }
            Piece::Purge(what) => {
                let gone = aged(tx, what, days, PURGE).await?;
                metrics::counter!("history_rows_purged_total", "table" => what.table()).increment(gone);
                Ok(gone)
            }
        }
    }
}

/// One round of [`keep_history`], in short transactions.
///
/// # Errors
/// What the database said to a step; the steps before it are done.
pub async fn history(store: &Store, days: i32) -> Result<(), String> {
    let purges = Aged::ALL.map(Piece::Purge);
    for piece in [Piece::Extend, Piece::Drop].into_iter().chain(purges) {
        for _ in 0..HISTORY_STEPS {
            let one = deadline(piece.doing(), STEP, async {
                let mut tx = store.dispatch().await?;
                let did = piece.step(&mut tx, days).await?;
                tx.commit().await?;
                Ok::<_, StoreError>(did)
            });
            match one.await {
                Ok(Ok(0)) => break,
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    return Err(format!("{}: {}", piece.doing(), chassis::telemetry::chain(&error)));
                }
                Err(elapsed) => return Err(elapsed.to_string()),
            }
        }
    }
    Ok(())
}

/// Waits; false once the process drains.
async fn next(parts: &Parts, every: Duration) -> bool {
    let draining = parts.shutdown.draining();
    tokio::select! {
        () = draining.cancelled() => false,
        () = pause(every) => true,
    }
}
