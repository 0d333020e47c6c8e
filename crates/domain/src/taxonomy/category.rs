//! Which configured category a folder stands for.

use crate::names::name_key;

pub(super) fn find<'a>(categories: &'a [String], folder_name: &str) -> Option<&'a str> {
    let key = name_key(folder_name);
    if let Some(exact) = categories.iter().find(|category| name_key(category) == key) {
        return Some(exact);
    }
    let number = leading_number(folder_name)?;
    let mut numbered = categories.iter().filter(|category| leading_number(category) == Some(number));
    match (numbered.next(), numbered.next()) {
        (Some(category), None) => Some(category),
        _ => None,
    }
}

/// The number that a name begins with, when a separator or the end follows and not another number.
fn leading_number(name: &str) -> Option<u32> {
    let name = name.trim_start();
    let digits = name.bytes().take_while(u8::is_ascii_digit).count();
    let number = name[..digits].parse().ok()?;
    let rest = &name[digits..];
    let word = rest.trim_start_matches([' ', '-', '_', '.', '\u{a0}', '\u{2013}', '\u{2014}', ')']);
    let separated = rest.is_empty() || word.len() < rest.len();
    (separated && !word.starts_with(|c: char| c.is_numeric())).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_at_a_separator() {
        for (name, number) in [
            ("01-DCE", Some(1)),
            ("1 - DCE", Some(1)),
            ("001_DCE", Some(1)),
            ("01", Some(1)),
            ("2) Etudes", Some(2)),
            ("02 \u{2013} Etudes", Some(2)),
            ("01bis-DCE", None),
            ("01.12.2024 visite", None),
            ("2024-05", None),
            ("DCE 01", None),
            ("", None),
            ("99999999999999-x", None),
        ] {
            assert_eq!(leading_number(name), number, "{name:?}");
        }
    }

    #[test]
    fn a_shared_number_names_nobody() {
        let categories = ["01-A".to_owned(), "01-B".to_owned(), "2-C".to_owned()];
        assert_eq!(find(&categories, "01-Autre"), None);
        assert_eq!(find(&categories, "01-b"), Some("01-B"));
        assert_eq!(find(&categories, "02 Divers"), Some("2-C"));
    }
}
