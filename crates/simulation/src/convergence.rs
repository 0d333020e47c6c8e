//! Convergence: random edits on both sides under random faults; at rest both sides are equal, and every
//! edit is present or among the conflicts.
//!
//! The provider is the emulator's model, so that both speak of the same Google; which of its unverified
//! behaviours it has is thrown for each run. A run is determined by its [`Plan`]: people's actions, which faults may happen, and one seed for the
//! dice. Plans shrink: actions and kinds of faults are left out while the run still fails.

mod check;
mod dice;
mod faults;
mod marks;
mod people;
mod plan;
mod provider;
mod worker;
mod world;

pub use check::Fault as Finding;
pub use faults::{Break, Fault};
pub use plan::{Campaign, Plan, Tally, campaign, shrink};
