//! QuickXorHash, the only content hash that OneDrive Business always gives
//! (OneDrive API docs, code-snippets/quickxorhash.md).

use std::io::{self, Read};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const WIDTH_BITS: usize = 160;
const SHIFT: usize = 11;

/// A finished hash: 20 bytes, sent as standard base64.
pub(crate) type Digest = [u8; 20];

/// A running hash: byte `i` is xored in at bit `(i * 11) mod 160`, the length into the last 8 bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct QuickXor {
    cell: Digest,
    length: u64,
    bit: usize,
}

impl QuickXor {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let index = self.bit / 8;
            let shifted = u16::from(*byte) << (self.bit % 8);
            self.cell[index] ^= shifted as u8;
            // The cell is a ring: what leaves byte 19 enters byte 0.
            self.cell[(index + 1) % 20] ^= (shifted >> 8) as u8;
            self.bit += SHIFT;
            if self.bit >= WIDTH_BITS {
                self.bit -= WIDTH_BITS;
            }
        }
        self.length += bytes.len() as u64;
    }

    pub(crate) fn finish(self) -> Digest {
        let length = self.length;
        self.finish_as_if(length)
    }

    /// The hash of what was fed, followed by NUL bytes up to `length` (a NUL changes nothing but the length).
    pub(crate) fn finish_as_if(mut self, length: u64) -> Digest {
        for (offset, byte) in length.to_le_bytes().into_iter().enumerate() {
            self.cell[12 + offset] ^= byte;
        }
        self.cell
    }
}

/// Hash of bytes in memory.
pub(crate) fn of_bytes(bytes: &[u8]) -> Digest {
    let mut hash = QuickXor::default();
    hash.update(bytes);
    hash.finish()
}

/// Hash of a file, read in pieces; also the number of bytes that were read.
pub(crate) fn of_file(path: &Path) -> io::Result<(Digest, u64)> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = QuickXor::default();
    let mut piece = vec![0_u8; 64 * 1024];
    let mut total = 0_u64;
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok((hash.finish(), total));
        }
        hash.update(&piece[..read]);
        total += read as u64;
    }
}

/// Standard base64, as Graph sends it.
pub(crate) fn encode(digest: &Digest) -> String {
    STANDARD.encode(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;

    fn pattern(name: &str, size: usize) -> Option<Vec<u8>> {
        let rule: fn(usize) -> usize = match name {
            "i%251" => |i| i % 251,
            "(i*7)%256" => |i| (i * 7) % 256,
            "(i*31+7)%256" => |i| (i * 31 + 7) % 256,
            _ => return None,
        };
        Some((0..size).map(|i| rule(i) as u8).collect())
    }

    #[test]
    fn agrees_with_rclone() {
        let folder = std::env::var("SYNCLINE_FIXTURES")
            .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/fixtures").to_owned());
        let file = Path::new(&folder).join("graph/vectors/quickxor.json");
        let Ok(text) = std::fs::read_to_string(&file) else {
            eprintln!("skipped: {} is absent (set SYNCLINE_FIXTURES)", file.display());
            return;
        };
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let vectors = document["vectors"].as_array().unwrap();
        assert!(vectors.len() >= 8);
        for vector in vectors {
            let size = vector["size"].as_u64().unwrap() as usize;
            let bytes = match vector["bytes_b64"].as_str() {
                Some(encoded) => STANDARD.decode(encoded).unwrap(),
                None => pattern(vector["generator"].as_str().unwrap(), size).expect("known generator"),
            };
            assert_eq!(
                encode(&of_bytes(&bytes)),
                vector["quickXorHash"].as_str().unwrap(),
                "{}",
                vector["name"]
            );
        }
    }

    #[test]
    fn a_tail_of_nul_bytes_needs_no_reading() {
        let mut long = b"head".to_vec();
        let mut hash = QuickXor::default();
        hash.update(&long);
        long.resize(1000, 0);
        assert_eq!(hash.finish_as_if(1000), of_bytes(&long));
    }
}
