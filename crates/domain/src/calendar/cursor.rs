//! Where a calendar's synchronisation stands: a full enumeration or the changes since a token.
//!
//! The cursor is stored in the transaction that stores the page it covers, and nowhere else. Its key is
//! (tenant, connection, calendar, [`Parameters::hash`]): the provider's token is bound to all of them.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::drive::{MassChange, MassChangeVerdict};

#[cfg(test)]
mod tests;

/// Pages of one round, after which it is taken for endless. A page may be empty, so this is high.
pub const MAX_PAGES: u32 = 100_000;
/// Rounds that may start from scratch one after the other without any that completes.
pub const MAX_RESTARTS: u32 = 3;

/// The query parameters that a token is bound to, besides user and calendar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    /// Always false: an expanded series cannot be written back.
    pub single_events: bool,
    /// Always true: deletions are told, not guessed.
    pub show_deleted: bool,
    /// The event types asked for; all when empty.
    pub event_types: Vec<String>,
    /// A change of what a stored row means; raising it reads everything anew.
    pub version: u32,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { single_events: false, show_deleted: true, event_types: Vec::new(), version: 1 }
    }
}

impl Parameters {
    /// The parameters' part of the cursor's key: 16 hexadecimal digits.
    pub fn hash(&self) -> String {
        let mut types = self.event_types.clone();
        types.sort();
        let text =
            format!("{}|{}|{}|{}", self.single_events, self.show_deleted, types.join(","), self.version);
        hex::encode(&Sha256::digest(text)[..8])
    }
}

/// The position of a round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Round {
    /// Everything is enumerated; what carries an older generation afterwards is gone.
    Full {
        /// The next page; `None` for the first.
        page: Option<String>,
    },
    /// Changes since a token.
    Incremental {
        /// The token.
        token: String,
        /// The next page; `None` for the first.
        page: Option<String>,
    },
}

/// A stored cursor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The number of the current or last full round, from 1. Rows carry the one in which they were seen.
    pub generation: u64,
    /// The position.
    pub round: Round,
    /// Whether any full round has completed: before, nothing may be exported.
    pub bootstrapped: bool,
    /// Pages of the current round so far.
    pub pages: u32,
    /// Full rounds in a row that started anew without one that completed.
    pub restarts: u32,
}

/// What to ask the provider for. At most one page token and one sync token, both together inside an
/// incremental round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `syncToken`.
    pub sync_token: Option<String>,
    /// `pageToken`.
    pub page_token: Option<String>,
}

/// The provider's answer, without its items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// A page.
    Page {
        /// `nextPageToken`.
        next_page: Option<String>,
        /// `nextSyncToken`.
        next_token: Option<String>,
    },
    /// 410 `fullSyncRequired`, or 400 "Invalid sync token value": the token is worth nothing.
    TokenRefused,
    /// 410 `updatedMinTooLongAgo`: not about the token; a query of ours is wrong.
    WindowRefused,
    /// 404, or 410 `deleted`: the calendar is no longer there for us.
    CalendarGone,
}

/// What a page did to the round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Another page follows.
    More,
    /// The changes are complete.
    Complete,
    /// The enumeration is complete: sweep what carries a lower generation than this.
    Sweep(u64),
    /// The token is void: everything is read again, from the first page.
    Restarted,
    /// The calendar is gone; its rows stay as they are.
    CalendarGone,
}

/// An answer that no correct provider gives. The cursor has not moved.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// Taking it for the end would freeze the calendar silently.
    #[error("page {0} has neither a next page nor a sync token")]
    NoToken(u32),
    /// One of them must be wrong.
    #[error("page {0} has both a next page and a sync token")]
    BothTokens(u32),
    /// The same page is told to follow itself, or there is no end.
    #[error("the pages do not end: page {0} leads to {1:?}")]
    PageLoop(u32, String),
    /// Every fresh enumeration is refused.
    #[error("{0} enumerations in a row were refused before one completed")]
    Restarts(u32),
    /// We never ask with `updatedMin`.
    #[error("the provider refused a time window that was not asked for (updatedMinTooLongAgo)")]
    Window,
}

impl Default for Cursor {
    fn default() -> Self {
        Self { generation: 1, round: Round::Full { page: None }, bootstrapped: false, pages: 0, restarts: 0 }
    }
}

impl Cursor {
    /// What to ask for next.
    pub fn request(&self) -> Request {
        match &self.round {
            Round::Full { page } => Request { sync_token: None, page_token: page.clone() },
            Round::Incremental { token, page } => {
                Request { sync_token: Some(token.clone()), page_token: page.clone() }
            }
        }
    }

    /// Whether the current round enumerates everything.
    pub fn is_full(&self) -> bool {
        matches!(self.round, Round::Full { .. })
    }

    /// Starts a full round, at an operator's wish or because the token is void.
    pub fn restart(&mut self) {
        self.generation += 1;
        self.round = Round::Full { page: None };
        self.pages = 0;
    }

    /// Moves on by an answer. Store the cursor together with the items of the page.
    ///
    /// # Errors
    /// The answer is impossible; nothing was changed, and the page must not be stored.
    pub fn step(&mut self, listed: Listed) -> Result<Progress, CursorError> {
        match listed {
            Listed::Page { next_page: Some(_), next_token: Some(_) } => {
                Err(CursorError::BothTokens(self.pages))
            }
            Listed::Page { next_page: None, next_token: None } => Err(CursorError::NoToken(self.pages)),
            Listed::Page { next_page: Some(next), next_token: None } => self.turn(next),
            Listed::Page { next_page: None, next_token: Some(token) } => Ok(self.complete(token)),
            Listed::TokenRefused if self.restarts >= MAX_RESTARTS => {
                Err(CursorError::Restarts(self.restarts))
            }
            Listed::TokenRefused => {
                self.restarts += 1;
                self.restart();
                Ok(Progress::Restarted)
            }
            Listed::WindowRefused => Err(CursorError::Window),
            Listed::CalendarGone => Ok(Progress::CalendarGone),
        }
    }

    fn turn(&mut self, next: String) -> Result<Progress, CursorError> {
        let (Round::Full { page } | Round::Incremental { page, .. }) = &mut self.round;
        if page.as_ref() == Some(&next) || self.pages >= MAX_PAGES {
            return Err(CursorError::PageLoop(self.pages, next));
        }
        *page = Some(next);
        self.pages += 1;
        Ok(Progress::More)
    }

    fn complete(&mut self, token: String) -> Progress {
        let full = self.is_full();
        self.round = Round::Incremental { token, page: None };
        self.pages = 0;
        self.restarts = 0;
        self.bootstrapped = true;
        if full { Progress::Sweep(self.generation) } else { Progress::Complete }
    }
}

/// Whether a sweep of `would_delete` of `existing` linked rows may run, by the same rule that keeps a
/// drive from being emptied. A parked sweep leaves its rows with their old generation, so that an
/// approval repeats it without another enumeration.
pub fn sweep_verdict(
    limits: &MassChange,
    existing: u64,
    would_delete: u64,
    approved: bool,
) -> MassChangeVerdict {
    limits.verdict(existing, would_delete, approved)
}
