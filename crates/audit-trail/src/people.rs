//! The people in records: behind markers once a record is sealed, shown again to who may read, until they are erased.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use domain::audit::Record;
use domain::audit::personal::{self, boxed_marker, marker, normalized};
use domain::ids::CompanyId;
use outbound::audit_subjects::{SealedSubject, Subject, SubjectKeys};
use outbound::vault::{VaultError, Wrapped};
use store::Tx;
use store::audit::subjects::{self, SubjectRow};
use uuid::Uuid;

use crate::TrailError;

/// Stands where somebody was who is forgotten.
pub const ERASED: &str = "erased";

/// Puts markers in the place of everyone whom the records name: `(as it was written, as it is sealed)`. People who are
/// new to the chain get a key. In the dispatch transaction that has locked the chain.
///
/// # Errors
/// [`TrailError`].
pub async fn conceal(
    tx: &mut Tx,
    keys: &SubjectKeys,
    company: Option<CompanyId>,
    records: Vec<Record>,
) -> Result<Vec<(Record, Record)>, TrailError> {
    let mut names = BTreeMap::new();
    for record in &records {
        for (name, spelling) in personal::subjects(record) {
            names.entry(name).or_insert(spelling);
        }
    }
    let known = resolve(tx, keys, company, names).await?;
    let mut fault = None;
    let pairs = records.into_iter().map(|written| {
        let mut sealed = written.clone();
        personal::conceal(&mut sealed, &mut |whom, plain| match known.get(whom) {
            Some(subject) if subject.name == plain => marker(subject.id),
            Some(subject) => subject.seal(plain).map_or_else(
                |error| {
                    fault = Some(error);
                    String::new()
                },
                |sealed| boxed_marker(subject.id, &sealed),
            ),
            None => {
                fault = Some(VaultError::Broken);
                String::new()
            }
        });
        (written, sealed)
    });
    let pairs: Vec<(Record, Record)> = pairs.collect();
    fault.map_or(Ok(pairs), |error| Err(error.into()))
}

/// Everyone by normalized name.
async fn resolve(
    tx: &mut Tx,
    keys: &SubjectKeys,
    company: Option<CompanyId>,
    names: BTreeMap<String, String>,
) -> Result<BTreeMap<String, Subject>, TrailError> {
    let chain = chain(company);
    let lookups: Vec<Vec<u8>> = names.keys().flat_map(|name| keys.lookups(chain, name)).collect();
    let mut known = BTreeMap::new();
    if lookups.is_empty() {
        return Ok(known);
    }
    for row in subjects::find(tx, company, &lookups).await? {
        let subject = keys.open(chain, &sealed(row))?;
        known.insert(normalized(&subject.name), subject);
    }
    let mut fresh = Vec::new();
    for (name, spelling) in names {
        if let Entry::Vacant(place) = known.entry(name) {
            let (subject, made) = keys.make(chain, &spelling)?;
            fresh.push(row(chain, made));
            place.insert(subject);
        }
    }
    if !fresh.is_empty() {
        subjects::add(tx, company, &fresh).await?;
    }
    Ok(known)
}

/// Shows the people in sealed records again; who is forgotten is [`ERASED`].
///
/// # Errors
/// [`TrailError`].
pub async fn reveal(
    tx: &mut Tx,
    keys: &SubjectKeys,
    company: CompanyId,
    records: &mut [Record],
) -> Result<(), TrailError> {
    let ids: BTreeSet<Uuid> = records.iter().flat_map(personal::marked).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let mut known = BTreeMap::new();
    for row in subjects::by_ids(tx, Some(company), &ids).await? {
        let subject = keys.open(company.uuid(), &sealed(row))?;
        known.insert(subject.id, subject);
    }
    for record in records {
        personal::reveal(record, &mut |id, value| match (known.get(&id), value) {
            (None, _) => ERASED.to_owned(),
            (Some(subject), None) => subject.name.clone(),
            (Some(subject), Some(value)) => subject.reveal(value).unwrap_or_else(|_| "unreadable".to_owned()),
        });
    }
    Ok(())
}

/// The names of these people, normalized.
///
/// # Errors
/// [`TrailError`].
pub fn names(keys: &SubjectKeys, company: CompanyId, rows: &[SubjectRow]) -> Result<Vec<String>, TrailError> {
    let open = |row: &SubjectRow| Ok(normalized(&keys.open(company.uuid(), &sealed(row.clone()))?.name));
    rows.iter().map(open).collect()
}

/// Wraps up to `limit` data keys anew that an older key wraps; how many. In a dispatch transaction.
///
/// # Errors
/// [`TrailError`].
pub async fn renew(tx: &mut Tx, keys: &SubjectKeys, limit: i64) -> Result<usize, TrailError> {
    let rows = subjects::outdated(tx, keys.active_id(), limit).await?;
    let number = rows.len();
    for old in rows {
        let chain = old.chain_id;
        if let Some(renewed) = keys.renew(chain, &sealed(old))? {
            subjects::renew(tx, &row(chain, renewed)).await?;
        }
    }
    Ok(number)
}

fn chain(company: Option<CompanyId>) -> Uuid {
    company.map_or(Uuid::nil(), CompanyId::uuid)
}

fn sealed(row: SubjectRow) -> SealedSubject {
    let wrapped = Wrapped { key_id: row.key_id, bytes: row.wrapped };
    SealedSubject { id: row.id, wrapped, name: row.name, lookup: row.lookup }
}

fn row(chain_id: Uuid, made: SealedSubject) -> SubjectRow {
    let Wrapped { key_id, bytes: wrapped } = made.wrapped;
    SubjectRow { id: made.id, chain_id, key_id, wrapped, name: made.name, lookup: made.lookup }
}
