//! Names in URLs: each segment is encoded by itself, never the whole path.

use std::string::FromUtf8Error;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Everything but RFC 3986's `pchar`, and the colon: in path addressing (`root:/a/b:/children`)
/// it ends the path.
const NOT_PCHAR: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b'@');

/// One name as a path segment. `.` and `..` come out unchanged, and URL parsers swallow them:
/// [`preflight`](super::preflight) refuses both.
pub fn encode_segment(name: &str) -> String {
    utf8_percent_encode(name, NOT_PCHAR).to_string()
}

/// Names as a path, without a leading slash (addressing-driveitems page of the OneDrive
/// documentation: `/drives/{id}/root:/{path}`).
pub fn encode_path<S: AsRef<str>>(segments: impl IntoIterator<Item = S>) -> String {
    let mut path = String::new();
    for segment in segments {
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(&encode_segment(segment.as_ref()));
    }
    path
}

/// A path segment that stands for no name.
#[derive(Debug, thiserror::Error)]
pub enum DecodeFault {
    /// A percent sign without two hexadecimal digits after it.
    #[error("stray percent sign at byte {at} of a path segment")]
    StrayPercent {
        /// Offset of the sign in bytes.
        at: usize,
    },
    /// The decoded bytes are not UTF-8.
    #[error("a path segment is not UTF-8")]
    NotUtf8(#[source] FromUtf8Error),
}

/// The name that a path segment stands for.
///
/// # Errors
/// A stray percent sign, or bytes that are not UTF-8.
pub fn decode_segment(segment: &str) -> Result<String, DecodeFault> {
    let bytes = segment.as_bytes();
    for (at, _) in segment.match_indices('%') {
        let digits = bytes.get(at + 1..at + 3).unwrap_or_default();
        if digits.len() != 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(DecodeFault::StrayPercent { at });
        }
    }
    String::from_utf8(percent_decode_str(segment).collect()).map_err(DecodeFault::NotUtf8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixture;

    #[test]
    fn published_vectors() {
        let Some(vectors) = fixture::read("graph/vectors/path_encoding.json") else { return };
        for vector in vectors["vectors"].as_array().expect("an array") {
            let path = vector["path"].as_str().expect("path");
            let expected = vector["encoded"].as_str().expect("encoded");
            // Brackets are not pchar; the vectors note that %5B and %5D mean the same.
            let expected = expected.replace('[', "%5B").replace(']', "%5D");
            let encoded = format!("/root:/{}", encode_path(path.trim_start_matches('/').split('/')));
            assert_eq!(encoded, expected, "{path}");
        }
    }

    #[test]
    fn refused_segments() {
        assert!(matches!(decode_segment("100%"), Err(DecodeFault::StrayPercent { at: 3 })));
        assert!(matches!(decode_segment("%2"), Err(DecodeFault::StrayPercent { at: 0 })));
        assert!(matches!(decode_segment("a%zz"), Err(DecodeFault::StrayPercent { at: 1 })));
        assert!(matches!(decode_segment("%ff"), Err(DecodeFault::NotUtf8(_))));
        assert_eq!(decode_segment("%2521").expect("decoded once only"), "%21");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn every_name_comes_back(chars in proptest::collection::vec(any::<char>(), 0..40)) {
            let name: String = chars.into_iter().collect();
            let encoded = encode_segment(&name);
            prop_assert!(encoded.bytes().all(|byte| {
                byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=@%".contains(&byte)
            }), "{}", encoded);
            prop_assert_eq!(decode_segment(&encoded).expect("decodes"), name);
        }
    }
}
