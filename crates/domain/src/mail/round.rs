//! One round over the feed of a folder (or of the folder tree), as it is stored after each page.

use serde::{Deserialize, Serialize};

use super::Backfill;
use crate::drive::{Link, Walk, WalkMode};

/// A round in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderRound {
    /// Where in the feed.
    pub walk: Walk,
    /// Options that the round reads with.
    pub options: String,
    /// The last page is stored and this is its delta link; what follows it may be unfinished.
    #[serde(default)]
    pub delta_link: Option<Link>,
    /// Windows that are still to be read.
    #[serde(default)]
    pub backfill: Option<Backfill>,
}

impl FolderRound {
    /// Begins a round. A delta link that was made with other options is not followed: the round enumerates.
    pub fn begin(stored: Option<(Link, String)>, options: &str, mode: WalkMode, generation: i64) -> Self {
        let link = stored.filter(|(_, made_with)| made_with == options).map(|(link, _)| link);
        Self {
            walk: Walk::begin(link, mode, generation),
            options: options.to_owned(),
            delta_link: None,
            backfill: None,
        }
    }

    /// Whether a run may go on with this round: it reads the same, and a forced run only continues an enumeration
    /// of its own (`began`: its first generation).
    pub fn resumable(&self, options: &str, mode: WalkMode, began: Option<i64>) -> bool {
        self.options == options
            && (mode == WalkMode::Delta || began.is_some_and(|began| self.walk.generation() >= began))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::WalkRequest;

    #[test]
    fn another_choice_of_what_is_read_begins_anew() {
        let stored = || Some((Link::new("d"), "a".to_owned()));
        let same = FolderRound::begin(stored(), "a", WalkMode::Delta, 1);
        assert_eq!(same.walk.next_request(), &WalkRequest::Follow { link: Link::new("d") });
        let other = FolderRound::begin(stored(), "b", WalkMode::Delta, 2);
        assert_eq!(other.walk.next_request(), &WalkRequest::Start);
        assert!(other.walk.is_full() && !same.walk.is_full());
        assert!(FolderRound::begin(stored(), "a", WalkMode::Full, 3).walk.is_full());
        assert!(same.resumable("a", WalkMode::Delta, None) && !same.resumable("b", WalkMode::Delta, None));
        assert!(!same.resumable("a", WalkMode::Full, None) && !same.resumable("a", WalkMode::Full, Some(2)));
        assert!(same.resumable("a", WalkMode::Full, Some(1)));
    }
}
