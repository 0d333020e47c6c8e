//! Names of files and folders: comparing, refusing and writing them into URLs.

use caseless::Caseless;
use unicode_normalization::UnicodeNormalization;

mod preflight;
mod segment;

pub use preflight::{MAX_DECODED_PATH, NameFault, NameRule, preflight};
pub use segment::{DecodeFault, decode_segment, encode_path, encode_segment};

/// The key under which two names are the same name for OneDrive and SharePoint, whose lookup
/// ignores case (case-sensitivity page of the OneDrive documentation): canonical caseless matching
/// of the Unicode Standard (definition D145), so that composed and decomposed accents agree too.
pub fn name_key(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    name.nfd().default_case_fold().nfc().collect()
}

/// Whether two names are one name under [`name_key`].
pub fn same_name(a: &str, b: &str) -> bool {
    a == b || name_key(a) == name_key(b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_and_composition_do_not_matter() {
        for (a, b) in [
            ("Plans", "PLANS"),
            ("\u{e9}.txt", "\u{c9}.txt"),
            ("\u{e9}.txt", "e\u{301}.txt"),
            ("Stra\u{df}e", "STRASSE"),
            (
                "\u{3a3}\u{3af}\u{3c3}\u{3c5}\u{3c6}\u{3bf}\u{3c2}",
                "\u{3c3}\u{3af}\u{3c3}\u{3c5}\u{3c6}\u{3bf}\u{3c3}",
            ),
        ] {
            assert!(same_name(a, b), "{a:?} {b:?}");
        }
        assert!(!same_name("a", "\u{e0}"));
        assert!(!same_name("01 - DCE", "01-DCE"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn normal_forms_share_a_key(name in "\\PC{0,20}") {
            let key = name_key(&name);
            prop_assert_eq!(&name_key(&name.nfc().collect::<String>()), &key);
            prop_assert_eq!(&name_key(&name.nfd().collect::<String>()), &key);
        }

        #[test]
        fn ascii_needs_no_tables(name in "[ -~]{0,20}") {
            prop_assert_eq!(name_key(&name), name.nfd().default_case_fold().nfc().collect::<String>());
        }
    }
}
