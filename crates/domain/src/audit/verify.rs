//! The judgement over a stream of records: what is the first thing that is wrong?
//!
//! Records are fed in the order of their sequence, checkpoints and anchors before them. The first fault is kept and
//! named; what follows it is only looked at to tell how it came about (a record that was moved, or one slipped in).

mod checkpoints;
mod suspicion;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::chain::{ChainKey, Hash, link};
use super::checkpoint::{SignedNote, origin};
use super::merkle::Frontier;
use super::record::Sealed;
use checkpoints::Due;
use suspicion::Suspicion;

/// The keys that judge.
pub trait Keys {
    /// Key of the chain with this id.
    fn chain_key(&self, id: &str) -> Option<&ChainKey>;
    /// Whether a note's signature is that of the key it names.
    fn verifies(&self, note: &SignedNote) -> bool;
    /// Whether only signatures and the tree can be judged, since no key of the chain is at hand.
    fn public_only(&self) -> bool;
    /// Key that signs now; the newest checkpoint must be its. `None` when that is not known.
    fn active(&self) -> Option<&str>;
}

/// Where a stream begins: after the last record that is held elsewhere, in a verified archive.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    /// Hash of the last record before the stream.
    pub hash: Hash,
    /// The tree before the stream; its size is the last sequence before it.
    pub frontier: Frontier,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Its content is not what was sealed.
    Altered,
    /// It is not there any more.
    Missing,
    /// Nobody sealed it.
    Inserted,
    /// It stands at another place than it was sealed for.
    Reordered,
    /// It belongs to another organization.
    Foreign,
    /// No key of this id is known.
    UnknownKey,
    /// Sealed or signed with a key that another had already replaced.
    RetiredKey,
    /// The signature of a checkpoint does not hold, or its row says something else than its text.
    CheckpointAltered,
    /// A checkpoint is not there any more.
    CheckpointMissing,
    /// An earlier checkpoint stands in the place of a later one.
    CheckpointReplayed,
    /// The records are not those that a checkpoint was signed over.
    CheckpointMismatch,
    /// A manifest's signature does not hold, or it does not belong here.
    ManifestAltered,
    /// An archive does not hold what its manifest says.
    ArchiveAltered,
}

impl Reason {
    /// As in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Altered => "altered",
            Reason::Missing => "missing",
            Reason::Inserted => "inserted",
            Reason::Reordered => "reordered",
            Reason::Foreign => "foreign",
            Reason::UnknownKey => "unknown_key",
            Reason::RetiredKey => "retired_key",
            Reason::CheckpointAltered => "checkpoint_altered",
            Reason::CheckpointMissing => "checkpoint_missing",
            Reason::CheckpointReplayed => "checkpoint_replayed",
            Reason::CheckpointMismatch => "checkpoint_mismatch",
            Reason::ManifestAltered => "manifest_altered",
            Reason::ArchiveAltered => "archive_altered",
        }
    }
}

/// The first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Record, `sequence:<n>` of one that is missing, `checkpoint:<n>` or `archive:<id>`.
    pub id: String,
    /// What is wrong with it.
    pub reason: Reason,
    /// The same for people.
    pub detail: String,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Whether nothing is wrong.
    pub valid: bool,
    /// Records that were looked at and are right.
    pub checked: u64,
    /// The newest checkpoint that the records bear out.
    pub checkpoint: Option<CheckpointSeen>,
    /// The first thing that is wrong.
    pub first_fault: Option<Fault>,
}

/// A checkpoint in a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointSeen {
    /// Its number.
    pub number: u64,
    /// Records under it.
    pub size: u64,
    /// Root of the tree, in hex.
    pub root: Hash,
    /// Key that signed it.
    pub key_id: String,
    /// When.
    pub at: chrono::DateTime<chrono::Utc>,
}

/// Judges a chain. Memory does not grow with the number of records.
#[derive(Debug)]
pub struct Verifier<K> {
    keys: K,
    company: Option<Uuid>,
    hash: Hash,
    frontier: Frontier,
    checked: u64,
    due: Due,
    /// Key of the last record, and those that others replaced.
    key: Option<String>,
    retired: Vec<String>,
    suspicion: Option<Suspicion>,
    fault: Option<Fault>,
    newest: Option<CheckpointSeen>,
}

impl<K: Keys> Verifier<K> {
    /// A judge of the organization's records after `start`.
    pub fn new(keys: K, company: Option<Uuid>, start: Position) -> Self {
        Self {
            keys,
            company,
            hash: start.hash,
            frontier: start.frontier,
            checked: 0,
            due: Due::default(),
            key: None,
            retired: Vec::new(),
            suspicion: None,
            fault: None,
            newest: None,
        }
    }

    /// The checkpoints as they are stored, `(number, text)`, in the order of their numbers, and those that were
    /// published where the database's owner has no hand. Call it once, before the records.
    pub fn checkpoints(&mut self, stored: &[(u64, String)], anchors: &[String]) {
        let origin = origin(self.company);
        match checkpoints::read(&self.keys, &origin, self.frontier.size(), stored, anchors) {
            Ok(due) => self.due = due,
            Err(fault) => self.fail(fault),
        }
        self.reach_checkpoints();
    }

