//! Placements as text, for a column of the database.
//!
//! One letter, then the parts, separated by `/`; in the parts `%` and `/` are percent-encoded.
//! `-` outside, `t/2` on track, `a/2503` AO, `c/2503/01-DCE/01 Photos` category,
//! `i/2503/01-DCE` inside, `l/2503` loose.

use std::fmt::Write;

use super::Placement;

/// A text that stands for no placement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a placement: {text:?}")]
pub struct PlacementFault {
    /// The text.
    pub text: String,
}

impl Placement {
    /// This placement as text. The form is stable, since it is stored.
    pub fn encode(&self) -> String {
        match self {
            Self::Outside => "-".to_owned(),
            Self::OnTrack { depth } => format!("t/{depth}"),
            Self::Ao { reference } => joined('a', &[reference]),
            Self::Category { reference, category, as_named } => joined('c', &[reference, category, as_named]),
            Self::Inside { reference, category } => joined('i', &[reference, category]),
            Self::AoLoose { reference } => joined('l', &[reference]),
        }
    }

    /// The placement that [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`PlacementFault`] for any other text.
    pub fn decode(text: &str) -> Result<Self, PlacementFault> {
        parsed(text).ok_or_else(|| PlacementFault { text: text.to_owned() })
    }
}

fn joined(letter: char, parts: &[&String]) -> String {
    let mut text = letter.to_string();
    for part in parts {
        text.push('/');
        for c in part.chars() {
            match c {
                '%' | '/' => {
                    // Writing into a String cannot fail.
                    let _ = write!(text, "%{:02X}", u32::from(c));
                }
                _ => text.push(c),
            }
        }
    }
    text
}

fn parsed(text: &str) -> Option<Placement> {
    let mut parts = text.split('/');
    let letter = parts.next()?;
    let parts: Vec<String> = parts.take(4).map(|part| part.replace("%2F", "/").replace("%25", "%")).collect();
    match (letter, parts.as_slice()) {
        ("-", []) => Some(Placement::Outside),
        ("t", [depth]) => depth.parse().ok().map(|depth| Placement::OnTrack { depth }),
        ("a", [reference]) => Some(Placement::Ao { reference: reference.clone() }),
        ("c", [reference, category, as_named]) => Some(Placement::Category {
            reference: reference.clone(),
            category: category.clone(),
            as_named: as_named.clone(),
        }),
        ("i", [reference, category]) => {
            Some(Placement::Inside { reference: reference.clone(), category: category.clone() })
        }
        ("l", [reference]) => Some(Placement::AoLoose { reference: reference.clone() }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn placements() -> impl Strategy<Value = Placement> {
        let text = || prop_oneof![any::<String>(), "[%/25Fa]{0,8}"];
        prop_oneof![
            Just(Placement::Outside),
            any::<usize>().prop_map(|depth| Placement::OnTrack { depth }),
            text().prop_map(|reference| Placement::Ao { reference }),
            text().prop_map(|reference| Placement::AoLoose { reference }),
            (text(), text()).prop_map(|(reference, category)| Placement::Inside { reference, category }),
            (text(), text(), text()).prop_map(|(reference, category, as_named)| Placement::Category {
                reference,
                category,
                as_named
            }),
        ]
    }

    #[test]
    fn the_stored_form_is_stable() {
        let placement = Placement::Category {
            reference: "2503/b".to_owned(),
            category: "01-DCE".to_owned(),
            as_named: "01 100%".to_owned(),
        };
        assert_eq!(placement.encode(), "c/2503%2Fb/01-DCE/01 100%25");
        for text in ["", "x", "a", "t/x", "t/-1", "i/1", "i/1/2/3", "-/", "c/1/2/3/4"] {
            assert!(Placement::decode(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]

        #[test]
        fn decode_undoes_encode(placement in placements()) {
            prop_assert_eq!(Placement::decode(&placement.encode()), Ok(placement));
        }

        #[test]
        fn no_text_panics(text in "[-taicl/%25F0-9]{0,12}") {
            let _ = Placement::decode(&text);
        }
    }
}
