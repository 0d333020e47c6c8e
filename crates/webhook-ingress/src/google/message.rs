//! What a message says: headers alone, its body is empty.

use http::HeaderMap;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::proof::Proof;

/// Longest channel id that Google takes.
const MAX_CHANNEL: usize = 64;
/// Longest token that Google takes.
const MAX_TOKEN: usize = 256;
/// Longest of the other headers that is read.
const MAX_OTHER: usize = 2048;

/// What happened to the resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The channel begins.
    Sync,
    /// Something changed.
    Exists,
    /// The resource is gone.
    NotExists,
}

impl State {
    /// The word of `X-Goog-Resource-State`.
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Sync => "sync",
            State::Exists => "exists",
            State::NotExists => "not_exists",
        }
    }
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Id of its receipt, minted when it arrived.
    pub id: Uuid,
    /// The channel that sends it.
    pub channel: String,
    /// Digest of the token; that of the empty text when there is none.
    pub proof: Proof,
    /// Google's id of what changed.
    pub resource: String,
    /// What happened.
    pub state: State,
    /// Grows, with gaps.
    pub number: Option<i64>,
    /// Address of what changed.
    pub resource_uri: Option<String>,
    /// For people.
    pub expiration: Option<String>,
}

/// Why a request is no message of a channel.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageFault {
    /// A header that every message has.
    #[error("header {0} is missing; this is the address of Google's push channels")]
    Missing(&'static str),
    /// A header that cannot be Google's.
    #[error("header {name} has to be text of at most {longest} bytes")]
    Unreadable {
        /// Its name.
        name: &'static str,
        /// In bytes.
        longest: usize,
    },
    /// A state that no channel of events has.
    #[error("X-Goog-Resource-State is none of sync, exists, not_exists")]
    UnknownState,
}

/// Reads a message; `id` is that of its receipt.
///
/// # Errors
/// [`MessageFault`].
pub fn read(headers: &HeaderMap, id: Uuid) -> Result<Message, MessageFault> {
    let needed = |name, longest| text(headers, name, longest)?.ok_or(MessageFault::Missing(name));
    let state = match needed("x-goog-resource-state", MAX_OTHER)?.as_str() {
        "sync" => State::Sync,
        "exists" => State::Exists,
        "not_exists" => State::NotExists,
        _ => return Err(MessageFault::UnknownState),
    };
    Ok(Message {
        id,
        channel: needed("x-goog-channel-id", MAX_CHANNEL)?,
        proof: Proof::of(&text(headers, "x-goog-channel-token", MAX_TOKEN)?.unwrap_or_default()),
        resource: needed("x-goog-resource-id", MAX_OTHER)?,
        state,
        number: text(headers, "x-goog-message-number", MAX_OTHER)?.and_then(|number| number.parse().ok()),
        resource_uri: text(headers, "x-goog-resource-uri", MAX_OTHER)?,
        expiration: text(headers, "x-goog-channel-expiration", MAX_OTHER)?,
    })
}

fn text(headers: &HeaderMap, name: &'static str, longest: usize) -> Result<Option<String>, MessageFault> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    match value.to_str() {
        Ok(text) if text.len() <= longest => Ok(Some(text.to_owned()).filter(|text| !text.is_empty())),
        _ => Err(MessageFault::Unreadable { name, longest }),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn read(headers: &HeaderMap) -> Result<Message, MessageFault> {
        super::read(headers, Uuid::nil())
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header"))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn googles_headers_are_read_and_nothing_else() {
        let all = [
            ("x-goog-channel-id", "c"),
            ("x-goog-resource-id", "r"),
            ("x-goog-resource-state", "exists"),
            ("x-goog-message-number", "10"),
        ];
        let message = read(&headers(&all)).expect("a message");
        assert_eq!((message.number, message.state, message.proof), (Some(10), State::Exists, Proof::of("")));
        for missing in 0..3 {
            let mut some = all.to_vec();
            let (name, _) = some.remove(missing);
            assert_eq!(read(&headers(&some)), Err(MessageFault::Missing(name)));
        }
        let long = "c".repeat(65);
        let fault = read(&headers(&[("x-goog-channel-id", &long), all[1], all[2]]));
        assert_eq!(fault, Err(MessageFault::Unreadable { name: "x-goog-channel-id", longest: 64 }));
        // The contract of Drive: `add`, with a body.
        let fault = read(&headers(&[all[0], all[1], ("x-goog-resource-state", "add")]));
        assert_eq!(fault, Err(MessageFault::UnknownState));
    }
}
