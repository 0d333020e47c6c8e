//! The trail of an organization, from its first record to its last.

use archive::manifest::{Manifest, Trusted};
use domain::audit::{Fault, Position, Reason, Report, Verifier};
use domain::ids::CompanyId;
use store::audit::archives::{self, Archive};
use store::audit::{checkpoints, read, seal};

use crate::{Trail, TrailError, archive_fault, folder, keep};

/// Records of a page.
const PAGE: i64 = 2_000;
/// Published checkpoints that are held against the stored ones: the newest, which bind all records before them.
const ANCHORS: usize = 24;
/// Checkpoints of a page.
const NOTES: i64 = 1_000;

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Records in the database, checkpoints, and the manifests of archives.
    Online,
    /// Also every record of every archive.
    Archives,
}

/// Judges the trail of an organization, or of none.
///
/// # Errors
/// [`TrailError`] when it could not be judged; that something is wrong with it is in the report.
pub async fn verify(trail: &Trail, company: Option<CompanyId>, depth: Depth) -> Result<Report, TrailError> {
    match judge(trail, company, depth).await {
        Err(TrailError::Broken(fault)) => {
            Ok(Report { valid: false, checked: 0, checkpoint: None, first_fault: Some(fault) })
        }
        other => other,
    }
}

async fn judge(trail: &Trail, company: Option<CompanyId>, depth: Depth) -> Result<Report, TrailError> {
    // Before the snapshot: what was published by then is in it.
    let anchors = anchors(trail, company).await?;
    let mut tx = match company {
        Some(company) => trail.store.tenant_bulk(company).await?,
        None => trail.store.dispatch().await?,
    };
    read::snapshot(&mut tx).await?;
    let mut stored = Vec::new();
    loop {
        let after =
            stored.last().map_or(0, |(number, _): &(u64, String)| i64::try_from(*number).unwrap_or(i64::MAX));
        let page = checkpoints::list(&mut tx, company, after, NOTES).await?;
        let last = page.len() < usize::try_from(NOTES).unwrap_or(usize::MAX);
        stored.extend(page.into_iter().map(|row| (u64::try_from(row.number).unwrap_or(0), row.note)));
        if last {
            break;
        }
    }
    let start = match company {
        Some(company) => {
            let rows = archives_of(&mut tx, company).await?;
            let found = manifests(trail, company, &rows, depth).await?;
            purged_until(&found)
        }
        None => Position::default(),
    };
    let head = seal::head(&mut tx, company).await?.map_or(0, |head| head.frontier.size());
    let mut after = i64::try_from(start.frontier.size()).unwrap_or(i64::MAX);
    let mut verifier = Verifier::new(trail.keys.as_ref(), company.map(CompanyId::uuid), start);
    verifier.checkpoints(&stored, &anchors);
    let mut surplus = None;
    while !verifier.has_fault() {
        let page = read::page(&mut tx, company, after, i64::MAX, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = i64::try_from(last.record.sequence).unwrap_or(i64::MAX);
        surplus = page.iter().find(|sealed| sealed.record.sequence > head).cloned();
        for sealed in page.iter().filter(|sealed| sealed.record.sequence <= head) {
            verifier.push(sealed);
        }
        if surplus.is_some() {
            break;
        }
    }
    tx.rollback().await?;
    let mut report = verifier.finish(Some(head));
    if let (None, Some(extra)) = (&report.first_fault, surplus) {
        let detail = format!("record {} was never sealed: the chain ends at {head}", extra.record.sequence);
        let id = extra.record.id.to_string();
        report.first_fault = Some(Fault { id, reason: Reason::Inserted, detail });
        report.valid = false;
    }
    Ok(report)
}

/// Every archive of an organization, in the order of its records.
///
/// # Errors
/// As every statement.
pub async fn archives_of(tx: &mut store::Tx, company: CompanyId) -> store::Result<Vec<Archive>> {
    let mut rows: Vec<Archive> = Vec::new();
    loop {
        let after = rows.last().map_or(0, |row| row.first_sequence);
        let page = archives::list(tx, company, after, NOTES).await?;
        if page.is_empty() {
            return Ok(rows);
        }
        rows.extend(page);
    }
}

/// The newest published checkpoints of both stores; a store that is away is left out as long as the other answers.
async fn anchors(trail: &Trail, company: Option<CompanyId>) -> Result<Vec<String>, TrailError> {
    let Some(stores) = &trail.stores else { return Ok(Vec::new()) };
    let (mut notes, mut away) = (Vec::new(), None);
    let all = stores.all();
    let number = all.len();
    for (which, storage) in all {
        let folder = format!("{}/checkpoints", folder(company));
        let names = match storage.list(&folder).await {
            Ok(names) => names,
            Err(error) => {
                let said = chassis::telemetry::chain(&error);
                tracing::warn!(
                    store = which.as_str(),
                    error = said,
                    "published checkpoints are out of reach"
                );
                away = Some(away.map_or(1, |n: usize| n + 1));
                if away == Some(number) {
                    return Err(error.into());
                }
                continue;
            }
        };
        for name in names.iter().rev().take(ANCHORS) {
            let bytes = storage.get(name).await?;
            notes.push(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    Ok(notes)
}

/// The manifests of all archives that were read back, each held against its row, its store and the one before it.
async fn manifests(
    trail: &Trail,
    company: CompanyId,
    rows: &[Archive],
    depth: Depth,
) -> Result<Vec<(Archive, Trusted)>, TrailError> {
    let mut found: Vec<(Archive, Trusted)> = Vec::new();
    for row in rows.iter().filter(|row| row.is_settled()) {
        let before = found.last().map(|(_, trusted)| trusted);
        let trusted = trust(trail, company, row, before)?;
        if let Some(stores) = &trail.stores {
            let storage = keep::read_from(stores, row)?;
            keep::same_manifest(storage.as_ref(), row).await?;
            if depth == Depth::Archives {
                keep::read_back(storage.as_ref(), &trail.keys, row, &trusted).await?;
            }
        }
        found.push((row.clone(), trusted));
    }
    Ok(found)
}

/// The manifest of an archive, when it belongs where its row says.
pub(crate) fn trust(
    trail: &Trail,
    company: CompanyId,
    row: &Archive,
    before: Option<&Trusted>,
) -> Result<Trusted, TrailError> {
    let altered = |detail: String| archive_fault(row.id, Reason::ManifestAltered, detail);
    let trusted = belonging(trail, company, row)?;
    let expected = before.map_or_else(Position::default, |before| before.manifest.end.clone());
    if trusted.manifest.start != expected {
        return Err(altered(format!("archive {} does not follow the one before it", row.id)));
    }
    if let Some(before) = before.filter(|before| before.key_id != trusted.key_id)
        && keep::is_older(&trail.keys, &trusted.key_id, &before.key_id)
    {
        let detail = keep::retired(row, &trusted.key_id);
        return Err(archive_fault(row.id, Reason::RetiredKey, detail));
    }
    Ok(trusted)
}

fn belonging(trail: &Trail, company: CompanyId, row: &Archive) -> Result<Trusted, TrailError> {
    let altered = |detail: String| archive_fault(row.id, Reason::ManifestAltered, detail);
    let text = row.manifest.as_deref().unwrap_or_default();
    let trusted = Manifest::open(text, &trail.keys)
        .map_err(|fault| altered(format!("the manifest of archive {}: {fault}", row.id)))?;
    let manifest = &trusted.manifest;
    let (first, last) = (manifest.first_sequence, manifest.last_sequence);
    let row_says = (u64::try_from(row.first_sequence).ok(), u64::try_from(row.last_sequence).ok());
    let belongs = manifest.id == row.id
        && manifest.company_id == company.uuid()
        && row_says == (Some(first), Some(last))
        && manifest.start.frontier.size() + 1 == first
        && manifest.end.frontier.size() == last;
    if !belongs {
        return Err(altered(format!("the manifest of archive {} belongs to other records", row.id)));
    }
    Ok(trusted)
}

/// The manifest of an archive by itself, when it belongs where its row says; what stands before it is judged by
/// [`verify`].
///
/// # Errors
/// [`TrailError::Broken`].
pub fn trust_alone(trail: &Trail, company: CompanyId, row: &Archive) -> Result<Trusted, TrailError> {
    belonging(trail, company, row)
}

/// Where the records in the database begin: after the archives that were purged.
fn purged_until(found: &[(Archive, Trusted)]) -> Position {
    let purged = found.iter().take_while(|(row, _)| row.stands_in()).last();
    purged.map_or_else(Position::default, |(_, trusted)| trusted.manifest.end.clone())
}
