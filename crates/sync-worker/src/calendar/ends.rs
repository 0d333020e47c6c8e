//! The end of exceptions together with their series.

use std::collections::HashSet;

use domain::calendar::engine::{Cascade, orphaned, redundant, series_ended};
use domain::calendar::google::Incoming;
use job_runtime::JobError;
use store::Tx;
use store::calendar::rows::{self, Stored};
use uuid::Uuid;

use super::Work;

/// Ends those exceptions of a series that a change of it ends; how many.
pub(super) async fn cascade(
    tx: &mut Tx,
    work: &Work,
    cascade: Cascade,
    master: Option<Uuid>,
    google_id: &str,
) -> Result<u64, JobError> {
    let rows: Vec<Uuid> = master.into_iter().collect();
    let found = rows::exceptions(tx, &work.calendar.id, &[google_id.to_owned()], &rows).await?;
    let ended: Vec<Stored> = found.into_iter().filter(|stored| cascade.ends(&stored.row)).collect();
    end(tx, work, &ended).await
}

/// Ends exceptions that outlived their series, and those that say nothing that it does not; how many.
pub(super) async fn orphans(tx: &mut Tx, work: &Work) -> Result<u64, JobError> {
    let found = rows::may_be_orphans(tx, &work.calendar.id).await?;
    let mut ended: Vec<Stored> = found
        .into_iter()
        .filter(|(stored, master)| orphaned(&stored.row, &master.row))
        .map(|(stored, _)| stored)
        .collect();
    let unmade = rows::unmade(tx, &work.calendar.id).await?;
    ended.extend(unmade.into_iter().filter(|stored| redundant(&stored.row)));
    end(tx, work, &ended).await
}

/// Ends the exceptions of series that were read as a whole and do not have them any more: another rule ended them, and
/// the occurrence is as the rule says.
pub(super) async fn left(
    tx: &mut Tx,
    work: &Work,
    series: &[String],
    incoming: &[Incoming],
) -> Result<u64, JobError> {
    if series.is_empty() {
        return Ok(0);
    }
    let listed: HashSet<&str> = incoming.iter().map(|event| event.id.as_str()).collect();
    let found = rows::exceptions(tx, &work.calendar.id, series, &[]).await?;
    let ended: Vec<Stored> = found
        .into_iter()
        .filter(|stored| {
            let made = stored.row.link.as_ref().filter(|link| link.base.is_some() && !link.unmade);
            made.is_some_and(|link| !listed.contains(link.id.as_str())) && !stored.row.dirty()
        })
        .collect();
    end(tx, work, &ended).await
}

async fn end(tx: &mut Tx, work: &Work, ended: &[Stored]) -> Result<u64, JobError> {
    if ended.is_empty() {
        return Ok(0);
    }
    for stored in ended {
        work.keep(tx, stored, &series_ended(&stored.row)).await?;
    }
    let ids: Vec<Uuid> = ended.iter().filter_map(Stored::id).collect();
    Ok(rows::remove(tx, work.company, &ids).await?)
}
