//! The signed list of an archive's parts, with where its records stand in the chain and the tree.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use domain::audit::canonical::canonical;
use domain::audit::{Hash, Position};
use outbound::audit_keys::{AuditKeys, Signature};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Form of archive that this build writes.
pub const FORMAT: &str = "syncline-audit-archive/1";
/// Name of the manifest in the archive's folder.
pub const NAME: &str = "manifest.note";
/// Longest manifest, in bytes.
const MAX_BYTES: usize = 4 << 20;

/// One object of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Name in the archive's folder.
    pub name: String,
    /// Records in it.
    pub records: u64,
    /// Bytes when unpacked.
    pub raw_bytes: u64,
    /// Bytes of the object.
    pub bytes: u64,
    /// SHA-256 of the object, in hex.
    pub sha256: String,
}

/// What an archive holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// Archive.
    pub id: Uuid,
    /// Organization.
    pub company_id: Uuid,
    /// First record.
    pub first_sequence: u64,
    /// Last record.
    pub last_sequence: u64,
    /// Chain and tree before the first record.
    pub start: Position,
    /// Chain and tree after the last one.
    pub end: Position,
    /// Root of the tree after the last one.
    pub root: Hash,
    /// Its objects, in the order of their records.
    pub parts: Vec<Part>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// Why a manifest cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ManifestFault {
    /// Not a manifest of this form.
    #[error("it is not a signed manifest")]
    Malformed,
    /// The signature is not that of the key it names.
    #[error("its signature does not hold")]
    Unsigned,
}

/// A manifest whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trusted {
    /// What it says.
    pub manifest: Manifest,
    /// Key that signed it.
    pub key_id: String,
}

impl Manifest {
    /// The signed text: one canonical JSON line, an empty one, and the signature; `None` without a signing key.
    pub fn sign(&self, keys: &AuditKeys) -> Option<String> {
        let mut body = canonical(&serde_json::to_value(self).ok()?);
        body.push(b'\n');
        let signature = keys.sign(&body)?;
        let mut bytes = signature.key_hash.to_vec();
        bytes.extend(signature.bytes);
        let body = String::from_utf8(body).ok()?;
        Some(format!("{body}\n\u{2014} {} {}\n", signature.key_id, STANDARD.encode(bytes)))
    }

    /// Reads a signed text.
    ///
    /// # Errors
    /// [`ManifestFault`].
    pub fn open(text: &str, keys: &AuditKeys) -> Result<Trusted, ManifestFault> {
        let (body, signature) = split(text).ok_or(ManifestFault::Malformed)?;
        if !keys.is_signed(body.as_bytes(), &signature) {
            return Err(ManifestFault::Unsigned);
        }
        let manifest: Manifest = serde_json::from_str(&body).map_err(|_| ManifestFault::Malformed)?;
        if manifest.format != FORMAT || manifest.end.frontier.root() != manifest.root {
            return Err(ManifestFault::Malformed);
        }
        Ok(Trusted { manifest, key_id: signature.key_id })
    }
}

impl Manifest {
    /// What a text claims, whoever signed it: for what is checked in another way. `None` when it is no manifest.
    pub fn claimed(text: &str) -> Option<Self> {
        serde_json::from_str(&split(text)?.0).ok()
    }
}

/// SHA-256 of a manifest's text.
pub fn digest(text: &str) -> Vec<u8> {
    Sha256::digest(text).to_vec()
}

fn split(text: &str) -> Option<(String, Signature)> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let (body, rest) = text.split_once("\n\n")?;
    let (key_id, encoded) = rest.strip_suffix('\n')?.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let bytes = STANDARD.decode(encoded).ok()?;
    let (key_hash, signature) = bytes.split_first_chunk::<4>()?;
    let signature =
        Signature { key_id: key_id.to_owned(), key_hash: *key_hash, bytes: signature.try_into().ok()? };
    Some((format!("{body}\n"), signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_trusted_as_it_was_signed_and_otherwise_not() {
        let keys = AuditKeys::development();
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            id: Uuid::from_u128(1),
            company_id: Uuid::from_u128(2),
            first_sequence: 1,
            last_sequence: 2,
            start: Position::default(),
            end: Position::default(),
            root: Position::default().frontier.root(),
            parts: Vec::new(),
            created_at: DateTime::UNIX_EPOCH,
        };
        let text = manifest.sign(&keys).expect("signed");
        assert_eq!(Manifest::open(&text, &keys).map(|found| found.manifest), Ok(manifest));
        let edited = text.replace("\"last_sequence\":2", "\"last_sequence\":3");
        assert_eq!(Manifest::open(&edited, &keys), Err(ManifestFault::Unsigned));
        assert_eq!(Manifest::open("{}", &keys), Err(ManifestFault::Malformed));
    }
}
