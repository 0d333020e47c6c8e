//! Ids of messages and folders in Exchange's looks: a default id changes with every move, an immutable one
//! does not.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;

use crate::rng::{hash_str, mix};

const IMMUTABLE: &str = "AAkALg";
const DEFAULT: &str = "AAMkAD";
const FOLDER: &str = "AQMkAD";

/// What a message id says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessageId {
    pub(crate) key: u64,
    /// Number of moves at the time; `None` for an immutable id.
    pub(crate) moves: Option<u32>,
}

fn encode(prefix: &str, salt: u64, key: u64, moves: u32) -> String {
    let mut bytes = [0_u8; 32];
    bytes[..8].copy_from_slice(&salt.to_be_bytes());
    bytes[8..16].copy_from_slice(&key.to_be_bytes());
    bytes[16..20].copy_from_slice(&moves.to_be_bytes());
    bytes[20..28].copy_from_slice(&mix(salt ^ key ^ u64::from(moves)).to_be_bytes());
    format!("{prefix}{}", URL_SAFE.encode(bytes))
}

fn decode(text: &str, salt: u64) -> Option<(u64, u32)> {
    let bytes = URL_SAFE.decode(text).ok().filter(|bytes| bytes.len() == 32)?;
    let word = |at: usize| bytes[at..at + 8].try_into().map(u64::from_be_bytes).ok();
    let moves = bytes[16..20].try_into().map(u32::from_be_bytes).ok()?;
    (word(0)? == salt).then_some((word(8)?, moves))
}

/// The id of a message, immutable or as of its number of moves.
pub(crate) fn message(salt: u64, key: u64, moves: u32, immutable: bool) -> String {
    if immutable { encode(IMMUTABLE, salt, key, 0) } else { encode(DEFAULT, salt, key, moves) }
}

pub(crate) fn parse_message(text: &str, salt: u64) -> Option<MessageId> {
    if let Some(rest) = text.strip_prefix(IMMUTABLE) {
        return decode(rest, salt).map(|(key, _)| MessageId { key, moves: None });
    }
    decode(text.strip_prefix(DEFAULT)?, salt).map(|(key, moves)| MessageId { key, moves: Some(moves) })
}

/// The id of a folder: it stays.
pub(crate) fn folder(salt: u64, key: u32) -> String {
    encode(FOLDER, salt, u64::from(key), 0)
}

pub(crate) fn parse_folder(text: &str, salt: u64) -> Option<u32> {
    let (key, _) = decode(text.strip_prefix(FOLDER)?, salt)?;
    u32::try_from(key).ok()
}

/// A UUID that is always the same for a name.
pub(crate) fn uuid_of(name: &str) -> String {
    let (high, low) = (hash_str(name), mix(hash_str(name) ^ 0x5a1e));
    let text = format!("{high:016x}{low:016x}");
    format!("{}-{}-4{}-8{}-{}", &text[..8], &text[8..12], &text[13..16], &text[17..20], &text[20..32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back() {
        let immutable = message(7, 9, 3, true);
        assert_eq!(parse_message(&immutable, 7), Some(MessageId { key: 9, moves: None }));
        assert_eq!(immutable, message(7, 9, 4, true));
        let by_place = message(7, 9, 3, false);
        assert_eq!(parse_message(&by_place, 7), Some(MessageId { key: 9, moves: Some(3) }));
        assert_eq!(parse_message(&by_place, 8), None, "an id is good in its mailbox only");
        assert_eq!(parse_folder(&folder(7, 2), 7), Some(2));
        assert_eq!(uuid_of("a").len(), 36);
    }
}
