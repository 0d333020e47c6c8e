//! Proofs about single records and checkpoints, for who has neither the database nor the trail: JSON that stands alone.

use domain::audit::checkpoint::origin;
use domain::audit::merkle::{verify_consistency, verify_inclusion};
use domain::audit::prove::{Prover, Range, consistency_ranges, inclusion_ranges};
use domain::audit::{Fault, Frontier, Hash, Keys, Reason, Record, Sealed, SignedNote};
use domain::ids::CompanyId;
use outbound::audit_keys::AuditKeys;
use serde::{Deserialize, Serialize};
use store::Tx;
use store::audit::checkpoints::{self, Stored};
use store::audit::read;

use crate::{Trail, TrailError, keep, verify};

/// Records of a page.
const PAGE: i64 = 2_000;

/// A proof.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Proof {
    /// The record is under the checkpoint.
    Inclusion {
        /// As it was sealed, with markers for people.
        record: Box<Record>,
        /// Place in the tree, from 0.
        index: u64,
        /// Audit path, from the leaf up (RFC 6962 section 2.1.1).
        proof: Vec<Hash>,
        /// Signed note.
        checkpoint: String,
    },
    /// The records under one checkpoint are the beginning of those under the other.
    Consistency {
        /// Nodes (RFC 6962 section 2.1.2).
        proof: Vec<Hash>,
        /// Signed note of the older one.
        from: String,
        /// Signed note of the newer one.
        to: String,
    },
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// Nothing of that place or number.
    #[error("there is no {what}")]
    NotThere {
        /// What.
        what: String,
    },
    /// More records would have to be read than is allowed here.
    #[error("{records} records would have to be read; `syncctl audit prove` does it")]
    TooFar {
        /// How many.
        records: u64,
    },
    /// The trail.
    #[error(transparent)]
    Trail(#[from] TrailError),
}

impl From<store::StoreError> for ProveError {
    fn from(error: store::StoreError) -> Self {
        ProveError::Trail(error.into())
    }
}

fn missing(what: String) -> ProveError {
    ProveError::NotThere { what }
}

/// Proves that a record is under the first checkpoint over it, from what is online, reading at most `most` records.
///
/// # Errors
/// [`ProveError`].
pub async fn inclusion(
    tx: &mut Tx,
    company: CompanyId,
    sequence: u64,
    most: u64,
) -> Result<Proof, ProveError> {
    let (stored, note) = over(tx, company, sequence).await?;
    let start = online(tx, company).await?;
    let mut leaves = Leaves::new(inclusion_ranges(sequence - 1, note.checkpoint.size), &start, sequence)?;
    leaves.read_on(tx, company, note.checkpoint.size, most).await?;
    leaves.inclusion(sequence, stored, &note)
}

/// Proves that the records under checkpoint `from` are the beginning of those under `to`, as [`inclusion`].
///
/// # Errors
/// [`ProveError`].
pub async fn consistency(
    tx: &mut Tx,
    company: CompanyId,
    (from, to): (i64, i64),
    most: u64,
) -> Result<Proof, ProveError> {
    let (old, new) = (numbered(tx, company, from).await?, numbered(tx, company, to).await?);
    let (first, last) = (old.1.checkpoint.size, new.1.checkpoint.size);
    if from > to || first > last {
        return Err(missing(format!("checkpoint {from} before {to}")));
    }
    let start = online(tx, company).await?;
    let mut leaves = Leaves::new(consistency_ranges(first, last), &start, 0)?;
    leaves.read_on(tx, company, last, most).await?;
    leaves.consistency(old, new)
}

/// As [`inclusion`], of any record, also of one that is in an archive alone.
///
/// # Errors
/// [`ProveError`].
pub async fn inclusion_anywhere(
    trail: &Trail,
    company: CompanyId,
    sequence: u64,
) -> Result<Proof, ProveError> {
    let mut tx = trail.store.tenant_bulk(company).await.map_err(TrailError::from)?;
    let (stored, note) = over(&mut tx, company, sequence).await?;
    let ranges = inclusion_ranges(sequence - 1, note.checkpoint.size);
    let mut leaves = Leaves::new(ranges, &Frontier::new(), sequence)?;
    leaves.read_archives(trail, &mut tx, company).await?;
    leaves.read_on(&mut tx, company, note.checkpoint.size, u64::MAX).await?;
    leaves.inclusion(sequence, stored, &note)
}

