//! Which names OneDrive and SharePoint refuse, found out before asking them.

use super::name_key;

/// The longest decoded path that SharePoint takes, in UTF-16 code units.
pub const MAX_DECODED_PATH: usize = 400;

/// The rule that a name breaks (addressing-driveitems page of the OneDrive documentation and
/// SharePoint's "restrictions and limitations" page).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameRule {
    /// The name is empty, `.` or `..`.
    #[error("it is empty or a relative path")]
    Relative,
    /// A character of `" * : < > ? / \ |`.
    #[error("it contains {0:?}, which is not allowed in names")]
    Character(char),
    /// A control character.
    #[error("it contains the control character U+{:04X}", u32::from(*.0))]
    Control(char),
    /// A space at the beginning.
    #[error("it begins with a space")]
    LeadingSpace,
    /// A space at the end.
    #[error("it ends with a space")]
    TrailingSpace,
    /// A full stop at the end.
    #[error("it ends with a full stop")]
    TrailingDot,
    /// A tilde at the beginning: lock files of Office (`~$`), folders of SharePoint.
    #[error("it begins with a tilde")]
    LeadingTilde,
    /// A reserved name, also with an extension: `CON`, `LPT1.txt`, `.lock`, `desktop.ini`.
    #[error("the name is reserved")]
    Reserved,
    /// `_vti_` anywhere in the name.
    #[error("it contains _vti_")]
    Vti,
    /// `forms` at the root of a library.
    #[error("\"forms\" is reserved at the root of a library")]
    FormsAtRoot,
    /// The decoded path is longer than [`MAX_DECODED_PATH`].
    #[error("its path has {0} characters, {MAX_DECODED_PATH} are allowed")]
    PathTooLong(usize),
}

/// A name that the provider would refuse, with the rule that says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("name {name:?} is refused: {rule}")]
pub struct NameFault {
    /// The name.
    pub name: String,
    /// The rule that it breaks.
    pub rule: NameRule,
}

/// Checks a name before it is sent to the provider.
///
/// `parent_path` is the decoded path of the folder from the root of the library, empty or `/` for
/// the root itself. `#` and `%` are allowed (they were reserved on Business until 2017).
///
/// # Errors
/// The first rule that the name breaks.
pub fn preflight(name: &str, parent_path: &str) -> Result<(), NameFault> {
    match broken_rule(name, parent_path.trim_matches('/')) {
        None => Ok(()),
        Some(rule) => Err(NameFault { name: name.to_owned(), rule }),
    }
}

fn broken_rule(name: &str, parent: &str) -> Option<NameRule> {
    if matches!(name, "" | "." | "..") {
        return Some(NameRule::Relative);
    }
    if let Some(c) = name.chars().find(|c| "\"*:<>?/\\|".contains(*c)) {
        return Some(NameRule::Character(c));
    }
    if let Some(c) = name.chars().find(|c| c.is_control()) {
        return Some(NameRule::Control(c));
    }
    if name.starts_with(' ') {
        return Some(NameRule::LeadingSpace);
    }
    if name.ends_with(' ') {
        return Some(NameRule::TrailingSpace);
    }
    if name.ends_with('.') {
        return Some(NameRule::TrailingDot);
    }
    if name.starts_with('~') {
        return Some(NameRule::LeadingTilde);
    }
    let key = name_key(name);
    if reserved(&key) {
        return Some(NameRule::Reserved);
    }
    if key.contains("_vti_") {
        return Some(NameRule::Vti);
    }
    if parent.is_empty() && key == "forms" {
        return Some(NameRule::FormsAtRoot);
    }
    let slash = usize::from(!parent.is_empty());
    let length = parent.encode_utf16().count() + slash + name.encode_utf16().count();
    (length > MAX_DECODED_PATH).then_some(NameRule::PathTooLong(length))
}

/// Device names are refused with any extension too (`CON.txt`, abraunegg/onedrive#3661).
fn reserved(key: &str) -> bool {
    if matches!(key, ".lock" | "desktop.ini") {
        return true;
    }
    let stem = key.split('.').next().unwrap_or(key);
    let numbered = |device: &str| {
        stem.strip_prefix(device).is_some_and(|n| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()))
    };
    matches!(stem, "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixture;

    fn rule(name: &str) -> Option<NameRule> {
        preflight(name, "/studies").err().map(|fault| fault.rule)
    }

    #[test]
    fn published_vectors() {
        let Some(vectors) = fixture::read("graph/vectors/path_encoding.json") else { return };
        for name in vectors["invalid_names"].as_array().expect("an array") {
            let name = name.as_str().expect("a name");
            assert!(preflight(name, "").is_err(), "{name:?} must be refused");
        }
        assert_eq!(vectors["max_decoded_path"].as_u64(), u64::try_from(MAX_DECODED_PATH).ok());
    }

    #[test]
    fn unusual_but_allowed() {
        for name in [
            "100% # rev 'b'.pdf",
            "con",
            "COM10.txt",
            "console.log",
            ".htaccess",
            "a~b",
            "\u{1f4d0} plan.dwg",
            "e\u{301}",
            "forms",
        ] {
            let expected = if name == "con" { Some(NameRule::Reserved) } else { None };
            assert_eq!(rule(name), expected, "{name:?}");
        }
    }

    #[test]
    fn the_fault_names_the_rule() {
        let fault = preflight("a:b", "").expect_err("refused");
        assert_eq!(
            fault.to_string(),
            "name \"a:b\" is refused: it contains ':', which is not allowed in names"
        );
        assert_eq!(preflight("Forms", "/").expect_err("refused").rule, NameRule::FormsAtRoot);
        assert_eq!(rule("tab\there"), Some(NameRule::Control('\t')));
        assert_eq!(rule("Lpt1.pdf"), Some(NameRule::Reserved));
    }

    #[test]
    fn four_hundred_characters_fit() {
        let name = "n".repeat(MAX_DECODED_PATH - "a/b/".len());
        assert_eq!(preflight(&name, "/a/b/"), Ok(()));
        let fault = preflight(&format!("{name}n"), "a/b").expect_err("one too many");
        assert_eq!(fault.rule, NameRule::PathTooLong(401));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn no_text_panics(name in "\\PC{0,60}", parent in "\\PC{0,60}") {
            if let Err(fault) = preflight(&name, &parent) {
                prop_assert!(fault.to_string().len() > "name".len());
            }
        }
    }
}
