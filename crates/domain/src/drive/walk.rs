//! The walk over the pages of a delta round, as a state machine that is stored as a checkpoint.
//!
//! It knows links, not items: its caller stores what a page holds and this walk in one transaction,
//! and the delta link only when the walk is complete.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

mod link;
mod recover;
mod step;

pub use link::Link;
pub use step::{AbortReason, PageFacts, RestartReason, WalkError, WalkMode, WalkRequest, WalkStep};

/// Restarts that one walk is allowed before it gives up.
pub const MAX_RESTARTS: u32 = 3;

/// Pages in a row without one item that the round has not seen yet, each with a next link, before
/// the walk is taken for a loop. Single empty pages are legal (driveitem-delta, Graph v1.0).
pub const MAX_IDLE_PAGES: u32 = 50;

/// Pages of one round. At 200 items a page this is beyond the 30 million items of the largest
/// library that SharePoint allows.
pub const MAX_PAGES: u64 = 200_000;

/// Link hashes remembered; longer loops are found by their pages without novel items.
const REMEMBERED_LINKS: usize = 256;

/// One delta round of a drive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walk {
    stored_link: Option<Link>,
    request: WalkRequest,
    full: bool,
    generation: i64,
    pages: u64,
    idle_pages: u32,
    restarts: u32,
    failures: u32,
    seen_links: VecDeque<u64>,
}

impl Walk {
    /// Begins a round from the delta link of the last complete one.
    ///
    /// Without a link, and in [`WalkMode::Full`], the round enumerates everything. `generation` is
    /// the mark that the items of this round are stored with; it must be greater than
    /// [`generation`](Self::generation) of the round before.
    pub fn begin(stored_link: Option<Link>, mode: WalkMode, generation: i64) -> Self {
        let (request, full) = match (&stored_link, mode) {
            (Some(link), WalkMode::Delta) => (WalkRequest::Follow { link: link.clone() }, false),
            _ => (WalkRequest::Start, true),
        };
        Self {
            stored_link,
            request,
            full,
            generation,
            pages: 0,
            idle_pages: 0,
            restarts: 0,
            failures: 0,
            seen_links: VecDeque::new(),
        }
    }

    /// What to ask the provider next.
    pub fn next_request(&self) -> &WalkRequest {
        &self.request
    }

    /// Whether the round enumerates everything, so that at its end what it did not see is gone.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// The mark of the items of this round. It rises with each restart: what an abandoned attempt
    /// saw proves nothing about what exists.
    pub fn generation(&self) -> i64 {
        self.generation
    }

    /// Pages received since the round began or restarted.
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// Restarts up to now.
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// The delta link that the round began from, to be kept when it aborts.
    pub fn stored_link(&self) -> Option<&Link> {
        self.stored_link.as_ref()
    }

    /// Takes note of a page. Store its items and this walk together, then act on the answer.
    pub fn on_page(&mut self, page: PageFacts) -> WalkStep {
        self.pages = self.pages.saturating_add(1);
        self.failures = 0;
        match (page.next_link, page.delta_link) {
            (Some(next), _) => self.follow(next, page.novel_items),
            (None, Some(delta_link)) => WalkStep::Complete { delta_link, full: self.full },
            (None, None) => WalkStep::Abort(AbortReason::NoLink),
        }
    }

    fn follow(&mut self, next: Link, novel_items: u64) -> WalkStep {
        self.idle_pages = if novel_items == 0 { self.idle_pages.saturating_add(1) } else { 0 };
        let hash = next.hash();
        if self.seen_links.contains(&hash) {
            return WalkStep::Abort(AbortReason::RepeatedLink { pages: self.pages });
        }
        if self.idle_pages >= MAX_IDLE_PAGES {
            return WalkStep::Abort(AbortReason::NoProgress { pages: self.pages });
        }
        if self.pages >= MAX_PAGES {
            return WalkStep::Abort(AbortReason::TooManyPages);
        }
        if self.seen_links.len() == REMEMBERED_LINKS {
            self.seen_links.pop_front();
        }
        self.seen_links.push_back(hash);
        self.request = WalkRequest::Follow { link: next };
        WalkStep::Continue
    }
}

#[cfg(test)]
mod tests;
