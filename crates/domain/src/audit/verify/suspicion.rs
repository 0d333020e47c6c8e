//! How a record that does not fit came about, told by those behind it.

use super::{Fault, Keys, Reason, fault};
use crate::audit::chain::{Hash, link};
use crate::audit::record::{Record, Sealed};

/// Records behind a doubtful one that are looked at.
const LOOK: usize = 10_000;

/// A record whose hash does not follow from the one before it.
#[derive(Debug)]
pub struct Suspicion {
    sealed: Sealed,
    /// Hash and sequence at which it should stand.
    previous: Hash,
    expected: u64,
    seen: usize,
}

impl Suspicion {
    pub fn new(sealed: Sealed, previous: Hash, expected: u64) -> Self {
        Self { sealed, previous, expected, seen: 0 }
    }

    /// Looks at a later record; a fault when it explains the doubtful one.
    pub fn look<K: Keys>(&mut self, keys: &K, later: &Sealed) -> Option<Fault> {
        self.seen += 1;
        if Self::fits(keys, later, &self.previous, self.expected) {
            // `later` is what was sealed for this place.
            let same_place = later.record.sequence == self.expected;
            let next = later.record.sequence == self.expected + 1;
            let swapped = next && Self::fits(keys, &self.sealed, &later.hash, self.expected + 1);
            return Some(if same_place || (next && !swapped) {
                fault(
                    &self.sealed,
                    Reason::Inserted,
                    "was never sealed: another record was sealed for its place",
                )
            } else {
                let detail =
                    format!("stands at {} and was sealed for {}", later.record.sequence, self.expected);
                fault(later, Reason::Reordered, &detail)
            });
        }
        (self.seen >= LOOK).then(|| self.altered())
    }

    /// Nothing explained it.
    pub fn conclude(&self) -> Fault {
        self.altered()
    }

    fn altered(&self) -> Fault {
        fault(&self.sealed, Reason::Altered, "is not what was sealed")
    }

    fn fits<K: Keys>(keys: &K, sealed: &Sealed, previous: &Hash, place: u64) -> bool {
        let record = Record { sequence: place, ..sealed.record.clone() };
        keys.chain_key(&record.key_id)
            .is_some_and(|key| link(key, previous, place, &record.canonical()) == sealed.hash)
    }
}
