//! Making an archive, reading it back, and bringing it home.

use std::sync::Arc;

use archive::manifest::{self, FORMAT, Manifest, Trusted};
use archive::{Part, Storage, StorageError, Stores, Which, part};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::audit::{Position, Reason, Sealed, Verifier};
use domain::ids::CompanyId;
use outbound::audit_keys::AuditKeys;
use store::audit::archives::Archive;
use store::audit::read;

use crate::{Trail, TrailError, archive_fault};

/// Records of a part.
const PART: i64 = 20_000;
/// Records of a page.
const PAGE: i64 = 2_000;

/// An archive that was written to a store.
#[derive(Debug, Clone)]
pub struct Written {
    /// The signed manifest.
    pub text: String,
    /// What it says.
    pub trusted: Trusted,
    /// Bytes of all parts.
    pub bytes: u64,
}

/// Writes the records of a planned archive to a store, which follow `start` in the chain. Every record is judged on
/// the way: nothing is archived that is not what was sealed. Writing again writes the same.
///
/// # Errors
/// [`TrailError`]; `Broken` names the record that is wrong.
pub async fn write(
    trail: &Trail,
    company: CompanyId,
    row: &Archive,
    start: Position,
    storage: &dyn Storage,
    now: DateTime<Utc>,
) -> Result<Written, TrailError> {
    let mut verifier = Verifier::new(trail.keys.as_ref(), Some(company.uuid()), start.clone());
    let (mut parts, mut bytes, mut after) = (Vec::new(), 0, row.first_sequence - 1);
    while after < row.last_sequence {
        let until = (after + PART).min(row.last_sequence);
        let (mut raw, mut records) = (Vec::new(), 0);
        while after < until {
            let mut tx = trail.store.tenant(company).await?;
            let page = read::page(&mut tx, Some(company), after, until, PAGE).await?;
            tx.rollback().await?;
            if page.is_empty() {
                break;
            }
            for sealed in &page {
                verifier.push(sealed);
                raw.extend(part::line(sealed).map_err(|e| io("writing a record", e.into()))?);
            }
            records += page.len() as u64;
            after = page.last().and_then(|last| i64::try_from(last.record.sequence).ok()).unwrap_or(until);
        }
        if verifier.has_fault() || records == 0 {
            break;
        }
        let name = format!("part-{:04}.jsonl.zst", parts.len() + 1);
        let (part, packed) = part::pack(&name, records, &raw).map_err(|e| io("packing a part", e))?;
        storage.put(&format!("{}/{name}", row.path), packed).await?;
        bytes += part.bytes;
        parts.push(part);
    }
    let end = verifier.position();
    let report = verifier.finish(u64::try_from(row.last_sequence).ok());
    if let Some(fault) = report.first_fault {
        return Err(TrailError::Broken(fault));
    }
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        id: row.id,
        company_id: company.uuid(),
        first_sequence: u64::try_from(row.first_sequence).unwrap_or(0),
        last_sequence: u64::try_from(row.last_sequence).unwrap_or(0),
        start,
        root: end.frontier.root(),
        end,
        parts,
        created_at: now,
    };
    let text = manifest.sign(&trail.keys).ok_or(TrailError::NoKey)?;
    storage.put(&format!("{}/{}", row.path, manifest::NAME), Bytes::from(text.clone())).await?;
    let key_id = trail.keys.sealing().map(|(id, _)| id.to_owned()).unwrap_or_default();
    Ok(Written { text, trusted: Trusted { manifest, key_id }, bytes })
}

/// The store that holds an archive.
///
/// # Errors
/// [`TrailError::Broken`] when it is not configured any more.
pub fn read_from(stores: &Stores, row: &Archive) -> Result<Arc<dyn Storage>, TrailError> {
    let which = match row.store.as_deref() {
        Some("fallback") if row.reconciled_at.is_none() => Which::Fallback,
        _ => Which::Primary,
    };
    stores.get(which).ok_or_else(|| {
        let detail =
            format!("archive {} is in the {} store, which is not configured", row.id, which.as_str());
        archive_fault(row.id, Reason::ArchiveAltered, detail)
    })
}

/// Checks that the store has the manifest that the database has.
///
/// # Errors
/// [`TrailError`]; `Broken` when it has another one or none.
pub async fn same_manifest(storage: &dyn Storage, row: &Archive) -> Result<(), TrailError> {
    let found = match storage.get(&format!("{}/{}", row.path, manifest::NAME)).await {
        Err(StorageError::NotFound { path }) => {
            return Err(archive_fault(row.id, Reason::ArchiveAltered, format!("{path} is not in the store")));
        }
        other => other?,
    };
    if row.manifest.as_deref().map(str::as_bytes) != Some(found.as_ref()) {
        let detail = format!("the manifest of archive {} in the store is not that of the database", row.id);
        return Err(archive_fault(row.id, Reason::ManifestAltered, detail));
    }
    Ok(())
}

