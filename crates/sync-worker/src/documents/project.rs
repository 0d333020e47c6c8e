//! Documents follow the index; the mass-change breaker stands before what would be removed.

use domain::drive::{MassChange, MassChangeVerdict};
use domain::taxonomy::Taxonomy;
use job_runtime::JobError;
use serde_json::json;
use store::drive_index::{self, IndexedDrive, placement, projection};
use store::parked::{self, NewParked};
use store::quarantine::{self, NewQuarantine};

use super::folders::place_all;
use super::report::{Report, SOURCE};
use crate::steps::Steps;

/// Rows projected in one transaction.
const CHUNK: i64 = 5_000;
/// Oddities reported by one run.
const MAX_ODDITIES: i64 = 1_000;

/// How a projection goes about it.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The round is over: settle what cannot be placed, and remove.
    pub settle: bool,
    /// A person approved the removal of this many documents.
    pub approved: Option<i64>,
}

/// Brings the documents of a drive in line with its index.
///
/// # Errors
/// [`JobError`] of the database.
pub async fn project(
    steps: &mut Steps,
    drive: &IndexedDrive,
    taxonomy: &Taxonomy,
    options: Options,
    report: &mut Report,
) -> Result<(), JobError> {
    let mut tx = steps.begin().await?;
    let seq = drive_index::next_seq(&mut tx, drive.drive_no).await?;
    let fingerprint = taxonomy.fingerprint();
    let current =
        drive_index::find(&mut tx, drive.company, &drive.drive_id).await?.unwrap_or_else(|| drive.clone());
    if current.taxonomy_fingerprint.as_deref() != Some(fingerprint.as_str()) {
        placement::restamp_all(&mut tx, drive.drive_no, seq, &fingerprint).await?;
    }
    if options.settle {
        placement::restamp_unbound(&mut tx, drive.drive_no, seq).await?;
    }
    steps.end(tx).await?;
    let from = current.projected_seq;
    place_all(steps, drive, taxonomy, seq, from, options.settle, report).await?;

    let remove = options.settle && may_remove(steps, drive, from, seq, options.approved, report).await?;
    let mut withheld = 0;
    let mut mark = projection::Mark { seq: from + 1, item_id: String::new() };
    loop {
        let mut tx = steps.begin().await?;
        let effect = projection::project_chunk(&mut tx, drive, &mark, seq, remove, CHUNK).await?;
        steps.end(tx).await?;
        report.added += effect.added;
        report.updated += effect.updated;
        report.deleted += effect.removed;
        withheld += effect.withheld;
        match effect.mark {
            Some(next) => mark = next,
            None => break,
        }
    }
    let mut tx = steps.begin().await?;
    report_oddities(&mut tx, drive, from, seq, report).await?;
    if withheld == 0 {
        projection::advance(&mut tx, drive.drive_no, seq).await?;
    }
    steps.end(tx).await
}

/// Asks the mass-change breaker; a refusal is stored for a person to decide.
async fn may_remove(
    steps: &mut Steps,
    drive: &IndexedDrive,
    from: i64,
    seq: i64,
    approved: Option<i64>,
    report: &mut Report,
) -> Result<bool, JobError> {
    let mut tx = steps.begin().await?;
    let settings = store::settings::get(&mut tx, drive.company).await?;
    let minimum = i64::from(settings.mass_change_minimum);
    let removals = projection::pending_removals(&mut tx, drive, from, seq, minimum).await?;
    let limit = MassChange {
        max_share: f64::from(settings.mass_change_share),
        min_count: u64::try_from(settings.mass_change_minimum).unwrap_or(0),
    };
    let is_approved = approved.is_some_and(|n| removals.would_delete <= n);
    let verdict = limit.verdict(
        u64::try_from(removals.existing).unwrap_or(0),
        u64::try_from(removals.would_delete).unwrap_or(0),
        is_approved,
    );
    match verdict {
        MassChangeVerdict::Proceed => {
            parked::settle(&mut tx, drive.company, SOURCE, &drive.drive_id).await?;
            steps.end(tx).await?;
            Ok(true)
        }
        MassChangeVerdict::Park { reason } => {
            let rejected = parked::rejected_at_least(
                &mut tx,
                drive.company,
                SOURCE,
                &drive.drive_id,
                removals.would_delete,
            )
            .await?;
            if !rejected {
                let run = NewParked {
                    source: SOURCE.to_owned(),
                    resource_id: drive.drive_id.clone(),
                    job_id: Some(steps.job().job().uuid()),
                    existing: removals.existing,
                    would_delete: removals.would_delete,
                    sample: json!(removals.sample),
                    reason: reason.clone(),
                };
                parked::put(&mut tx, drive.company, &run).await?;
            }
            steps.end(tx).await?;
            tracing::warn!(drive = %drive.drive_id, %reason, "removals are withheld until someone approves them");
            report.withheld = Some((removals.would_delete, reason));
            Ok(false)
        }
    }
}

async fn report_oddities(
    tx: &mut store::Tx,
    drive: &IndexedDrive,
    from: i64,
    seq: i64,
    report: &mut Report,
) -> Result<(), JobError> {
    let odd = projection::oddities(tx, drive.drive_no, from, seq, MAX_ODDITIES).await?;
    if odd.is_empty() {
        return Ok(());
    }
    report.quarantined += i64::try_from(odd.len()).unwrap_or(0);
    let rows: Vec<NewQuarantine> = odd
        .into_iter()
        .map(|o| NewQuarantine {
            source: SOURCE.to_owned(),
            resource_id: drive.drive_id.clone(),
            item_id: o.item_id,
            code: o.code,
            reason: o.reason,
            raw: None,
        })
        .collect();
    Ok(quarantine::put(tx, drive.company, &rows).await?)
}
