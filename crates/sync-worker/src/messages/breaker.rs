//! The mass-change breaker of messages: what was looked up and is gone is deleted, unless it is unusually much.

use domain::drive::{MassChange, MassChangeVerdict};
use job_runtime::{JobContext, JobError};
use serde_json::json;
use store::messages::{self, Place};
use store::parked::{self, NewParked};

use super::report::Report;

/// Deletes what is gone, or leaves it to a person.
pub(super) async fn remove(
    job: &JobContext,
    place: &Place,
    approved: Option<i64>,
    report: &mut Report,
) -> Result<(), JobError> {
    let mut tx = job.store().tenant_bulk(job.company()).await?;
    let (living, gone) = messages::existing(&mut tx, place).await?;
    if gone == 0 {
        return Ok(());
    }
    let settings = store::settings::get(&mut tx, job.company()).await?;
    let limit = MassChange {
        max_share: f64::from(settings.mass_change_share),
        min_count: u64::try_from(settings.mass_change_minimum).unwrap_or(0),
    };
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    match limit.verdict(count(living), count(gone), approved.is_some_and(|n| gone <= n)) {
        MassChangeVerdict::Proceed => {
            let deleted = messages::tombstone_gone(&mut tx, place).await?;
            parked::settle(&mut tx, job.company(), place.source, &place.id).await?;
            report.deleted += i64::try_from(deleted).unwrap_or(0);
        }
        MassChangeVerdict::Park { reason } => {
            let reason = reason.replace("documents", "messages");
            let rejected =
                parked::rejected_at_least(&mut tx, job.company(), place.source, &place.id, gone).await?;
            if !rejected {
                let run = NewParked {
                    source: place.source.to_owned(),
                    resource_id: place.id.clone(),
                    job_id: Some(job.job().uuid()),
                    existing: living,
                    would_delete: gone,
                    sample: json!(messages::sample_gone(&mut tx, place).await?),
                    reason: reason.clone(),
                };
                parked::put(&mut tx, job.company(), &run).await?;
            }
            tracing::warn!(source = place.source, place = %place.id, %reason,
                "removals are withheld until someone approves them");
            report.withheld = Some((gone, reason));
        }
    }
    job.commit(tx).await
}
