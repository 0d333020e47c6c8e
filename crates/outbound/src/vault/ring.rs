//! `TOKEN_ENCRYPTION_KEYS` and rings of its form: `id:base64,id:base64`; the first wraps, all unwrap.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chassis::config::{Env, FromEnv};
use zeroize::Zeroizing;

use super::cipher::{Cipher, KEY_BYTES};

const VARIABLE: &str = "TOKEN_ENCRYPTION_KEYS";
/// The key when none is configured outside production. Publicly known: production refuses it.
const DEVELOPMENT: (&str, [u8; KEY_BYTES]) = ("development", *b"syncline development key, public");
/// Longest id, in bytes.
const MAX_ID: usize = 64;
/// Tells the half that finds from the half that wraps.
const FINDING: &[u8] = b"syncline lookup key 1";

/// Why a ring cannot be used. Quotes no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RingFault {
    /// No key at all.
    #[error("names no key; write id:base64 with 32 random bytes, such as from `openssl rand -base64 32`")]
    Empty,
    /// An entry is not `id:base64`.
    #[error("entry {number} is not id:base64 with an id of 1 to 64 letters, digits, `-`, `_` or `.`")]
    Shape {
        /// Counted from 1.
        number: usize,
    },
    /// A key of another length, or not base64.
    #[error("key `{id}` is not base64 of exactly 32 bytes; make one with `openssl rand -base64 32`")]
    Key {
        /// Its id.
        id: String,
    },
    /// An id stands twice.
    #[error("key `{id}` stands twice; give each key an id of its own, for ever")]
    Twice {
        /// Its id.
        id: String,
    },
    /// The publicly known key.
    #[error("key `{id}` is the public development key; make one with `openssl rand -base64 32`")]
    Development {
        /// Its id.
        id: String,
    },
}

/// A key with its two halves.
struct Entry {
    cipher: Cipher,
    finder: hmac::Key,
}

impl Entry {
    fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        let finder = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, bytes), FINDING);
        Self { cipher: Cipher::new(bytes), finder: hmac::Key::new(hmac::HMAC_SHA256, finder.as_ref()) }
    }
}

/// The keys. `Debug` shows their ids alone.
pub struct KeyRing {
    first: (String, Entry),
    rest: Vec<(String, Entry)>,
    development: bool,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(std::iter::once(&self.first).chain(&self.rest).map(|(id, _)| id)).finish()
    }
}

impl KeyRing {
    /// Reads `id:base64,id:base64`.
    ///
    /// # Errors
    /// [`RingFault`]. The development key is refused here: it is used by leaving the variable unset.
    pub fn parse(text: &str) -> Result<Self, RingFault> {
        let mut keys: Vec<(String, Entry)> = Vec::new();
        for (index, entry) in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).enumerate() {
            let number = index + 1;
            let (id, key) = entry.split_once(':').ok_or(RingFault::Shape { number })?;
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if id.is_empty() || id.len() > MAX_ID || !id.chars().all(plain) {
                return Err(RingFault::Shape { number });
            }
            let id = id.to_owned();
            let bytes = Zeroizing::new(STANDARD.decode(key).unwrap_or_default());
            let Ok(bytes) = <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).map(Zeroizing::new) else {
                return Err(RingFault::Key { id });
            };
            if *bytes == DEVELOPMENT.1 {
                return Err(RingFault::Development { id });
            }
            if keys.iter().any(|(known, _)| *known == id) {
                return Err(RingFault::Twice { id });
            }
            keys.push((id, Entry::new(&bytes)));
        }
        let mut keys = keys.into_iter();
        let first = keys.next().ok_or(RingFault::Empty)?;
        Ok(Self { first, rest: keys.collect(), development: false })
    }

    /// The publicly known key, for development.
    pub fn development() -> Self {
        let first = (DEVELOPMENT.0.to_owned(), Entry::new(&DEVELOPMENT.1));
        Self { first, rest: Vec::new(), development: true }
    }

    /// Id of the key that wraps.
    pub fn active_id(&self) -> &str {
        &self.first.0
    }

    /// Whether this is the publicly known key.
    pub fn is_development(&self) -> bool {
        self.development
    }

    pub(super) fn active(&self) -> (&str, &Cipher) {
        (&self.first.0, &self.first.1.cipher)
    }

    pub(super) fn get(&self, id: &str) -> Option<&Cipher> {
        std::iter::once(&self.first)
            .chain(&self.rest)
            .find(|(known, _)| known == id)
            .map(|(_, key)| &key.cipher)
    }

    /// What a text is found by without being told: its HMAC with each key, the first key's first.
    pub fn finders(&self, text: &[u8]) -> Vec<[u8; 32]> {
        let all = std::iter::once(&self.first).chain(&self.rest);
        all.filter_map(|(_, key)| hmac::sign(&key.finder, text).as_ref().try_into().ok()).collect()
    }

    /// Reads the ring of a variable; the publicly known key outside production when it is not set.
    pub fn read(env: &mut Env, variable: &str) -> Self {
        let Some(source) = env.secret(variable) else {
            if env.production() {
                let hint = "is required in production, got nothing; write id:base64 with 32 random bytes";
                env.fault(variable, hint);
            }
            return Self::development();
        };
        Self::parse(source.current().expose()).unwrap_or_else(|fault| {
            env.fault(variable, fault.to_string());
            Self::development()
        })
    }
}

impl FromEnv for KeyRing {
    fn from_env(env: &mut Env) -> Self {
        Self::read(env, VARIABLE)
    }
}
