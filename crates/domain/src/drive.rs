//! Microsoft drives: folding a delta feed, walking its links, and what the tree means.

mod change;
mod mass_change;
pub mod model;
mod walk;

pub use change::{ItemChange, ItemKind, fold_page};
pub use mass_change::{MassChange, MassChangeVerdict};
pub use walk::{
    AbortReason, Link, MAX_IDLE_PAGES, MAX_PAGES, MAX_RESTARTS, PageFacts, RestartReason, Walk, WalkError,
    WalkMode, WalkRequest, WalkStep,
};
