//! Checkpoints: the head of a tree as a C2SP signed note (c2sp.org/tlog-checkpoint, c2sp.org/signed-note), Ed25519.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::chain::Hash;

/// Longest note that is read, in bytes.
const MAX_NOTE: usize = 4096;
/// Ed25519 in signed notes.
const ALGORITHM: u8 = 1;
/// Bytes of an Ed25519 signature.
const SIGNATURE: usize = 64;

/// Name of an organization's log; that of no organization for `None`.
pub fn origin(company: Option<Uuid>) -> String {
    company.map_or_else(|| "syncline/audit/platform".to_owned(), |id| format!("syncline/audit/{id}"))
}

/// The head of a chain and its tree at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the log.
    pub origin: String,
    /// Number of records.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
    /// Counted from 1 without gaps, so that a missing checkpoint is seen.
    pub number: u64,
    /// When it was signed.
    pub at: DateTime<Utc>,
    /// Hash of the last record; zeros before the first.
    pub head: Hash,
}

/// Why a note cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteFault {
    /// Not a note of this form.
    #[error("it is not a signed checkpoint")]
    Malformed,
}

impl Checkpoint {
    /// The text that is signed.
    pub fn body(&self) -> String {
        format!(
            "{}\n{}\n{}\nnumber {}\nat {}\nhead {}\n",
            self.origin,
            self.size,
            STANDARD.encode(self.root.0),
            self.number,
            self.at.to_rfc3339_opts(SecondsFormat::Micros, true),
            self.head
        )
    }

    fn parse(body: &str) -> Option<Self> {
        let mut lines = body.strip_suffix('\n')?.split('\n');
        let found = Self {
            origin: lines.next()?.to_owned(),
            size: lines.next()?.parse().ok()?,
            root: Hash::from_slice(&STANDARD.decode(lines.next()?).ok()?)?,
            number: lines.next()?.strip_prefix("number ")?.parse().ok()?,
            at: lines.next()?.strip_prefix("at ")?.parse().ok()?,
            head: Hash::from_hex(lines.next()?.strip_prefix("head ")?)?,
        };
        // One text per checkpoint: what does not print as it was read is refused.
        (lines.next().is_none() && found.body() == body).then_some(found)
    }
}

/// The four bytes that tell keys of the same name apart.
pub fn key_hash(name: &str, public: &[u8; 32]) -> [u8; 4] {
    let digest =
        Sha256::new().chain_update(name).chain_update([b'\n', ALGORITHM]).chain_update(public).finalize();
    [digest[0], digest[1], digest[2], digest[3]]
}

/// A verifier key as the signed-note tools write it: `name+hash+base64(1 || key)`.
pub fn verifier_key(name: &str, public: &[u8; 32]) -> String {
    let mut bytes = vec![ALGORITHM];
    bytes.extend(public);
    format!("{name}+{}+{}", hex::encode(key_hash(name, public)), STANDARD.encode(bytes))
}

/// Name and key out of [`verifier_key`]'s form; `None` when it is another.
pub fn parse_verifier_key(text: &str) -> Option<(String, [u8; 32])> {
    let mut parts = text.trim().splitn(3, '+');
    let (name, hash, key) = (parts.next()?, parts.next()?, STANDARD.decode(parts.next()?).ok()?);
    let (algorithm, public) = key.split_first()?;
    let public: [u8; 32] = public.try_into().ok()?;
    (*algorithm == ALGORITHM && hash == hex::encode(key_hash(name, &public)))
        .then(|| (name.to_owned(), public))
}

/// A checkpoint with its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    /// What was signed.
    pub checkpoint: Checkpoint,
    /// Name of the key.
    pub key_id: String,
    /// Hash of the key that the note claims.
    pub key_hash: [u8; 4],
    /// Signature.
    pub signature: [u8; SIGNATURE],
}

impl SignedNote {
    /// The note as text.
    pub fn text(&self) -> String {
        let mut signature = self.key_hash.to_vec();
        signature.extend(self.signature);
        format!("{}\n\u{2014} {} {}\n", self.checkpoint.body(), self.key_id, STANDARD.encode(signature))
    }

    /// Reads a note with one signature.
    ///
    /// # Errors
    /// [`NoteFault`] when it is not one.
    pub fn parse(text: &str) -> Result<Self, NoteFault> {
        Self::read(text).ok_or(NoteFault::Malformed)
    }

    fn read(text: &str) -> Option<Self> {
        if text.len() > MAX_NOTE {
            return None;
        }
        let (body, signatures) = text.split_once("\n\n")?;
        let checkpoint = Checkpoint::parse(&format!("{body}\n"))?;
        let line = signatures.strip_suffix('\n').filter(|line| !line.contains('\n'))?;
        let (key_id, signature) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
        let bytes = STANDARD.decode(signature).ok()?;
        let (hash, signature) = bytes.split_first_chunk::<4>()?;
        let found = Self {
            checkpoint,
            key_id: key_id.to_owned(),
            key_hash: *hash,
            signature: signature.try_into().ok()?,
        };
        (found.text() == text).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note() -> SignedNote {
        let checkpoint = Checkpoint {
            origin: origin(None),
            size: 8,
            root: Hash([7; 32]),
            number: 3,
            at: "2026-01-02T03:04:05.000006Z".parse().expect("a time"),
            head: Hash([9; 32]),
        };
        SignedNote { checkpoint, key_id: "k1".to_owned(), key_hash: [1, 2, 3, 4], signature: [5; 64] }
    }

    #[test]
    fn a_note_is_read_as_it_was_written_and_otherwise_not() {
        let text = note().text();
        assert_eq!(SignedNote::parse(&text), Ok(note()));
        assert!(text.starts_with("syncline/audit/platform\n8\nBwcH"), "{text}");
        for (from, to) in [
            ("\n8\n", "\n08\n"),
            ("\n8\n", "\n+8\n"),
            ("number", "numbers"),
            ("head ", "head  "),
            ("\u{2014}", "-"),
        ] {
            assert_eq!(
                SignedNote::parse(&text.replacen(from, to, 1)),
                Err(NoteFault::Malformed),
                "{from} as {to}"
            );
        }
        assert_eq!(SignedNote::parse(&format!("{text}x")), Err(NoteFault::Malformed));
        assert_eq!(SignedNote::parse(""), Err(NoteFault::Malformed));
    }

    #[test]
    fn verifier_keys_have_the_form_of_other_tools() {
        // The example of golang.org/x/mod/sumdb/note.
        let known = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let (name, key) = parse_verifier_key(known).expect("a key");
        assert_eq!((name.as_str(), verifier_key(&name, &key)), ("PeterNeumann", known.to_owned()));
        assert_eq!(
            parse_verifier_key("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"),
            None
        );
    }
}
