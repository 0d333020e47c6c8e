//! `AUDIT_HMAC_KEYS`: the keys that seal audit records and sign checkpoints and manifests.
//!
//! The first one seals and signs, all judge. A key's Ed25519 half is derived from it, so that both are replaced
//! together; [`AuditKeys::verifier_keys`] gives the public halves to those who are to judge without the secret.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chassis::config::{Env, FromEnv};
use domain::audit::checkpoint::{key_hash, parse_verifier_key, verifier_key};
use domain::audit::{ChainKey, Checkpoint, Keys, SignedNote};
use zeroize::Zeroizing;

const VARIABLE: &str = "AUDIT_HMAC_KEYS";
/// The key when none is configured outside production. Publicly known: production refuses it.
const DEVELOPMENT: (&str, [u8; 32]) = ("development", *b"syncline development audit key!!");
/// Tells the signing half from the sealing one.
const SIGNING: &[u8] = b"syncline audit signing key 1";
const MAX_ID: usize = 64;

/// Why keys cannot be used. Quotes no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditKeyFault {
    /// No key at all.
    #[error("names no key; write id:base64 with 32 random bytes, such as from `openssl rand -base64 32`")]
    Empty,
    /// An entry is not `id:base64` of 32 bytes.
    #[error(
        "entry {number} is not id:base64 of exactly 32 bytes with an id of 1 to 64 letters, digits, `-`, `_` or `.`"
    )]
    Shape {
        /// Counted from 1.
        number: usize,
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

struct Key {
    id: String,
    /// `None` for who holds the public half alone.
    chain: Option<ChainKey>,
    signer: Option<Ed25519KeyPair>,
    public: [u8; 32],
}

impl Key {
    fn new(id: &str, secret: &[u8; 32]) -> Option<Self> {
        let seed = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), SIGNING);
        let signer = Ed25519KeyPair::from_seed_unchecked(seed.as_ref()).ok()?;
        let public = signer.public_key().as_ref().try_into().ok()?;
        Some(Self { id: id.to_owned(), chain: Some(ChainKey::new(secret)), signer: Some(signer), public })
    }
}

/// The keys. `Debug` shows their ids alone.
pub struct AuditKeys {
    keys: Vec<Key>,
    /// Whether the newest checkpoint must be of the first key.
    current: bool,
}

impl fmt::Debug for AuditKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.id)).finish()
    }
}

/// A signature with the name of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Key.
    pub key_id: String,
    /// Its public half's hash, as signed notes have it.
    pub key_hash: [u8; 4],
    /// Ed25519.
    pub bytes: [u8; 64],
}

impl AuditKeys {
    /// Reads `id:base64,id:base64`.
    ///
    /// # Errors
    /// [`AuditKeyFault`].
    pub fn parse(text: &str) -> Result<Self, AuditKeyFault> {
        let mut keys: Vec<Key> = Vec::new();
        for (index, entry) in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).enumerate() {
            let shape = || AuditKeyFault::Shape { number: index + 1 };
            let (id, key) = entry.split_once(':').ok_or_else(shape)?;
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if id.is_empty() || id.len() > MAX_ID || !id.chars().all(plain) {
                return Err(shape());
            }
            let bytes = Zeroizing::new(STANDARD.decode(key).unwrap_or_default());
            let bytes = <[u8; 32]>::try_from(bytes.as_slice()).map(Zeroizing::new).map_err(|_| shape())?;
            if *bytes == DEVELOPMENT.1 {
                return Err(AuditKeyFault::Development { id: id.to_owned() });
            }
            if keys.iter().any(|known| known.id == id) {
                return Err(AuditKeyFault::Twice { id: id.to_owned() });
            }
            keys.push(Key::new(id, &bytes).ok_or_else(shape)?);
        }
        if keys.is_empty() { Err(AuditKeyFault::Empty) } else { Ok(Self { keys, current: true }) }
    }

    /// The publicly known key, for development.
    pub fn development() -> Self {
        Self { keys: Key::new(DEVELOPMENT.0, &DEVELOPMENT.1).into_iter().collect(), current: true }
    }

    /// Public halves alone, as [`AuditKeys::verifier_keys`] writes them; `None` when one is of another form.
    pub fn public(keys: &[String]) -> Option<Self> {
        let read = |text: &String| {
            let (id, public) = parse_verifier_key(text)?;
            Some(Key { id, chain: None, signer: None, public })
        };
        let keys: Option<Vec<Key>> = keys.iter().map(read).collect();
        keys.filter(|keys| !keys.is_empty()).map(|keys| Self { keys, current: false })
    }

    /// The same keys for a trail that was written down some time ago: its newest checkpoint may be of any of them.
    #[must_use]
    pub fn historic(mut self) -> Self {
        self.current = false;
        self
    }

    /// Public halves in the form of the signed-note tools, the first key's first.
    pub fn verifier_keys(&self) -> Vec<String> {
        self.keys.iter().map(|key| verifier_key(&key.id, &key.public)).collect()
    }

    /// Ids, the newest first.
    pub fn ids(&self) -> Vec<&str> {
        self.keys.iter().map(|key| key.id.as_str()).collect()
    }

    /// The key that seals.
    pub fn sealing(&self) -> Option<(&str, &ChainKey)> {
        let key = self.keys.first()?;
        Some((&key.id, key.chain.as_ref()?))
    }

    /// Signs with the first key; `None` with public halves alone.
    pub fn sign(&self, message: &[u8]) -> Option<Signature> {
        let key = self.keys.first()?;
        let bytes = key.signer.as_ref()?.sign(message).as_ref().try_into().ok()?;
        Some(Signature { key_id: key.id.clone(), key_hash: key_hash(&key.id, &key.public), bytes })
    }

    /// A checkpoint as a signed note.
    pub fn note(&self, checkpoint: Checkpoint) -> Option<SignedNote> {
        let signature = self.sign(checkpoint.body().as_bytes())?;
        let Signature { key_id, key_hash, bytes } = signature;
        Some(SignedNote { checkpoint, key_id, key_hash, signature: bytes })
    }

    /// Whether a signature is that of the key it names.
    pub fn is_signed(&self, message: &[u8], signature: &Signature) -> bool {
        self.keys.iter().find(|key| key.id == signature.key_id).is_some_and(|key| {
            key_hash(&key.id, &key.public) == signature.key_hash
                && UnparsedPublicKey::new(&ED25519, key.public).verify(message, &signature.bytes).is_ok()
        })
    }
}

