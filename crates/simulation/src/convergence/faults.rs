//! What may go wrong, and which rule may be broken on purpose.

/// A kind of fault that the world may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// The worker dies between two steps.
    Crash,
    /// Another worker takes the lease over in the middle of this one's work.
    LeaseLoss,
    /// Notifications are lost.
    PushLost,
    /// Notifications come twice, late and in another order.
    PushDisorder,
    /// 410: the token, or the page of a full enumeration, is void.
    Gone,
    /// 401.
    Unauthorized,
    /// 403 and 429.
    Throttled,
    /// 5xx or a broken connection before anything happened.
    FailsBefore,
    /// 5xx or a broken connection after it happened.
    FailsAfter,
    /// What was just inserted is not found for a while.
    Inconsistent,
    /// The provider refuses to undelete.
    NoUndelete,
    /// The application's clock is wrong, and the worker's in another way.
    Skew,
    /// People act in the middle of a worker's steps, and not only between its rounds.
    Interleaving,
    /// The provider drops tombstones when it invalidates tokens.
    Forgetful,
    /// `quotaExceeded`: the account writes nothing for hours.
    Quota,
    /// The user revokes the grant, and consents again later.
    Revoked,
}

impl Fault {
    /// All kinds.
    pub const ALL: [Self; 16] = [
        Self::Crash,
        Self::LeaseLoss,
        Self::PushLost,
        Self::PushDisorder,
        Self::Gone,
        Self::Unauthorized,
        Self::Throttled,
        Self::FailsBefore,
        Self::FailsAfter,
        Self::Inconsistent,
        Self::NoUndelete,
        Self::Skew,
        Self::Interleaving,
        Self::Forgetful,
        Self::Quota,
        Self::Revoked,
    ];
}

/// A rule that is broken on purpose, to see that the simulation notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Break {
    /// Writes carry no `If-Match`.
    NoIfMatch,
    /// The application's side does not take what the provider stored: echoes look like edits.
    NoEcho,
    /// The cursor is committed before the rows of its page.
    CursorFirst,
    /// A sweep takes every row that the last page did not show.
    SweepWithoutGeneration,
    /// No sweep after a full enumeration.
    NoSweep,
    /// Inserts carry no id of ours.
    NoMintedId,
    /// What lost a collision is not written down.
    NoConflicts,
    /// A worker that lost its lease goes on writing what it knows.
    NoFence,
    /// After `quotaExceeded`, and after the grant ended, rows are forgotten instead of parked.
    NoReplay,
}

impl Break {
    /// All rules that can be broken.
    pub const ALL: [Self; 9] = [
        Self::NoIfMatch,
        Self::NoEcho,
        Self::CursorFirst,
        Self::SweepWithoutGeneration,
        Self::NoSweep,
        Self::NoMintedId,
        Self::NoConflicts,
        Self::NoFence,
        Self::NoReplay,
    ];
}