/// As [`consistency`], of any two checkpoints.
///
/// # Errors
/// [`ProveError`].
pub async fn consistency_anywhere(
    trail: &Trail,
    company: CompanyId,
    (from, to): (i64, i64),
) -> Result<Proof, ProveError> {
    let mut tx = trail.store.tenant_bulk(company).await.map_err(TrailError::from)?;
    let (old, new) = (numbered(&mut tx, company, from).await?, numbered(&mut tx, company, to).await?);
    let ranges = consistency_ranges(old.1.checkpoint.size, new.1.checkpoint.size);
    let mut leaves = Leaves::new(ranges, &Frontier::new(), 0)?;
    leaves.read_archives(trail, &mut tx, company).await?;
    leaves.read_on(&mut tx, company, new.1.checkpoint.size, u64::MAX).await?;
    leaves.consistency(old, new)
}

/// What is wrong with a proof; `None` when it holds. Looks at nothing but the proof and the keys.
pub fn fault(proof: &Proof, keys: &AuditKeys) -> Option<String> {
    match proof {
        Proof::Inclusion { record, index, proof, checkpoint } => {
            let note = match genuine(checkpoint, keys) {
                Ok(note) => note,
                Err(fault) => return Some(fault),
            };
            let said = &note.checkpoint;
            if said.origin != origin(record.company_id) {
                return Some("the checkpoint is of another organization than the record".to_owned());
            }
            if record.sequence != index + 1 {
                return Some(format!(
                    "the record was sealed for place {}, not {}",
                    record.sequence,
                    index + 1
                ));
            }
            let leaf = domain::audit::merkle::leaf_hash(&record.canonical());
            (!verify_inclusion(leaf, *index, said.size, proof, said.root))
                .then(|| "the record is not one of those that the checkpoint was signed over".to_owned())
        }
        Proof::Consistency { proof, from, to } => {
            let (old, new) = match (genuine(from, keys), genuine(to, keys)) {
                (Ok(old), Ok(new)) => (old.checkpoint, new.checkpoint),
                (Err(fault), _) | (_, Err(fault)) => return Some(fault),
            };
            if old.origin != new.origin || old.number > new.number {
                return Some(
                    "the checkpoints are not an older and a newer one of one organization".to_owned(),
                );
            }
            (!verify_consistency(old.size, old.root, new.size, new.root, proof))
                .then(|| "the older checkpoint's records are not the beginning of the newer one's".to_owned())
        }
    }
}

fn genuine(text: &str, keys: &AuditKeys) -> Result<SignedNote, String> {
    let note = SignedNote::parse(text).map_err(|fault| format!("a checkpoint is not one: {fault}"))?;
    if keys.verifies(&note) {
        Ok(note)
    } else {
        Err(format!("checkpoint {} is not signed by these keys", note.checkpoint.number))
    }
}

async fn over(tx: &mut Tx, company: CompanyId, sequence: u64) -> Result<(Stored, SignedNote), ProveError> {
    let size = i64::try_from(sequence).ok().filter(|size| *size > 0);
    let found = match size {
        Some(size) => checkpoints::over(tx, company, size).await?,
        None => None,
    };
    parsed(found.ok_or_else(|| missing(format!("checkpoint over record {sequence} yet")))?)
}

async fn numbered(tx: &mut Tx, company: CompanyId, number: i64) -> Result<(Stored, SignedNote), ProveError> {
    let found = checkpoints::list(tx, Some(company), number.saturating_sub(1), 1).await?;
    let found = found.into_iter().find(|row| row.number == number);
    parsed(found.ok_or_else(|| missing(format!("checkpoint {number}")))?)
}

fn parsed(stored: Stored) -> Result<(Stored, SignedNote), ProveError> {
    let note = SignedNote::parse(&stored.note)
        .map_err(|fault| broken(stored.number, Reason::CheckpointAltered, fault.to_string()))?;
    Ok((stored, note))
}

fn broken(number: i64, reason: Reason, detail: String) -> ProveError {
    ProveError::Trail(TrailError::Broken(Fault { id: format!("checkpoint:{number}"), reason, detail }))
}

