//! What retention would do, from policies and what there is.

use chrono::{DateTime, Utc};
use domain::audit::retention::{Policy, archive_lines, purge_lines};
use domain::ids::CompanyId;
use serde::Serialize;
use uuid::Uuid;

use super::archives::{self, Archive};
use super::{policies, read};
use crate::error::Result;
use crate::pool::Tx;

/// Records of one archive at most.
const MOST: i64 = 100_000;
/// Archives of a page.
const PAGE: i64 = 1_000;

/// Records by their places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Range {
    /// Archive that holds them; `None` while they are in none.
    pub archive_id: Option<Uuid>,
    /// First.
    pub first_sequence: i64,
    /// Last.
    pub last_sequence: i64,
}

/// What a run would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// The next archive that it would write; more may follow.
    pub archive: Option<Range>,
    /// Archives whose records would leave the database.
    pub purge: Vec<Range>,
    /// Whether purging is paused, so that none of those would.
    pub purge_paused: bool,
}

/// What a run with these policies would do now.
///
/// # Errors
/// As every statement.
pub async fn preview(tx: &mut Tx, company: CompanyId, all: &[Policy], now: DateTime<Utc>) -> Result<Preview> {
    let last = archives::last(tx, company).await?;
    let due = due_to_archive(tx, company, all, last, now).await?;
    let mut purge = Vec::new();
    for row in unpurged(tx, company).await? {
        if !is_purgeable(tx, company, all, &row, now).await? {
            break;
        }
        let (first_sequence, last_sequence) = (row.first_sequence, row.last_sequence);
        purge.push(Range { archive_id: Some(row.id), first_sequence, last_sequence });
    }
    let purge_paused = policies::state(tx, company).await?.is_some_and(|state| state.paused);
    let archive =
        (due > last).then_some(Range { archive_id: None, first_sequence: last + 1, last_sequence: due });
    Ok(Preview { archive, purge, purge_paused })
}

/// Last record of the next archive after `last`; `last` when nothing is due.
///
/// # Errors
/// As every statement.
pub async fn due_to_archive(
    tx: &mut Tx,
    company: CompanyId,
    all: &[Policy],
    last: i64,
    now: DateTime<Utc>,
) -> Result<i64> {
    read::due_until(tx, company, &archive_lines(all, now), last, MOST).await
}

/// Archives whose records are still in the database, in the order of their records.
///
/// # Errors
/// As every statement.
pub async fn unpurged(tx: &mut Tx, company: CompanyId) -> Result<Vec<Archive>> {
    let (mut found, mut after) = (Vec::new(), 0);
    loop {
        let page = archives::list(tx, company, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after = last.first_sequence;
        found.extend(page.into_iter().filter(|row| row.state != "purged"));
    }
}

/// Whether an archive was verified and the policies let all of its records leave.
///
/// # Errors
/// As every statement.
pub async fn is_purgeable(
    tx: &mut Tx,
    company: CompanyId,
    all: &[Policy],
    row: &Archive,
    now: DateTime<Utc>,
) -> Result<bool> {
    if row.state == "purging" {
        // Decided by the run that began; a hold that came later keeps what is left.
        return Ok(!all.iter().any(|policy| policy.legal_hold));
    }
    let (before, records) = (row.first_sequence - 1, row.last_sequence - row.first_sequence + 1);
    let due = read::due_until(tx, company, &purge_lines(all, now), before, records).await?;
    Ok(row.state == "verified" && due == row.last_sequence)
}
