//! An archive brought back into `audit_restored`, judged on the way.

use audit_trail::{Trail, TrailError, keep, verify};
use domain::audit::Sealed;
use job_runtime::JobError;
use serde_json::{Value, json};
use store::audit::archives::{self, Archive};
use store::audit::runs;
use uuid::Uuid;

use crate::retention::failure;
use crate::steps::Steps;

/// Records of a transaction.
const BATCH: usize = 1_000;

/// Restores an archive; what was done.
///
/// # Errors
/// [`JobError`]; a broken archive restores nothing that its manifest does not bear out.
pub async fn restore(trail: &Trail, steps: &Steps, id: Uuid) -> Result<Value, JobError> {
    let company = steps.company();
    let mut tx = steps.begin().await?;
    let row = archives::find(&mut tx, company, id).await?;
    tx.rollback().await?;
    let Some(row) = row.filter(Archive::is_settled) else {
        return Err(JobError::fail("unknown_archive", format!("there is no archive {id}")));
    };
    let records = match bring(trail, steps, &row).await {
        Ok(records) => records,
        Err(error) => return Err(failure(trail, steps, &error, "restore.failed", Some(id)).await),
    };
    let done = json!({ "archive_id": id, "records": records, "table": "audit_restored" });
    let mut tx = steps.begin().await?;
    runs::note(
        &mut tx,
        company,
        (Some(steps.run()), Some(id)),
        "restore.done",
        &done,
        steps.trace_id().as_deref(),
    )
    .await?;
    steps.commit(tx).await?;
    Ok(done)
}

async fn bring(trail: &Trail, steps: &Steps, row: &Archive) -> Result<u64, TrailError> {
    let stores = trail.stores.as_ref().ok_or(TrailError::NoKey)?;
    let trusted = verify::trust_alone(trail, steps.company(), row)?;
    let storage = keep::read_from(stores, row)?;
    // Judged whole before a single record is written.
    let records = keep::read_back(storage.as_ref(), &trail.keys, row, &trusted).await?;
    for part in &trusted.manifest.parts {
        let sealed = keep::read_part(storage.as_ref(), row, part).await?;
        write(steps, row.id, &sealed).await?;
    }
    Ok(records)
}

async fn write(steps: &Steps, id: Uuid, records: &[Sealed]) -> Result<(), TrailError> {
    for batch in records.chunks(BATCH) {
        let rows: Result<Vec<(i64, Value)>, serde_json::Error> = batch
            .iter()
            .map(|sealed| {
                let sequence = i64::try_from(sealed.record.sequence).unwrap_or(i64::MAX);
                Ok((sequence, serde_json::to_value(sealed)?))
            })
            .collect();
        let rows = rows.map_err(|e| TrailError::Io { what: "reading a record", source: e.into() })?;
        let mut tx = steps.plain().await?;
        archives::restore(&mut tx, steps.company(), id, &rows).await?;
        tx.commit().await?;
    }
    Ok(())
}
