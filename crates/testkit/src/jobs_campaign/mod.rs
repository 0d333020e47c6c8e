//! The fault campaign of the job layer: jobs that append to a table, while everything around them breaks.
//!
//! At the end every job is exactly once in the table or in the dead letters, in order per resource. A seed
//! draws the jobs and the faults; timing is the machine's, so a seed repeats what was done, not the race.

pub mod ask;
pub mod asker;
pub mod campaign;
pub mod check;
pub mod clock;
pub mod facts;
pub mod faults;
pub mod groups;
pub mod handler;
pub mod members;
pub mod payload;
pub mod tables;
pub mod tally;
pub mod worker;

pub use groups::{Outcome, Plan, run};
