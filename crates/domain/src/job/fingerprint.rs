//! Which failures are the same failure.

use sha2::{Digest, Sha256};

/// Characters of a message that take part; what follows is detail.
const CONSIDERED: usize = 1_000;

/// Groups failures of one cause: a short hash of the job's kind, the error's code and its message
/// without what differs from case to case (numbers, UUIDs, hexadecimal identifiers, white space).
pub fn error_fingerprint(kind: &str, code: &str, message: &str) -> String {
    let mut hash = Sha256::new();
    for part in [kind, code, &normalised(message)] {
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(&hash.finalize()[..8])
}

/// The message with every variable word replaced by `#`.
fn normalised(message: &str) -> String {
    let message: String = message.chars().take(CONSIDERED).collect();
    let mut out = String::with_capacity(message.len());
    let mut rest = message.as_str();
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = rest.trim_start();
            out.push(' ');
            continue;
        }
        if let Some(after) = skip_uuid(rest) {
            rest = after;
            out.push('#');
            continue;
        }
        if !first.is_ascii_alphanumeric() {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        push_word(&mut out, word);
        rest = after;
    }
    out.trim().to_owned()
}

/// A word of hexadecimal digits of at least eight characters is an identifier; in others only the
/// runs of digits vary.
fn push_word(out: &mut String, word: &str) {
    let hexadecimal = word.strip_prefix("0x").unwrap_or(word);
    if hexadecimal.len() >= 8 && hexadecimal.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        out.push('#');
        return;
    }
    for c in word.chars() {
        if !c.is_ascii_digit() {
            out.push(c);
        } else if !out.ends_with('#') {
            out.push('#');
        }
    }
}

/// What follows a UUID at the beginning of `text`.
fn skip_uuid(text: &str) -> Option<&str> {
    let candidate = text.get(..36)?;
    let shaped = candidate.bytes().enumerate().all(|(index, byte)| match index {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    shaped.then(|| &text[36..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_varies_is_left_out() {
        assert_eq!(
            normalised(
                "item 01ABCDEF0123 of 6b4c9b1e-6f0b-4f8e-9d53-0d9a7a3c1f10:\n  page12 after  3.5 s (0xdeadbeef)"
            ),
            "item # of #: page# after #.# s (#)"
        );
    }

    #[test]
    fn same_cause_same_fingerprint() {
        let a = error_fingerprint("documents.sync", "503", "timeout after 90 s, request abcdef01");
        let b = error_fingerprint("documents.sync", "503", "timeout after 91 s, request 1234567890");
        assert_eq!(a, b);
        assert_eq!(a.len(), 16);
        assert_ne!(a, error_fingerprint("documents.sync", "504", "timeout after 90 s, request abcdef01"));
        assert_ne!(error_fingerprint("ab", "c", ""), error_fingerprint("a", "bc", ""));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn numbers_never_matter(a: u64, b: u64, text in "\\PC{0,30}") {
            let of = |n: u64| error_fingerprint("k", "c", &format!("{text} took {n} ms"));
            prop_assert_eq!(of(a), of(b));
        }
    }
}
