//! Item ids that look like SharePoint's (`01` and 32 base32 letters) and carry an arena index,
//! so that a drive of a million items needs no table from id to item.

use crate::rng::{hash_str, mix};

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const SCATTER: u32 = 0x9e37_79b1;
/// The inverse of [`SCATTER`] modulo 2^32.
const GATHER: u32 = inverse(SCATTER);
/// Length of every id.
pub(crate) const ID_LENGTH: usize = 34;

const fn inverse(odd: u32) -> u32 {
    let mut x = odd;
    let mut round = 0;
    while round < 5 {
        x = x.wrapping_mul(2_u32.wrapping_sub(odd.wrapping_mul(x)));
        round += 1;
    }
    x
}

/// The ids of one life of one drive.
#[derive(Debug, Clone)]
pub(crate) struct IdSpace {
    key: u64,
    prefix: [u8; 8],
}

impl IdSpace {
    pub(crate) fn new(drive: &str, instance: u64) -> Self {
        let mut prefix = [0; 8];
        let mut bits = hash_str(drive);
        for letter in &mut prefix {
            *letter = ALPHABET[(bits & 31) as usize];
            bits >>= 5;
        }
        Self { key: mix(hash_str(drive) ^ mix(instance)), prefix }
    }

    fn bytes(&self, index: u32) -> [u8; 15] {
        let scattered = index.wrapping_mul(SCATTER) ^ self.key as u32;
        let first = mix(self.key ^ (u64::from(index) << 20));
        let second = mix(first ^ self.key);
        let mut bytes = [0; 15];
        bytes[..4].copy_from_slice(&scattered.to_be_bytes());
        bytes[4..12].copy_from_slice(&first.to_be_bytes());
        bytes[12..].copy_from_slice(&second.to_be_bytes()[..3]);
        bytes
    }

    /// Appends the id of `index`.
    pub(crate) fn write(&self, index: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(b"01");
        out.extend_from_slice(&self.prefix);
        for group in self.bytes(index).chunks_exact(5) {
            let bits = group.iter().fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
            for place in (0..8).rev() {
                out.push(ALPHABET[((bits >> (place * 5)) & 31) as usize]);
            }
        }
    }

    pub(crate) fn text(&self, index: u32) -> String {
        let mut out = Vec::with_capacity(ID_LENGTH);
        self.write(index, &mut out);
        String::from_utf8(out).expect("base32 letters are ASCII")
    }

    /// The index inside an id of this drive; ids are case-sensitive, as Graph's are.
    pub(crate) fn parse(&self, id: &str) -> Option<u32> {
        let bytes = id.as_bytes();
        if bytes.len() != ID_LENGTH {
            return None;
        }
        let mut bits = 0_u64;
        for letter in &bytes[10..18] {
            bits = (bits << 5) | ALPHABET.iter().position(|known| known == letter)? as u64;
        }
        let scattered = (bits >> 8) as u32;
        let index = (scattered ^ self.key as u32).wrapping_mul(GATHER);
        let mut expected = Vec::with_capacity(ID_LENGTH);
        self.write(index, &mut expected);
        (expected == bytes).then_some(index)
    }

    /// The GUID that appears in the tags of an item.
    pub(crate) fn guid(&self, index: u32) -> (u64, u64) {
        let first = mix(self.key ^ 0x6775_6964 ^ (u64::from(index) << 24));
        (first, mix(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_leads_back_to_its_index() {
        let ids = IdSpace::new("b!demo", 7);
        for index in [0, 1, 2, 999, 1_000_000, u32::MAX] {
            let id = ids.text(index);
            assert_eq!(id.len(), ID_LENGTH);
            assert_eq!(ids.parse(&id), Some(index));
            assert_eq!(ids.parse(&id.to_lowercase()), None);
        }
    }

    #[test]
    fn another_life_of_the_drive_has_other_ids() {
        let id = IdSpace::new("b!demo", 7).text(3);
        assert_eq!(IdSpace::new("b!demo", 8).parse(&id), None);
        assert_eq!(IdSpace::new("b!other", 7).parse(&id), None);
    }
}
