//! Name rules of OneDrive and SharePoint, and the case-insensitive order of names.

use std::cmp::Ordering;

/// Longest decoded path, in characters, that SharePoint takes.
pub(crate) const MAX_PATH: usize = 400;

/// Compares as the path lookup of the service does: case does not count.
pub(crate) fn compare(left: &str, right: &str) -> Ordering {
    if left.is_ascii() && right.is_ascii() {
        return left
            .bytes()
            .map(|byte| byte.to_ascii_lowercase())
            .cmp(right.bytes().map(|byte| byte.to_ascii_lowercase()));
    }
    left.chars().flat_map(char::to_lowercase).cmp(right.chars().flat_map(char::to_lowercase))
}

/// Why the service refuses `name` in a library, or `None` when it takes it.
///
/// Business rules: OneDrive API docs, addressing-driveitems.md and "restrictions and limitations".
pub(crate) fn refusal(name: &str, is_folder: bool, parent_is_root: bool) -> Option<&'static str> {
    if name.is_empty() {
        return Some("the name is empty");
    }
    if name.chars().any(|c| "\"*:<>?/\\|".contains(c) || c.is_control()) {
        return Some("one or more invalid characters are present in the name");
    }
    if name.starts_with(' ') || name.ends_with(' ') {
        return Some("the name begins or ends with a space");
    }
    if name.ends_with('.') {
        return Some("the name ends with a full stop");
    }
    if name.starts_with("~$") || (is_folder && name.starts_with('~')) {
        return Some("the name begins with a tilde");
    }
    let lower = name.to_lowercase();
    if lower == ".lock" || lower == "desktop.ini" || lower.contains("_vti_") {
        return Some("the name is reserved");
    }
    // Reserved with any extension too (CON.txt), as observed.
    let stem = lower.split('.').next().unwrap_or_default();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix).is_some_and(|rest| rest.len() == 1 && rest.as_bytes()[0].is_ascii_digit())
    };
    if matches!(stem, "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt") {
        return Some("the name is reserved");
    }
    if parent_is_root && lower == "forms" {
        return Some("the name is reserved at the root of a library");
    }
    None
}

/// The name that `conflictBehavior=rename` gives at the `n`th try: `plan.pdf` becomes `plan 1.pdf`.
pub(crate) fn numbered(name: &str, n: u32, is_folder: bool) -> String {
    match name.rfind('.') {
        Some(dot) if dot > 0 && !is_folder => format!("{} {n}{}", &name[..dot], &name[dot..]),
        _ => format!("{name} {n}"),
    }
}

/// The media type by extension, as the service guesses it.
pub(crate) fn mime_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let is = |wanted: &str| extension.eq_ignore_ascii_case(wanted);
    if is("pdf") {
        "application/pdf"
    } else if is("docx") {
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    } else if is("xlsx") {
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    } else if is("png") {
        "image/png"
    } else if is("jpg") || is("jpeg") {
        "image/jpeg"
    } else if is("txt") {
        "text/plain"
    } else if is("csv") {
        "text/csv"
    } else if is("json") {
        "application/json"
    } else if is("zip") {
        "application/zip"
    } else {
        "application/octet-stream"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_the_service_refuses() {
        for name in [
            "a\"b",
            "a*b",
            "a:b",
            "a<b",
            "a>b",
            "a?b",
            "a/b",
            "a\\b",
            "a|b",
            " leading",
            "trailing ",
            "trailing.",
            "~$lock.docx",
            ".lock",
            "CON",
            "nul",
            "COM0",
            "LPT9",
            "con.txt",
            "_vti_x",
            "desktop.ini",
        ] {
            assert!(refusal(name, false, false).is_some(), "{name:?}");
        }
        assert!(refusal("~folder", true, false).is_some());
        assert!(refusal("Forms", true, true).is_some());
        assert!(refusal("Forms", true, false).is_none());
        for name in ["plan #2 100%.pdf", "l'été.txt", "📐.png", "COM10", "console.txt", "~notes.txt"] {
            assert_eq!(refusal(name, false, false), None, "{name:?}");
        }
    }

    #[test]
    fn case_does_not_count() {
        assert_eq!(compare("Plans", "PLANS"), Ordering::Equal);
        assert_eq!(compare("é.txt", "É.TXT"), Ordering::Equal);
        // Composed and decomposed spellings are two names.
        assert_ne!(compare("\u{e9}.txt", "e\u{301}.txt"), Ordering::Equal);
    }
}
