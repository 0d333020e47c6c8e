//! Mailboxes: what a run reads, what a removal means, and how losses of the feed are found.
//!
//! A mailbox is a tree of folders, each with a delta feed of its own (message-delta, Graph v1.0). The walk over a
//! feed's pages is that of drives ([`crate::drive::Walk`]): it knows links, not items.

mod audit;
mod backfill;
mod fold;
#[cfg(test)]
mod model;
mod options;
mod plan;
mod round;

pub use audit::{Difference, Lookup, difference, judge, needs_listing};
pub use backfill::{Backfill, Window};
pub use fold::fold;
pub use options::MailOptions;
pub use plan::{Asked, MAX_HINTS, Plan, plan};
pub use round::FolderRound;
