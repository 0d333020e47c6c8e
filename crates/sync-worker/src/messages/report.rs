//! What a run did: the job's result, its row in the history, and its figures.

use std::time::Instant;

use chassis::time::SystemClock;
use chrono::{DateTime, Utc};
use contracts::graph::v1::PoisonItem;
use domain::time::Clock;
use job_runtime::{JobContext, JobError};
use metrics::{counter, gauge, histogram};
use serde_json::{Value, json};
use store::Tx;
use store::history::{self, NewRun, RunEnd};
use store::messages::{NewMessage, PageEffect};
use uuid::Uuid;

use super::convert;

/// Counts of a run.
#[derive(Debug)]
pub(super) struct Report {
    /// `mail`, `channel` or `chat`.
    pub(super) source: &'static str,
    begun: Instant,
    /// Something was enumerated completely.
    pub(super) full: bool,
    pub(super) calls: i64,
    pub(super) items: i64,
    pub(super) hints: i64,
    pub(super) added: i64,
    pub(super) updated: i64,
    pub(super) deleted: i64,
    pub(super) quarantined: i64,
    /// Removals withheld by the mass-change breaker, with the reason.
    pub(super) withheld: Option<(i64, String)>,
    newest_change: Option<DateTime<Utc>>,
}

impl Report {
    pub(super) fn new(source: &'static str) -> Self {
        Self {
            source,
            begun: Instant::now(),
            full: false,
            calls: 0,
            items: 0,
            hints: 0,
            added: 0,
            updated: 0,
            deleted: 0,
            quarantined: 0,
            withheld: None,
            newest_change: None,
        }
    }

    /// Counts a stored page.
    pub(super) fn page(&mut self, rows: &[NewMessage], effect: PageEffect) {
        self.items += i64::try_from(rows.len()).unwrap_or(0);
        self.added += effect.added;
        self.updated += effect.updated;
        self.deleted += effect.deleted;
        if effect.added + effect.updated + effect.deleted > 0 {
            self.newest_change = self.newest_change.max(rows.iter().filter_map(convert::changed_at).max());
        }
    }

    /// Puts what could not be read into quarantine.
    pub(super) async fn set_aside(
        &mut self,
        tx: &mut Tx,
        job: &JobContext,
        resource_id: &str,
        items: &[PoisonItem],
    ) -> Result<(), JobError> {
        if items.is_empty() {
            return Ok(());
        }
        let rows = convert::poison(self.source, resource_id, items);
        store::quarantine::put(tx, job.company(), &rows).await?;
        counter!("sync_quarantined_total", "source" => self.source)
            .increment(u64::try_from(items.len()).unwrap_or(0));
        self.quarantined += i64::try_from(items.len()).unwrap_or(0);
        Ok(())
    }

    /// The job's result.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "full_enumeration": self.full, "items": self.items, "hints": self.hints, "provider_calls": self.calls,
            "messages_added": self.added, "messages_updated": self.updated, "messages_deleted": self.deleted,
            "quarantined": self.quarantined,
            "withheld": self.withheld.as_ref().map(|(n, reason)| json!({ "removals": n, "reason": reason })),
        })
    }

    fn end(&self, success: bool, errors: Vec<String>) -> RunEnd {
        RunEnd {
            success,
            full_enumeration: self.full,
            total_aos: 0,
            added: self.added,
            updated: self.updated,
            deleted: self.deleted,
            provider_calls: self.calls,
            errors,
        }
    }

    /// Opens the run's row in the history (the same one when the job is tried again).
    pub(super) async fn open(
        &self,
        job: &JobContext,
        triggered_by: &str,
        forced: bool,
    ) -> Result<Uuid, JobError> {
        let mut tx = job.begin().await?;
        let run = NewRun {
            source: self.source.to_owned(),
            triggered_by: triggered_by.to_owned(),
            job_id: job.job().uuid(),
            batch_id: job.batch(),
            drive_id: None,
            ao_id: None,
            forced,
        };
        let id = history::begin(&mut tx, job.company(), &run).await?;
        job.commit(tx).await?;
        Ok(id)
    }

    /// Closes the row as a success, in the transaction that ends the job.
    pub(super) async fn succeed(&self, tx: &mut Tx, job: &JobContext, row: Uuid) -> Result<(), JobError> {
        let errors = self.withheld.iter().map(|(_, reason)| reason.clone()).collect();
        history::finish(tx, job.company(), row, &self.end(true, errors)).await?;
        Ok(())
    }

    /// Closes the row as a failure. What goes wrong here is logged: the job's own failure matters more.
    pub(super) async fn fail(&self, job: &JobContext, row: Uuid, error: &JobError) {
        self.measure(false);
        if error.is_fenced() || error.verdict().is_none() {
            return;
        }
        let note = async {
            let mut tx = job.begin().await?;
            history::finish(&mut tx, job.company(), row, &self.end(false, vec![error.to_string()])).await?;
            job.commit(tx).await
        };
        if let Err(e) = note.await {
            tracing::warn!(error = %e, "the failed run could not be recorded");
        }
    }

    /// Counts for Prometheus, once the run is committed.
    pub(super) fn measure(&self, success: bool) {
        let status = if success { "success" } else { "error" };
        counter!("sync_runs_total", "source" => self.source, "status" => status).increment(1);
        histogram!("sync_duration_seconds", "source" => self.source)
            .record(self.begun.elapsed().as_secs_f64());
        let stored = u64::try_from(self.added + self.updated + self.deleted).unwrap_or(0);
        counter!("messages_synced_total", "source" => self.source).increment(stored);
        if success {
            gauge!("sync_consecutive_failures", "source" => self.source).set(0.0);
            if let Some(changed) = self.newest_change.filter(|_| !self.full) {
                let age = (SystemClock.now() - changed).as_seconds_f64();
                histogram!("change_to_database_seconds", "source" => self.source).record(age.max(0.0));
            }
        }
    }
}
