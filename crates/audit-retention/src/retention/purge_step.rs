//! Purging: what a verified archive holds leaves the database, when its policy says so and nobody holds it.

use audit_trail::{Trail, TrailError, keep, verify};
use chrono::{DateTime, Utc};
use domain::audit::retention::Policy;
use domain::flags::Flag;
use serde_json::json;
use store::audit::archives;
use store::audit::plan::{is_purgeable, unpurged};
use store::audit::{policies, runs};
use store::flags;

use super::{Trouble, act};
use crate::steps::Steps;

/// Records of a transaction.
const CHUNK: i32 = 2_000;

/// Purges what is due; how many records.
pub async fn purge(trail: &Trail, steps: &Steps, all: &[Policy], now: DateTime<Utc>) -> Result<i64, Trouble> {
    let company = steps.company();
    let stores = trail.stores.as_ref().ok_or(TrailError::NoKey)?;
    let mut tx = steps.begin().await.map_err(Trouble::Job)?;
    let paused = policies::state(&mut tx, company).await?.is_some_and(|state| state.paused)
        || flags::is_away(&mut tx, company, Flag::Purge).await?;
    let rows = unpurged(&mut tx, company).await?;
    tx.rollback().await?;
    let mut purged = 0;
    if paused {
        return Ok(purged);
    }
    for row in rows {
        let mut tx = steps.begin().await.map_err(Trouble::Job)?;
        let due = is_purgeable(&mut tx, company, all, &row, now).await?
            && !flags::is_away(&mut tx, company, Flag::Purge).await?;
        tx.rollback().await?;
        if !due {
            break;
        }
        // Read back once more: an upload may have been lost since.
        let trusted = verify::trust_alone(trail, company, &row)?;
        let storage = keep::read_from(stores, &row)?;
        keep::same_manifest(storage.as_ref(), &row).await?;
        keep::read_back(storage.as_ref(), &trail.keys, &row, &trusted).await?;
        let mut tx = steps.begin().await.map_err(Trouble::Job)?;
        archives::purging(&mut tx, company, row.id).await?;
        steps.commit(tx).await.map_err(Trouble::Job)?;
        let mut gone_here = 0;
        loop {
            let mut tx = steps.begin().await.map_err(Trouble::Job)?;
            let gone = archives::purge(&mut tx, row.id, CHUNK).await?;
            if gone < i64::from(CHUNK) {
                let detail = json!({
                    "first_sequence": row.first_sequence, "last_sequence": row.last_sequence,
                });
                archives::purged(&mut tx, company, row.id).await?;
                let of = (Some(steps.run()), Some(row.id));
                runs::note(&mut tx, company, of, "purge.done", &detail, steps.trace_id().as_deref()).await?;
                act(&mut tx, steps, "retention.purge", format!("archive:{}", row.id), None, detail).await?;
            }
            steps.commit(tx).await.map_err(Trouble::Job)?;
            gone_here += gone;
            if gone < i64::from(CHUNK) {
                break;
            }
            steps.breathe().await;
        }
        metrics::counter!("audit_records_purged_total").increment(u64::try_from(gone_here).unwrap_or(0));
        purged += gone_here;
    }
    Ok(purged)
}
