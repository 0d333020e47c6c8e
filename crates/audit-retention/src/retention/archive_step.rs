//! Archives: plan, write, read back, and bring home what had to go to the fallback store.

use archive::Which;
use audit_trail::{Trail, TrailError, keep, verify};
use chrono::{DateTime, Utc};
use domain::audit::Position;
use domain::audit::retention::Policy;
use serde_json::json;
use store::audit::archives::{self, Archive, Uploaded};
use store::audit::plan::due_to_archive;
use store::audit::runs;

use super::{ARCHIVES, Trouble, act};
use crate::steps::Steps;

/// Takes up what an earlier run left, then archives what is due; how many records.
pub async fn archive(
    trail: &Trail,
    steps: &Steps,
    policies: &[Policy],
    now: DateTime<Utc>,
) -> Result<i64, Trouble> {
    let company = steps.company();
    let mut records = 0;
    for _ in 0..ARCHIVES {
        let mut tx = steps.begin().await.map_err(Trouble::Job)?;
        let rows = verify::archives_of(&mut tx, company).await?;
        let left = rows.iter().find(|row| row.state == "planned" || row.state == "uploaded");
        let row = if let Some(row) = left {
            row.clone()
        } else {
            let last = archives::last(&mut tx, company).await?;
            let due = due_to_archive(&mut tx, company, policies, last, now).await?;
            if due <= last {
                tx.rollback().await?;
                break;
            }
            let id = chassis::ids::new_id();
            let path =
                format!("{}/archives/{:012}-{due:012}-{id}", audit_trail::folder(Some(company)), last + 1);
            archives::plan(&mut tx, company, id, (last + 1, due), &path).await?;
            let row = archives::find(&mut tx, company, id).await?;
            steps.commit(tx).await.map_err(Trouble::Job)?;
            let Some(row) = row else { break };
            finish(trail, steps, &row, &rows).await?;
            records += row.last_sequence - row.first_sequence + 1;
            continue;
        };
        tx.rollback().await?;
        finish(trail, steps, &row, &rows).await?;
        records += row.last_sequence - row.first_sequence + 1;
    }
    reconcile(trail, steps).await?;
    Ok(records)
}

/// Writes an archive and reads it back; into the fallback store when the primary fails at either.
async fn finish(trail: &Trail, steps: &Steps, row: &Archive, rows: &[Archive]) -> Result<(), Trouble> {
    let company = steps.company();
    let stores = trail.stores.as_ref().ok_or(TrailError::NoKey)?;
    let before = rows.iter().rfind(|other| other.last_sequence + 1 == row.first_sequence);
    let start = match before {
        Some(before) => verify::trust_alone(trail, company, before)?.manifest.end,
        None => Position::default(),
    };
    let mut last = None;
    for (which, storage) in stores.all() {
        let written = async {
            // The same bytes at every attempt: what an interrupted one left is written over.
            let written =
                keep::write(trail, company, row, start.clone(), storage.as_ref(), row.created_at).await?;
            let row = Archive { manifest: Some(written.text.clone()), ..row.clone() };
            let mut tx = steps.plain().await?;
            let uploaded = Uploaded {
                store: which.as_str(),
                manifest: &written.text,
                sha256: &archive::manifest::digest(&written.text),
                bytes: i64::try_from(written.bytes).unwrap_or(i64::MAX),
            };
            archives::uploaded(&mut tx, company, row.id, &uploaded).await?;
            tx.commit().await?;
            keep::same_manifest(storage.as_ref(), &row).await?;
            keep::read_back(storage.as_ref(), &trail.keys, &row, &written.trusted).await?;
            Ok::<_, TrailError>(())
        };
        match written.await {
            Ok(()) => return verified(steps, row, which).await,
            // A record that is not what was sealed is so in every store.
            Err(TrailError::Broken(fault)) if !fault.id.starts_with("archive:") => {
                return Err(TrailError::Broken(fault).into());
            }
            Err(TrailError::Store(error)) => return Err(error.into()),
            Err(error) => {
                let said = chassis::telemetry::chain(&error);
                tracing::warn!(store = which.as_str(), archive = %row.id, error = said, "an archive could not be stored");
                let mut tx = steps.plain().await?;
                let detail = json!({ "store": which.as_str(), "error": said });
                let of = (Some(steps.run()), Some(row.id));
                runs::note(
                    &mut tx,
                    company,
                    of,
                    "archive.store_failed",
                    &detail,
                    steps.trace_id().as_deref(),
                )
                .await?;
                tx.commit().await?;
                last = Some(error);
            }
        }
    }
    // What did not arrive is no fault of the trail: it is tried again.
    Err(match last {
        Some(TrailError::Broken(fault)) => {
            TrailError::Io { what: "reading an archive back", source: std::io::Error::other(fault.detail) }
        }
        Some(error) => error,
        None => TrailError::NoKey,
    }
    .into())
}

async fn verified(steps: &Steps, row: &Archive, which: Which) -> Result<(), Trouble> {
    let company = steps.company();
    let detail = json!({
        "store": which.as_str(), "first_sequence": row.first_sequence, "last_sequence": row.last_sequence,
    });
    let mut tx = steps.begin().await.map_err(Trouble::Job)?;
    archives::verified(&mut tx, company, row.id).await?;
    let event = if which == Which::Fallback { "archive.fallback" } else { "archive.verified" };
    let of = (Some(steps.run()), Some(row.id));
    runs::note(&mut tx, company, of, event, &detail, steps.trace_id().as_deref()).await?;
    act(&mut tx, steps, "retention.archive", format!("archive:{}", row.id), None, detail).await?;
    steps.commit(tx).await.map_err(Trouble::Job)?;
    metrics::counter!("audit_archives_total", "store" => which.as_str()).increment(1);
    Ok(())
}

/// Copies what went to the fallback store into the primary one, now that it may be back.
async fn reconcile(trail: &Trail, steps: &Steps) -> Result<(), Trouble> {
    let company = steps.company();
    let Some(stores) = &trail.stores else { return Ok(()) };
    let Some(fallback) = &stores.fallback else { return Ok(()) };
    let mut tx = steps.begin().await.map_err(Trouble::Job)?;
    let rows = verify::archives_of(&mut tx, company).await?;
    tx.rollback().await?;
    let waiting = rows.iter().filter(|row| {
        row.store.as_deref() == Some("fallback") && row.reconciled_at.is_none() && row.state != "planned"
    });
    for row in waiting {
        let trusted = verify::trust_alone(trail, company, row)?;
        let copied = async {
            keep::copy(fallback.as_ref(), stores.primary.as_ref(), row, &trusted).await?;
            keep::same_manifest(stores.primary.as_ref(), row).await?;
            keep::read_back(stores.primary.as_ref(), &trail.keys, row, &trusted).await
        };
        if let Err(error) = copied.await {
            let said = chassis::telemetry::chain(&error);
            tracing::warn!(archive = %row.id, error = said, "the primary archive store is still away");
            return Ok(());
        }
        let mut tx = steps.begin().await.map_err(Trouble::Job)?;
        archives::reconciled(&mut tx, company, row.id).await?;
        let of = (Some(steps.run()), Some(row.id));
        runs::note(&mut tx, company, of, "archive.reconciled", &json!({}), steps.trace_id().as_deref())
            .await?;
        steps.commit(tx).await.map_err(Trouble::Job)?;
    }
    Ok(())
}
