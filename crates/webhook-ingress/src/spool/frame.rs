//! One entry on the disk: length, checksum, time, payload.

/// Bytes before the payload: length and checksum (u32 each), time (i64), all little-endian.
pub(super) const HEAD: usize = 16;
/// Largest payload. A delivery has 1 MiB, and is not larger here by more than its ids.
pub(super) const MAX_PAYLOAD: usize = 4 * 1024 * 1024;

/// What stands at a place of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read<'a> {
    /// A whole entry, and how many bytes it takes.
    Entry {
        /// When it arrived, in milliseconds since 1970.
        at: i64,
        /// What was written.
        payload: &'a [u8],
        /// Bytes that it takes.
        bytes: usize,
    },
    /// More bytes are needed than there are: at least this many.
    More(usize),
    /// No entry can begin with these bytes.
    Torn,
}

/// Appends an entry to `out`.
pub(super) fn write(out: &mut Vec<u8>, at: i64, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&checksum(at, payload).to_le_bytes());
    out.extend_from_slice(&at.to_le_bytes());
    out.extend_from_slice(payload);
}

/// Reads the entry at the start of `bytes`.
pub(super) fn read(bytes: &[u8]) -> Read<'_> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { return Read::More(HEAD) };
    let number = |at: usize| [head[at], head[at + 1], head[at + 2], head[at + 3]];
    let length = u32::from_le_bytes(number(0)) as usize;
    let sum = u32::from_le_bytes(number(4));
    let mut time = [0; 8];
    time.copy_from_slice(&head[8..]);
    let at = i64::from_le_bytes(time);
    // No entry is empty: zeros, which a file system may leave behind a crash, are none.
    if length == 0 || length > MAX_PAYLOAD {
        return Read::Torn;
    }
    let Some(payload) = rest.get(..length) else { return Read::More(HEAD + length) };
    if checksum(at, payload) != sum {
        return Read::Torn;
    }
    Read::Entry { at, payload, bytes: HEAD + length }
}

fn checksum(at: i64, payload: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&at.to_le_bytes());
    sum.update(payload);
    sum.finalize()
}
