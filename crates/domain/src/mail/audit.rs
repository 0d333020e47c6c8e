//! Removals are claims to be checked, and counts find what the feed forgot.
//!
//! With immutable ids a message that moved from A to B is reported as removed from A; one that moved on to A again
//! before the next delta call is reported as removed and never again (microsoft-graph-docs-contrib issue 72). So a
//! removed id is looked up once before anything is deleted, and a folder's stored messages are counted against the
//! provider's `totalItemCount` (pages may also be missing: microsoft-graph-docs issue 2153).

use std::collections::BTreeSet;

/// What looking a message up has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The provider knows it no longer.
    Gone,
    /// It lies in another folder now.
    Moved {
        /// That folder.
        to: String,
    },
    /// It lies where it lay.
    Stays,
}

/// Judges a look-up: `stored` and `found` are folders; a found message that does not name its folder stays.
pub fn judge(stored: Option<&str>, found: Option<Option<&str>>) -> Lookup {
    match found {
        None => Lookup::Gone,
        Some(Some(folder)) if stored != Some(folder) => Lookup::Moved { to: folder.to_owned() },
        Some(_) => Lookup::Stays,
    }
}

/// Whether the ids of a folder must be listed: the counts differ, or the provider gives none.
pub fn needs_listing(stored: i64, provider: Option<i64>) -> bool {
    provider.is_none_or(|total| total != stored)
}

/// How the stored ids of a folder differ from those that exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Exist and are not stored: to be read.
    pub missing: Vec<String>,
    /// Are stored and were not listed: to be looked up.
    pub surplus: Vec<String>,
}

/// Compares the ids of a folder.
pub fn difference(stored: &BTreeSet<String>, listed: &BTreeSet<String>) -> Difference {
    Difference {
        missing: listed.difference(stored).cloned().collect(),
        surplus: stored.difference(listed).cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn reading_and_dropping_the_difference_makes_both_equal(
            stored in proptest::collection::btree_set("[a-f]", 0..6), listed in proptest::collection::btree_set("[a-f]", 0..6),
        ) {
            let change = difference(&stored, &listed);
            let mut mended = stored.clone();
            mended.extend(change.missing);
            for id in change.surplus {
                prop_assert!(mended.remove(&id));
            }
            prop_assert_eq!(mended, listed);
        }
    }

    #[test]
    fn only_a_missing_message_is_gone() {
        assert_eq!(judge(Some("a"), None), Lookup::Gone);
        assert_eq!(judge(Some("a"), Some(Some("a"))), Lookup::Stays);
        assert_eq!(judge(Some("a"), Some(None)), Lookup::Stays);
        assert_eq!(judge(None, Some(Some("b"))), Lookup::Moved { to: "b".to_owned() });
        assert!(needs_listing(3, None) && needs_listing(3, Some(4)) && !needs_listing(3, Some(3)));
    }
}