impl Keys for &AuditKeys {
    fn chain_key(&self, id: &str) -> Option<&ChainKey> {
        self.keys.iter().find(|key| key.id == id)?.chain.as_ref()
    }

    fn verifies(&self, note: &SignedNote) -> bool {
        let signature =
            Signature { key_id: note.key_id.clone(), key_hash: note.key_hash, bytes: note.signature };
        self.is_signed(note.checkpoint.body().as_bytes(), &signature)
    }

    fn public_only(&self) -> bool {
        self.keys.iter().all(|key| key.chain.is_none())
    }

    fn active(&self) -> Option<&str> {
        self.keys.first().filter(|_| self.current).map(|key| key.id.as_str())
    }
}

impl FromEnv for AuditKeys {
    fn from_env(env: &mut Env) -> Self {
        let Some(source) = env.secret(VARIABLE) else {
            if env.production() {
                env.fault(
                    VARIABLE,
                    "is required in production, got nothing; write id:base64 with 32 random bytes",
                );
            }
            return Self::development();
        };
        Self::parse(source.current().expose()).unwrap_or_else(|fault| {
            env.fault(VARIABLE, fault.to_string());
            Self::development()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "k1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

    #[test]
    fn what_one_key_signs_its_public_half_verifies() {
        let keys = AuditKeys::parse(ONE).expect("keys");
        let signature = keys.sign(b"text").expect("a signature");
        let public = AuditKeys::public(&keys.verifier_keys()).expect("public halves");
        assert!(public.is_signed(b"text", &signature) && !public.is_signed(b"texts", &signature));
        assert!(public.sign(b"text").is_none() && public.sealing().is_none());
        assert!((&public).public_only() && !(&keys).public_only());
        let other = AuditKeys::parse(&ONE.replace("AQEBA", "AgEBA")).expect("keys");
        assert!(!other.is_signed(b"text", &signature), "another key of the same name");
        assert_eq!(format!("{keys:?}"), "[\"k1\"]");
    }

    #[test]
    fn wrong_keys_are_named() {
        for wrong in ["", "k1", "k1:AQ==", "k 1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="] {
            assert!(AuditKeys::parse(wrong).is_err(), "{wrong}");
        }
        let twice = format!("{ONE},{ONE}");
        assert_eq!(AuditKeys::parse(&twice).err(), Some(AuditKeyFault::Twice { id: "k1".to_owned() }));
        let known = format!("x:{}", STANDARD.encode(DEVELOPMENT.1));
        assert!(matches!(AuditKeys::parse(&known), Err(AuditKeyFault::Development { .. })));
        let mut env = Env::from_pairs([("APP_ENV", "production")]);
        AuditKeys::from_env(&mut env);
        assert!(env.finish().is_err());
    }
}
