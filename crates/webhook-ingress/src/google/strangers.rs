//! Channels and tokens that are known to be nobody's: no look at the database for a while.
//!
//! A channel's row is committed before Google is asked for it, so what is unknown once stays unknown.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::message::Message;

/// How long a stranger is remembered.
const FOR: Duration = Duration::from_mins(1);
/// Strangers remembered at once: 40 bytes each.
const MAX: usize = 20_000;

/// What is strange about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stranger {
    /// The channel is nobody's, whatever the token.
    Channel,
    /// Token and resource are not the channel's.
    Token,
}

type Key = [u8; 32];

/// The negative cache; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Strangers(Arc<Mutex<HashMap<Key, Instant>>>);

impl Strangers {
    /// Whether the message was found strange within the last minute.
    pub(crate) fn known(&self, message: &Message, now: Instant) -> Option<Stranger> {
        let kept = self.lock();
        [Stranger::Channel, Stranger::Token]
            .into_iter()
            .find(|stranger| kept.get(&key(message, *stranger)).is_some_and(|until| *until > now))
    }

    /// Remembers what was found.
    pub(crate) fn remember(&self, message: &Message, stranger: Stranger, now: Instant) {
        let mut kept = self.lock();
        if kept.len() >= MAX {
            kept.retain(|_, until| *until > now);
        }
        if kept.len() >= MAX {
            // A flood of ever new names: remembering them helps nobody.
            kept.clear();
        }
        kept.insert(key(message, stranger), now + FOR);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Texts are given with their lengths, so that no two messages share a key.
fn key(message: &Message, stranger: Stranger) -> Key {
    let parts: &[&str] = match stranger {
        Stranger::Channel => &[&message.channel],
        Stranger::Token => &[&message.channel, &message.token, &message.resource],
    };
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::super::message::State;
    use super::*;

    fn message(channel: &str, token: &str) -> Message {
        Message {
            channel: channel.to_owned(),
            token: token.to_owned(),
            resource: "r".to_owned(),
            state: State::Exists,
            number: None,
            resource_uri: None,
            expiration: None,
        }
    }

    #[test]
    fn a_stranger_is_known_for_a_minute_and_no_one_else_with_it() {
        let (strangers, now) = (Strangers::default(), Instant::now());
        strangers.remember(&message("a", "t"), Stranger::Channel, now);
        strangers.remember(&message("b", "t"), Stranger::Token, now);
        assert_eq!(strangers.known(&message("a", "other"), now), Some(Stranger::Channel));
        assert_eq!(strangers.known(&message("b", "t"), now), Some(Stranger::Token));
        assert_eq!(strangers.known(&message("b", "right"), now), None);
        assert_eq!(strangers.known(&message("a", "t"), now + FOR), None);
    }

    #[test]
    fn a_flood_of_names_is_bounded() {
        let (strangers, now) = (Strangers::default(), Instant::now());
        for n in 0..MAX + 10 {
            strangers.remember(&message(&n.to_string(), ""), Stranger::Channel, now);
        }
        assert!(strangers.lock().len() <= MAX);
    }
}
