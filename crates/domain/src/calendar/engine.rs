//! Decides what to write and what to call. No I/O: the caller brings facts and carries out answers.
//!
//! One event's life in the caller's hands:
//!
//! 1. [`push`] says what the provider has to be told, and prepares the row (mints an id, notes what will
//!    be sent). **Commit the row, then call.** A crash in between is repaired by the next [`push`].
//! 2. [`conclude`] takes the row *as it is by then* and the answer. Commit the row, its conflicts and its
//!    cascade in one transaction, then do what [`Next`] says.
//! 3. [`pull`] takes an event that a page of changes brought. Commit rows and cursor in one transaction.
//!
//! All three run under the calendar's lease, and their transactions check its fence.
//!
//! # Rules
//!
//! * *Base.* [`Base`] is the provider's state that was seen last. What the application has to say is the
//!   difference between its own side and the base, so that a pull is a rebase: merge, then take the
//!   provider's state as the new base.
//! * *Echo.* The answer of a write is its own echo, compared with what was sent modulo normalisation, and
//!   the application's side takes the stored form. Every later sight of the same etag changes nothing.
//! * *Ambiguity.* An answer that never came is resolved by looking, under the id or with the etag that the
//!   row already holds. [`Sent`] tells a write of ours from somebody else's.
//! * *Deletion against an unseen edit* follows the collision policy. With "newest wins" a deletion loses
//!   only to an edit that is provably later: an undated tombstone wins. The loser is kept either way.
//!   Deleting a series deletes its exceptions, also those that nobody has seen yet.
//! * *Reviving* an event first undeletes it; where the provider refuses, a new incarnation is inserted,
//!   since a deleted id is never free again.
//! * *Loops.* After [`MAX_WRITES`] writes for one revision of the application the row is parked.

mod conclude;
mod known;
mod pull;
mod push;
mod row;
#[cfg(test)]
mod tests;

pub use conclude::{Answer, Conclusion, Next, conclude};
pub use known::{Match, matches, may_link};
pub use pull::{Cascade, Pulled, Sight, adopt, orphaned, pull, redundant, series_ended, sweep};
pub use push::{Call, Plan, Why, push};
pub use row::{Base, Cause, Direction, Link, Place, Row, Sent, Setting, Updates};

/// Writes for one revision of the application's row, after which it is parked as a loop.
pub const MAX_WRITES: u32 = 3;
/// Answers "not found" about an event that existed, before it is believed: the provider is eventually
/// consistent after a write.
pub const MAX_MISSING: u32 = 3;