/// The tree before the first record that is online, as the last purged archive says. A wrong one gives no proof.
async fn online(tx: &mut Tx, company: CompanyId) -> Result<Frontier, ProveError> {
    let rows = verify::archives_of(tx, company).await?;
    let Some(last) = rows.iter().rfind(|row| row.stands_in()) else { return Ok(Frontier::new()) };
    let claimed = last.manifest.as_deref().and_then(archive::Manifest::claimed);
    let number = last.last_sequence;
    claimed.map(|manifest| manifest.end.frontier).ok_or_else(|| {
        let id = format!("archive:{}", last.id);
        let detail = format!("the manifest of the archive up to record {number} cannot be read");
        ProveError::Trail(TrailError::Broken(Fault { id, reason: Reason::ManifestAltered, detail }))
    })
}

/// Leaves that come by, and the record among them.
struct Leaves {
    prover: Prover,
    at: u64,
    wanted: u64,
    found: Option<Box<Record>>,
}

impl Leaves {
    fn new(ranges: Vec<Range>, start: &Frontier, wanted: u64) -> Result<Self, ProveError> {
        let prover = Prover::new(ranges, start).ok_or_else(|| {
            missing("record of that place online; `syncctl audit prove` reads the archives".to_owned())
        })?;
        Ok(Self { prover, at: start.size(), wanted, found: None })
    }

    fn push(&mut self, sealed: &Sealed) {
        self.prover.push(sealed.leaf());
        self.at += 1;
        if sealed.record.sequence == self.wanted {
            self.found = Some(Box::new(sealed.record.clone()));
        }
    }

    async fn read_on(
        &mut self,
        tx: &mut Tx,
        company: CompanyId,
        size: u64,
        most: u64,
    ) -> Result<(), ProveError> {
        let records = size.saturating_sub(self.at);
        if records > most {
            return Err(ProveError::TooFar { records });
        }
        let last = i64::try_from(size).unwrap_or(i64::MAX);
        while self.at < size {
            let after = i64::try_from(self.at).unwrap_or(i64::MAX);
            let page = read::page(tx, Some(company), after, last, PAGE).await?;
            if page.is_empty() {
                break;
            }
            for sealed in &page {
                self.push(sealed);
            }
        }
        Ok(())
    }

    async fn read_archives(
        &mut self,
        trail: &Trail,
        tx: &mut Tx,
        company: CompanyId,
    ) -> Result<(), ProveError> {
        for row in verify::archives_of(tx, company).await?.iter().filter(|row| row.stands_in()) {
            let trusted = verify::trust_alone(trail, company, row)?;
            let stores = trail.stores.as_ref().ok_or_else(|| missing("archive store".to_owned()))?;
            let storage = keep::read_from(stores, row)?;
            for part in &trusted.manifest.parts {
                let records = keep::read_part(storage.as_ref(), row, part).await?;
                for sealed in &records {
                    self.push(sealed);
                }
            }
        }
        Ok(())
    }

    fn inclusion(self, sequence: u64, stored: Stored, note: &SignedNote) -> Result<Proof, ProveError> {
        let said = &note.checkpoint;
        let mismatch = || {
            broken(
                stored.number,
                Reason::CheckpointMismatch,
                format!("the records are not those that checkpoint {} was signed over", stored.number),
            )
        };
        let record = self.found.ok_or_else(|| missing(format!("record {sequence} online")))?;
        let proof = self.prover.finish().ok_or_else(mismatch)?;
        let leaf = domain::audit::merkle::leaf_hash(&record.canonical());
        if !verify_inclusion(leaf, sequence - 1, said.size, &proof, said.root) {
            return Err(mismatch());
        }
        Ok(Proof::Inclusion { record, index: sequence - 1, proof, checkpoint: stored.note })
    }

    fn consistency(self, old: (Stored, SignedNote), new: (Stored, SignedNote)) -> Result<Proof, ProveError> {
        let (first, last) = (&old.1.checkpoint, &new.1.checkpoint);
        let proof = self.prover.finish().unwrap_or_default();
        if !verify_consistency(first.size, first.root, last.size, last.root, &proof) {
            let detail = format!("checkpoint {} does not continue checkpoint {}", new.0.number, old.0.number);
            return Err(broken(new.0.number, Reason::CheckpointMismatch, detail));
        }
        Ok(Proof::Consistency { proof, from: old.0.note, to: new.0.note })
    }
}
