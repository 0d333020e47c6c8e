//! Who was judged before, for a while: strangers cost no look at the database, and acquaintances are known while it is
//! away.
//!
//! The row of a subscription or channel is committed before the provider is asked for it, so what is unknown once stays
//! unknown.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::proof::key;

/// Who and with what: a digest, so that memory is bounded whatever is sent.
pub type Key = [u8; 32];

/// A set that forgets; clones share it.
#[derive(Debug, Clone)]
pub struct Memory {
    lasts: Duration,
    max: usize,
    kept: Arc<Mutex<HashMap<Key, Instant>>>,
}

impl Memory {
    /// Remembers at most `max` keys for `lasts`: about 60 bytes each.
    pub fn new(lasts: Duration, max: usize) -> Self {
        Self { lasts, max, kept: Arc::default() }
    }

    /// Whether it is remembered.
    pub fn knows(&self, key: &Key, now: Instant) -> bool {
        self.lock().get(key).is_some_and(|until| *until > now)
    }

    /// Remembers.
    pub fn remember(&self, key: Key, now: Instant) {
        let mut kept = self.lock();
        if kept.len() >= self.max && !kept.contains_key(&key) {
            kept.retain(|_, until| *until > now);
            if kept.len() >= self.max {
                // A flood of ever new names: remembering them helps nobody.
                kept.clear();
            }
        }
        kept.insert(key, now + self.lasts);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Instant>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the door remembers; clones share it.
#[derive(Debug, Clone)]
pub struct Memories {
    /// Senders whose proof was right.
    pub friends: Memory,
    /// Subscriptions, channels and proofs that are nobody's.
    pub strangers: Memory,
    /// Addresses from which a right proof came.
    pub good_sources: Memory,
}

impl Default for Memories {
    fn default() -> Self {
        Self {
            // Longer than any subscription lives without a renewal.
            friends: Memory::new(Duration::from_hours(24 * 32), 100_000),
            strangers: Memory::new(Duration::from_secs(30), 20_000),
            good_sources: Memory::new(Duration::from_hours(1), 20_000),
        }
    }
}

/// A sender of Graph: subscription and proof.
pub fn graph_sender(subscription: &str, proof: &[u8]) -> Key {
    key(&[b"graph", subscription.as_bytes(), proof])
}

/// A sender of Google: channel, token and resource.
pub fn google_sender(channel: &str, proof: &[u8], resource: &str) -> Key {
    key(&[b"google", channel.as_bytes(), proof, resource.as_bytes()])
}

/// A channel that is nobody's, whatever the token.
pub fn google_channel(channel: &str) -> Key {
    key(&[b"channel", channel.as_bytes()])
}

/// An address.
pub fn source_key(address: &str) -> Key {
    key(&[b"source", address.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_for_a_while_and_no_one_else_with_it() {
        let (memory, now) = (Memory::new(Duration::from_mins(1), 10), Instant::now());
        memory.remember(graph_sender("a", b"t"), now);
        assert!(memory.knows(&graph_sender("a", b"t"), now));
        for other in [graph_sender("a", b"u"), graph_sender("at", b""), google_sender("a", b"t", "")] {
            assert!(!memory.knows(&other, now));
        }
        assert!(!memory.knows(&graph_sender("a", b"t"), now + Duration::from_mins(1)));
    }

    #[test]
    fn a_flood_of_names_is_bounded() {
        let (memory, now) = (Memory::new(Duration::from_mins(1), 100), Instant::now());
        for n in 0..1000_u32 {
            memory.remember(google_channel(&n.to_string()), now);
            assert!(memory.lock().len() <= 100);
        }
    }
}
