//! A part of an archive: sealed records, one canonical JSON line each, compressed with zstd.

use std::io::Read;

use bytes::Bytes;
use domain::audit::Sealed;
use domain::audit::canonical::canonical;
use sha2::{Digest, Sha256};

use crate::manifest::Part;

/// zstd's own default: twice as fast as 9 for a few percent of size.
const LEVEL: i32 = 3;
/// Largest part once it is unpacked: more is no part of ours.
const MAX_RAW: u64 = 1 << 30;

/// Why a part cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PartFault {
    /// Not the bytes that the manifest names.
    #[error("the part is not what its manifest names")]
    Altered,
    /// It cannot be unpacked or read.
    #[error("the part cannot be read")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The line of a record.
///
/// # Errors
/// Never in practice: a record is plain data.
pub fn line(sealed: &Sealed) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = canonical(&serde_json::to_value(sealed)?);
    line.push(b'\n');
    Ok(line)
}

/// Packs lines.
///
/// # Errors
/// When the compressor fails.
pub fn pack(name: &str, records: u64, raw: &[u8]) -> std::io::Result<(Part, Bytes)> {
    let packed = zstd::encode_all(raw, LEVEL)?;
    let part = Part {
        name: name.to_owned(),
        records,
        raw_bytes: raw.len() as u64,
        bytes: packed.len() as u64,
        sha256: hex::encode(Sha256::digest(&packed)),
    };
    Ok((part, Bytes::from(packed)))
}

/// The lines of a part, whatever it claims to be.
///
/// # Errors
/// When it cannot be unpacked, or is larger than any part.
pub fn unpacked(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut raw = Vec::new();
    zstd::Decoder::new(packed)?.take(MAX_RAW).read_to_end(&mut raw)?;
    Ok(raw)
}

/// Unpacks a part and reads its records.
///
/// # Errors
/// [`PartFault`].
pub fn unpack(part: &Part, packed: &[u8]) -> Result<Vec<Sealed>, PartFault> {
    if hex::encode(Sha256::digest(packed)) != part.sha256 || packed.len() as u64 != part.bytes {
        return Err(PartFault::Altered);
    }
    let unreadable = |e: Box<dyn std::error::Error + Send + Sync>| PartFault::Unreadable(e);
    let mut raw = Vec::new();
    let decoder = zstd::Decoder::new(packed).map_err(|e| unreadable(e.into()))?;
    decoder.take(MAX_RAW.min(part.raw_bytes) + 1).read_to_end(&mut raw).map_err(|e| unreadable(e.into()))?;
    if raw.len() as u64 != part.raw_bytes {
        return Err(PartFault::Altered);
    }
    let lines = raw.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let records: Result<Vec<Sealed>, _> = lines.map(serde_json::from_slice).collect();
    let records = records.map_err(|e| unreadable(e.into()))?;
    if records.len() as u64 == part.records { Ok(records) } else { Err(PartFault::Altered) }
}
