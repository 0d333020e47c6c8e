//! Checkpoints before the records are known: signatures, numbers, keys.

use std::collections::VecDeque;

use super::{Fault, Keys, Reason};
use crate::audit::checkpoint::SignedNote;

/// Checkpoints that the records have still to bear out, smallest first.
#[derive(Debug, Default)]
pub struct Due {
    notes: VecDeque<SignedNote>,
    largest: u64,
}

impl Due {
    /// The next checkpoint over exactly so many records.
    pub fn reached(&mut self, size: u64) -> Option<SignedNote> {
        if self.notes.front()?.checkpoint.size == size { self.notes.pop_front() } else { None }
    }

    /// Records under the largest checkpoint.
    pub fn largest(&self) -> u64 {
        self.largest
    }
}

/// Reads and judges stored checkpoints and published ones. Those below `start` are judged by themselves alone.
pub fn read<K: Keys>(
    keys: &K,
    origin: &str,
    start: u64,
    stored: &[(u64, String)],
    anchors: &[String],
) -> Result<Due, Fault> {
    let mut notes: Vec<SignedNote> = Vec::with_capacity(stored.len());
    let mut retired: Vec<String> = Vec::new();
    for (number, text) in stored {
        let expected = notes.last().map_or(*number, |last| last.checkpoint.number + 1);
        let note = genuine(keys, origin, *number, text)?;
        if *number != expected {
            let detail = format!("checkpoint {expected} is missing: {number} follows");
            return Err(fault(expected, Reason::CheckpointMissing, detail));
        }
        if note.checkpoint.number != *number {
            let detail = format!("checkpoint {} stands in the place of {number}", note.checkpoint.number);
            return Err(fault(*number, Reason::CheckpointReplayed, detail));
        }
        if let Some(last) = notes.last() {
            if last.checkpoint.size > note.checkpoint.size || last.checkpoint.at > note.checkpoint.at {
                let detail = format!("checkpoint {number} covers less than the one before it");
                return Err(fault(*number, Reason::CheckpointReplayed, detail));
            }
            if last.key_id != note.key_id {
                retired.push(last.key_id.clone());
            }
        }
        if retired.contains(&note.key_id) {
            let detail = format!(
                "checkpoint {number} is signed with key {:?}, which another had replaced",
                note.key_id
            );
            return Err(fault(*number, Reason::RetiredKey, detail));
        }
        notes.push(note);
    }
    if let (Some(last), Some(active)) = (notes.last(), keys.active())
        && last.key_id != active
    {
        let number = last.checkpoint.number;
        let detail = format!("checkpoint {number} is signed with key {:?}, not with {active:?}", last.key_id);
        return Err(fault(number, Reason::RetiredKey, detail));
    }
    let newest = notes.last().map(|note| note.checkpoint.number);
    for text in anchors {
        let note = genuine(keys, origin, 0, text)?;
        let number = note.checkpoint.number;
        match notes.iter().find(|own| own.checkpoint.number == number) {
            Some(own) if own.checkpoint == note.checkpoint => {}
            Some(_) => {
                let detail = format!("checkpoint {number} was published with another content");
                return Err(fault(number, Reason::CheckpointMismatch, detail));
            }
            None if newest.is_none_or(|newest| newest < number) => {
                let detail = format!("checkpoint {number} was published and is not there any more");
                return Err(fault(number, Reason::CheckpointMissing, detail));
            }
            // Older than what is stored: the records say whether it holds.
            None => notes.push(note),
        }
    }
    notes.sort_by_key(|note| (note.checkpoint.size, note.checkpoint.number));
    let largest = notes.last().map_or(0, |note| note.checkpoint.size);
    Ok(Due { notes: notes.into_iter().filter(|note| note.checkpoint.size >= start).collect(), largest })
}

fn genuine<K: Keys>(keys: &K, origin: &str, number: u64, text: &str) -> Result<SignedNote, Fault> {
    let altered = |detail: String| fault(number, Reason::CheckpointAltered, detail);
    let note = SignedNote::parse(text).map_err(|e| altered(format!("checkpoint {number}: {e}")))?;
    if note.checkpoint.origin != origin {
        return Err(altered(format!("checkpoint {number} is of {}", note.checkpoint.origin)));
    }
    if !keys.verifies(&note) {
        let detail = format!("the signature of checkpoint {number} is not that of key {:?}", note.key_id);
        return Err(altered(detail));
    }
    Ok(note)
}

fn fault(number: u64, reason: Reason, detail: String) -> Fault {
    Fault { id: format!("checkpoint:{number}"), reason, detail }
}
