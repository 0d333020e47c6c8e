//! quickXorHash, the only content hash that OneDrive Personal and Business both guarantee
//! (hashes resource of the OneDrive documentation).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const BYTES: usize = 20;
const BITS: usize = BYTES * 8;
const SHIFT: usize = 11;

/// A hash in progress. Each byte is XORed into a ring of 160 bits, 11 bits further than the byte
/// before; at the end the length is XORed into the last eight bytes.
#[derive(Clone, Debug, Default)]
pub struct QuickXor {
    ring: [u8; BYTES],
    position: usize,
    length: u64,
}

impl QuickXor {
    /// The hash of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let (index, offset) = (self.position / 8, self.position % 8);
            // The byte straddles two of the ring's; the second half is empty at offset 0.
            let [low, high] = (u16::from(*byte) << offset).to_le_bytes();
            self.ring[index] ^= low;
            self.ring[(index + 1) % BYTES] ^= high;
            self.position = (self.position + SHIFT) % BITS;
        }
        self.length = self.length.wrapping_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    }

    /// The hash of all bytes added.
    pub fn finish(mut self) -> [u8; BYTES] {
        for (cell, byte) in self.ring[BYTES - 8..].iter_mut().zip(self.length.to_le_bytes()) {
            *cell ^= byte;
        }
        self.ring
    }

    /// The hash as Graph writes it in `file.hashes.quickXorHash`: standard base64.
    pub fn finish_base64(self) -> String {
        STANDARD.encode(self.finish())
    }
}

/// The quickXorHash of `bytes`, as Graph writes it.
pub fn quick_xor_hash(bytes: &[u8]) -> String {
    let mut hash = QuickXor::new();
    hash.update(bytes);
    hash.finish_base64()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixture;

    fn generated(generator: &str, size: usize) -> Vec<u8> {
        (0..size)
            .map(|i| {
                let value = match generator {
                    "i%251" => i % 251,
                    "(i*7)%256" => i * 7 % 256,
                    "(i*31+7)%256" => (i * 31 + 7) % 256,
                    other => panic!("unknown generator {other:?}"),
                };
                u8::try_from(value).expect("below 256")
            })
            .collect()
    }

    #[test]
    fn published_vectors() {
        let Some(vectors) = fixture::read("graph/vectors/quickxor.json") else { return };
        for vector in vectors["vectors"].as_array().expect("an array") {
            let bytes = match (vector["bytes_b64"].as_str(), vector["generator"].as_str()) {
                (Some(bytes), _) => STANDARD.decode(bytes).expect("base64"),
                (None, Some(generator)) => {
                    let size = vector["size"].as_u64().expect("size");
                    generated(generator, usize::try_from(size).expect("fits"))
                }
                (None, None) => panic!("a vector without bytes: {vector}"),
            };
            assert_eq!(
                vector["quickXorHash"].as_str(),
                Some(quick_xor_hash(&bytes).as_str()),
                "{}",
                vector["name"]
            );
        }
    }

    #[test]
    fn known_without_fixtures() {
        assert_eq!(quick_xor_hash(b""), "AAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        assert_eq!(quick_xor_hash(b"hello world"), "aCgDG9jwBhDc4Q1yawMZAAAAAAA=");
    }

    proptest! {
        #[test]
        fn the_split_does_not_matter(bytes in proptest::collection::vec(any::<u8>(), 0..500), at: usize) {
            let at = at % (bytes.len() + 1);
            let mut hash = QuickXor::new();
            hash.update(&bytes[..at]);
            hash.update(&bytes[at..]);
            prop_assert_eq!(hash.finish_base64(), quick_xor_hash(&bytes));
        }
    }
}