    /// The next record.
    pub fn push(&mut self, sealed: &Sealed) {
        if self.fault.is_some() {
            return;
        }
        if let Some(suspicion) = &mut self.suspicion {
            if let Some(fault) = suspicion.look(&self.keys, sealed) {
                self.fail(fault);
            }
            return;
        }
        let record = &sealed.record;
        let expected = self.frontier.size() + 1;
        if record.company_id != self.company {
            return self.fail(fault(sealed, Reason::Foreign, "belongs to another organization"));
        }
        if record.sequence > expected {
            let detail = format!("record {expected} is missing: {} follows", record.sequence);
            return self.fail(Fault { id: format!("sequence:{expected}"), reason: Reason::Missing, detail });
        }
        if record.sequence < expected {
            let detail = format!("claims the place of record {}, which stands before it", record.sequence);
            return self.fail(fault(sealed, Reason::Inserted, &detail));
        }
        if let Err(found) = self.key_of(sealed) {
            return self.fail(found);
        }
        let bytes = record.canonical();
        if !self.keys.public_only() {
            let fits = self
                .keys
                .chain_key(&record.key_id)
                .is_some_and(|key| link(key, &self.hash, expected, &bytes) == sealed.hash);
            if !fits {
                self.suspicion = Some(Suspicion::new(sealed.clone(), self.hash, expected));
                return;
            }
        }
        self.hash = sealed.hash;
        self.frontier.push(super::merkle::leaf_hash(&bytes));
        self.checked += 1;
        self.reach_checkpoints();
    }

    /// The end of the stream; `head` is the size that the chain is said to have.
    pub fn finish(mut self, head: Option<u64>) -> Report {
        if let Some(suspicion) = self.suspicion.take() {
            self.fail(suspicion.conclude());
        }
        let size = self.frontier.size();
        let promised = head.unwrap_or(size).max(self.due.largest());
        if promised > size {
            let detail = format!("record {} is missing: the trail had {promised} records", size + 1);
            self.fail(Fault { id: format!("sequence:{}", size + 1), reason: Reason::Missing, detail });
        } else if head.is_some_and(|head| head < size) {
            let detail = "the trail has more records than were sealed".to_owned();
            self.fail(Fault { id: format!("sequence:{size}"), reason: Reason::Inserted, detail });
        }
        Report {
            valid: self.fault.is_none(),
            checked: self.checked,
            checkpoint: self.newest,
            first_fault: self.fault,
        }
    }

    /// Where the stream stands: after the last record that is right.
    pub fn position(&self) -> Position {
        Position { hash: self.hash, frontier: self.frontier.clone() }
    }

    /// Whether something is wrong already, and what it is is known.
    pub fn has_fault(&self) -> bool {
        self.fault.is_some()
    }

    /// Records that were right so far.
    pub fn checked(&self) -> u64 {
        self.checked
    }

    fn key_of(&mut self, sealed: &Sealed) -> Result<(), Fault> {
        let id = &sealed.record.key_id;
        if self.key.as_ref() != Some(id) {
            if self.retired.contains(id) {
                let detail = format!("is sealed with key {id:?}, which another had replaced before");
                return Err(fault(sealed, Reason::RetiredKey, &detail));
            }
            if !self.keys.public_only() && self.keys.chain_key(id).is_none() {
                let detail = format!("is sealed with key {id:?}, which is not known");
                return Err(fault(sealed, Reason::UnknownKey, &detail));
            }
            self.retired.extend(self.key.replace(id.clone()));
        }
        Ok(())
    }

    fn reach_checkpoints(&mut self) {
        while let Some(note) = self.due.reached(self.frontier.size()) {
            let checkpoint = &note.checkpoint;
            let chain = self.keys.public_only() || checkpoint.head == self.hash;
            if checkpoint.root != self.frontier.root() || !chain {
                let detail = format!(
                    "the first {} records are not those that checkpoint {} was signed over",
                    checkpoint.size, checkpoint.number
                );
                let id = format!("checkpoint:{}", checkpoint.number);
                return self.fail(Fault { id, reason: Reason::CheckpointMismatch, detail });
            }
            if self.newest.as_ref().is_none_or(|newest| newest.number < checkpoint.number) {
                self.newest = Some(CheckpointSeen {
                    number: checkpoint.number,
                    size: checkpoint.size,
                    root: checkpoint.root,
                    key_id: note.key_id.clone(),
                    at: checkpoint.at,
                });
            }
        }
    }

    fn fail(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }
}

fn fault(sealed: &Sealed, reason: Reason, detail: &str) -> Fault {
    let detail = format!("record {} ({}) {detail}", sealed.record.sequence, sealed.record.id);
    Fault { id: sealed.record.id.to_string(), reason, detail }
}

#[cfg(test)]
pub(crate) mod tests;
