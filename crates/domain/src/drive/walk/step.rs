//! What goes into a walk and what comes out of it.

use serde::{Deserialize, Serialize};

use super::{Link, MAX_IDLE_PAGES, MAX_PAGES, MAX_RESTARTS};

/// How a round begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WalkMode {
    /// From the stored delta link, when there is one.
    Delta,
    /// From nothing: `force=true`, or a link that has served its time.
    Full,
}

/// A request for a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "request")]
pub enum WalkRequest {
    /// Delta on the root without a token.
    Start,
    /// A link, verbatim.
    Follow {
        /// A next link, or the delta link the round begins with.
        link: Link,
    },
    /// The fresh enumeration that a 410 named in its `Location`.
    StartAt {
        /// The URL of that header.
        location: Link,
    },
}

/// What the walk needs to know about a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageFacts {
    /// `@odata.nextLink`. It goes first should a page carry both.
    pub next_link: Option<Link>,
    /// `@odata.deltaLink`.
    pub delta_link: Option<Link>,
    /// Items of the page that the round had not stored before.
    pub novel_items: u64,
}

/// A page that did not come, after the retries of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WalkError {
    /// 410: the token is no longer known.
    Gone {
        /// The code or message that says how to resync, for the record only: our reading is the
        /// same for both, the server wins.
        instruction: Option<String>,
        /// The `Location` header.
        location: Option<Link>,
    },
    /// 404 `itemNotFound`.
    NotFound,
    /// 400 on a link that the provider issued itself.
    BadLink,
    /// A link to a host that must not see our token.
    UntrustedLink,
    /// `cannotSnapshotTree`: to be tried again later.
    CannotSnapshot,
    /// 5xx, a broken connection, a body that is no page.
    Server,
}

/// What to do after a page or an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WalkStep {
    /// Ask for the next page.
    Continue,
    /// The round is whole: store the delta link; after a full one remove what it did not see.
    Complete {
        /// The cursor of the next round.
        delta_link: Link,
        /// Whether the round enumerated everything.
        full: bool,
    },
    /// Begin again with [`Walk::next_request`](super::Walk::next_request); the generation has risen.
    Restart(RestartReason),
    /// Store the walk and ask for the same page again after a pause.
    RetryLater,
    /// Give the round up: keep the old delta link, drop the checkpoint, and report. The next round
    /// begins from the old link.
    Abort(AbortReason),
}

/// Why a round began again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum RestartReason {
    /// 410.
    #[error("the provider no longer knows the delta token ({})", .instruction.as_deref().unwrap_or("no instruction"))]
    Gone {
        /// How the provider wants it resynced.
        instruction: Option<String>,
    },
    /// The `Location` of a 410 did not work.
    #[error("the enumeration that the provider named failed")]
    LocationFailed,
    /// The stored delta link was refused.
    #[error("the stored delta link was refused")]
    StoredLinkRefused,
    /// A page in the middle of the round could not be had.
    #[error("the round broke off at page {page}")]
    BrokenRound {
        /// The page, counted from 1.
        page: u64,
    },
}

/// Why a round was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum AbortReason {
    /// A next link came twice.
    #[error("next link loop: a link came back after {pages} pages")]
    RepeatedLink {
        /// Pages of the round.
        pages: u64,
    },
    /// Pages kept coming and held nothing new.
    #[error("next link loop: {MAX_IDLE_PAGES} pages in a row held nothing new, after {pages} pages")]
    NoProgress {
        /// Pages of the round.
        pages: u64,
    },
    /// More pages than any drive has.
    #[error("more than {MAX_PAGES} pages in one round")]
    TooManyPages,
    /// A page with neither link.
    #[error("a page had neither a next link nor a delta link")]
    NoLink,
    /// The drive itself is not there.
    #[error("the drive was not found")]
    DriveNotFound,
    /// The plain enumeration was refused.
    #[error("the provider refused to enumerate the drive")]
    Refused,
    /// The provider cannot enumerate the drive at present.
    #[error("the provider cannot take a snapshot of the drive at present")]
    CannotSnapshot,
    /// The provider does not answer.
    #[error("the provider failed repeatedly")]
    Unavailable,
    /// Restarts did not help.
    #[error("given up after {MAX_RESTARTS} restarts, the last because {last}")]
    TooManyRestarts {
        /// What would have caused one more.
        last: RestartReason,
    },
}
