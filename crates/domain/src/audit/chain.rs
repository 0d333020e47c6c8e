//! The chain: each record's HMAC covers the one before it.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::Sha256;

/// 32 bytes, written in hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Of exactly 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Of 64 hex digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        hex::decode(text).ok().and_then(|bytes| Self::from_slice(&bytes))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_hex(&text).ok_or_else(|| de::Error::custom("not 64 hex digits"))
    }
}

/// A key of the chain, ready to use; `Debug` shows nothing of it.
#[derive(Clone)]
pub struct ChainKey(Hmac<Sha256>);

impl fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl ChainKey {
    /// A key of 32 bytes.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(Hmac::new(&(*bytes).into_key()))
    }
}

/// A key of 32 bytes, as HMAC takes it: filled with zeros to the block size (RFC 2104).
trait IntoKey {
    fn into_key(self) -> hmac::digest::Key<Hmac<Sha256>>;
}

impl IntoKey for [u8; 32] {
    fn into_key(self) -> hmac::digest::Key<Hmac<Sha256>> {
        let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
        block[..self.len()].copy_from_slice(&self);
        block
    }
}

/// `HMAC(key, previous || sequence || record)`; the sequence as eight bytes, most significant first.
pub fn link(key: &ChainKey, previous: &Hash, sequence: u64, record: &[u8]) -> Hash {
    let mut mac = key.0.clone();
    mac.update(&previous.0);
    mac.update(&sequence.to_be_bytes());
    mac.update(record);
    Hash(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_hmac_sha_256() {
        // python3: hmac.new(b"k"*32, bytes(32) + (1).to_bytes(8, "big") + b"{}", "sha256").hexdigest()
        let found = link(&ChainKey::new(b"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"), &Hash::default(), 1, b"{}");
        assert_eq!(found.to_string(), "3a40e987b6693ada104ac389a5b65691ccbf3efe978432dc3fc70279058f0bf8");
        assert_eq!(format!("{:?}", ChainKey::new(&[1; 32])), "[redacted]");
    }
}
