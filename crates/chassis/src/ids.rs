//! Identifiers and random bytes.

use uuid::Uuid;

/// A new time-ordered identifier (UUID version 7, RFC 9562): index-friendly as a primary key.
pub fn new_id() -> Uuid {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that mints identifiers")]
    Uuid::now_v7()
}

/// `N` bytes of the operating system seeded generator, fit for keys, nonces and state tokens.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ordered_and_bytes_differ() {
        let first = new_id();
        let second = new_id();
        assert!(first < second, "{first} is not before {second}");
        assert_ne!(random_bytes::<32>(), random_bytes::<32>());
    }
}
