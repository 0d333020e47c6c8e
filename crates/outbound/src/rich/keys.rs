//! `GRAPH_NOTIFICATION_KEYS`: the private keys of our encryption certificates, each under the id that the subscription
//! gave it (`encryptionCertificateId`). Keep an old key until no subscription names it.

use std::fmt;

use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::RichFault;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
/// Longest id (subscription resource, Graph v1.0).
const MAX_ID: usize = 128;
/// Sizes of a certificate's key that Graph takes, in bits.
const BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// Why keys cannot be used. Quotes no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysFault {
    /// No key at all.
    #[error(
        "names no key; write id:base64 of an unencrypted PKCS#8 key, or `id: name` lines each before a PEM block"
    )]
    Empty,
    /// An entry without an id.
    #[error(
        "key {number} has no id of 1 to 128 characters; it is the subscription's encryptionCertificateId"
    )]
    NoId {
        /// Counted from 1.
        number: usize,
    },
    /// Not an RSA key that Graph would take.
    #[error(
        "key `{id}` is no unencrypted PKCS#8 RSA key of 2048 to 4096 bits; make one with `openssl genpkey -algorithm RSA`"
    )]
    Key {
        /// Its id.
        id: String,
    },
    /// An id stands twice.
    #[error("key `{id}` stands twice; give each certificate an id of its own")]
    Twice {
        /// Its id.
        id: String,
    },
}

/// The keys. `Debug` shows their ids alone.
pub struct NotificationKeys(Vec<(String, OaepPrivateDecryptingKey)>);

impl fmt::Debug for NotificationKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(id, _)| id)).finish()
    }
}

impl NotificationKeys {
    /// Reads `id:base64,id:base64` (PKCS#8 in DER), or PEM blocks each after a line `id: name`.
    ///
    /// # Errors
    /// [`KeysFault`].
    pub fn parse(text: &str) -> Result<Self, KeysFault> {
        let entries = if text.contains(BEGIN) { pem(text) } else { compact(text) };
        let mut keys: Vec<(String, OaepPrivateDecryptingKey)> = Vec::new();
        for (index, (id, body)) in entries.into_iter().enumerate() {
            if !(1..=MAX_ID).contains(&id.len()) {
                return Err(KeysFault::NoId { number: index + 1 });
            }
            if keys.iter().any(|(known, _)| *known == id) {
                return Err(KeysFault::Twice { id });
            }
            let key = key(&body).ok_or_else(|| KeysFault::Key { id: id.clone() })?;
            keys.push((id, key));
        }
        if keys.is_empty() { Err(KeysFault::Empty) } else { Ok(Self(keys)) }
    }

    /// No key: everything encrypted is refused.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    pub(super) fn unwrap(&self, id: &str, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, RichFault> {
        let (_, key) = self.0.iter().find(|(known, _)| known == id).ok_or(RichFault::UnknownCertificate)?;
        let mut out = Zeroizing::new(vec![0; key.min_output_size()]);
        let length =
            key.decrypt(&OAEP_SHA1_MGF1SHA1, wrapped, &mut out, None).map_err(|_| RichFault::Key)?.len();
        out.truncate(length);
        Ok(out)
    }
}

fn key(base64: &str) -> Option<OaepPrivateDecryptingKey> {
    let der = Zeroizing::new(STANDARD.decode(base64).ok()?);
    let key = PrivateDecryptingKey::from_pkcs8(&der).ok()?;
    if !BITS.contains(&key.key_size_bits()) {
        return None;
    }
    OaepPrivateDecryptingKey::new(key).ok()
}

/// An id may hold colons; base64 holds none.
fn compact(text: &str) -> Vec<(String, Zeroizing<String>)> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let (id, body) = entry.rsplit_once(':').unwrap_or(("", entry));
            (id.trim().to_owned(), Zeroizing::new(body.to_owned()))
        })
        .collect()
}

fn pem(text: &str) -> Vec<(String, Zeroizing<String>)> {
    let mut found = Vec::new();
    let mut id = String::new();
    let mut body: Option<Zeroizing<String>> = None;
    for line in text.lines().map(str::trim) {
        match (&mut body, line) {
            (None, BEGIN) => body = Some(Zeroizing::new(String::with_capacity(4096))),
            (None, other) => {
                if let Some(name) = other.strip_prefix("id:") {
                    name.trim().clone_into(&mut id);
                }
            }
            (Some(_), END) => found.extend(body.take().map(|body| (std::mem::take(&mut id), body))),
            (Some(body), part) => body.push_str(part),
        }
    }
    found
}