/// Reads a part of an archive.
///
/// # Errors
/// [`TrailError`]; `Broken` when it is not what the manifest names.
pub async fn read_part(
    storage: &dyn Storage,
    row: &Archive,
    named: &Part,
) -> Result<Vec<Sealed>, TrailError> {
    let altered = |detail: String| archive_fault(row.id, Reason::ArchiveAltered, detail);
    let path = format!("{}/{}", row.path, named.name);
    let packed = match storage.get(&path).await {
        Err(StorageError::NotFound { path }) => return Err(altered(format!("{path} is not in the store"))),
        other => other?,
    };
    part::unpack(named, &packed).map_err(|e| altered(format!("{path}: {e}")))
}

/// Reads an archive back, whole, and judges every record of it against its manifest; how many.
///
/// # Errors
/// [`TrailError`]; `Broken` when it does not hold what its manifest says.
pub async fn read_back(
    storage: &dyn Storage,
    keys: &AuditKeys,
    row: &Archive,
    trusted: &Trusted,
) -> Result<u64, TrailError> {
    let manifest = &trusted.manifest;
    let altered = |detail: String| archive_fault(row.id, Reason::ArchiveAltered, detail);
    let mut verifier = Verifier::new(keys, Some(manifest.company_id), manifest.start.clone());
    let mut last_key = None;
    for named in &manifest.parts {
        let records = read_part(storage, row, named).await?;
        for sealed in &records {
            verifier.push(sealed);
        }
        last_key = records.last().map(|sealed| sealed.record.key_id.clone()).or(last_key);
        if verifier.has_fault() {
            break;
        }
    }
    let end = verifier.position();
    let report = verifier.finish(Some(manifest.last_sequence));
    if let Some(fault) = report.first_fault {
        return Err(altered(format!("archive {}: {}", row.id, fault.detail)));
    }
    if end != manifest.end {
        return Err(altered(format!("archive {} does not end where its manifest says", row.id)));
    }
    if last_key.as_ref().is_some_and(|key| is_older(keys, &trusted.key_id, key)) {
        let detail = retired(row, &trusted.key_id);
        return Err(archive_fault(row.id, Reason::RetiredKey, detail));
    }
    Ok(report.checked)
}

/// Writes the records of an archive down, one JSON line each, once all of it was found right; how many.
///
/// # Errors
/// [`TrailError`]; `Broken` when it does not hold what its manifest says: nothing is written then.
pub async fn write_down(
    trail: &Trail,
    company: CompanyId,
    row: &Archive,
    out: &mut (impl std::io::Write + Send),
) -> Result<u64, TrailError> {
    let trusted = crate::verify::trust_alone(trail, company, row)?;
    let stores = trail.stores.as_ref().ok_or(TrailError::NoKey)?;
    let storage = read_from(stores, row)?;
    same_manifest(storage.as_ref(), row).await?;
    let records = read_back(storage.as_ref(), &trail.keys, row, &trusted).await?;
    for named in &trusted.manifest.parts {
        for sealed in read_part(storage.as_ref(), row, named).await? {
            let line = part::line(&sealed).map_err(|e| io("writing a record", e.into()))?;
            out.write_all(&line).map_err(|e| io("writing a record", e))?;
        }
    }
    out.flush().map_err(|e| io("writing a record", e))?;
    Ok(records)
}

/// Whether a key stands behind another in the ring: the first is the newest.
pub(crate) fn is_older(keys: &AuditKeys, key: &str, than: &str) -> bool {
    let ids = keys.ids();
    let place = |id: &str| ids.iter().position(|known| *known == id);
    matches!((place(key), place(than)), (Some(key), Some(than)) if key > than)
}

pub(crate) fn retired(row: &Archive, key: &str) -> String {
    format!("the manifest of archive {} is signed with key {key:?}, which another had replaced", row.id)
}

/// Copies an archive from the fallback to the primary store, part by part.
///
/// # Errors
/// [`TrailError`].
pub async fn copy(
    from: &dyn Storage,
    to: &dyn Storage,
    row: &Archive,
    trusted: &Trusted,
) -> Result<(), TrailError> {
    for part in &trusted.manifest.parts {
        let path = format!("{}/{}", row.path, part.name);
        to.put(&path, from.get(&path).await?).await?;
    }
    let path = format!("{}/{}", row.path, manifest::NAME);
    to.put(&path, from.get(&path).await?).await?;
    Ok(())
}

fn io(what: &'static str, source: std::io::Error) -> TrailError {
    TrailError::Io { what, source }
}
