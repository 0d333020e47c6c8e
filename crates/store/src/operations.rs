//! Retry-all as an operation: its plan, its waves, its items. What to do next is decided by `domain::wave`; here are
//! the facts for it and the statements that carry it out.

mod items;
mod plan;
mod purge;
mod read;
mod steps;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::dead_letters::DeadFilter;

pub use items::{Item, ItemFilter, items};
pub use plan::{NewOperation, Planned, Started, cancel, plan, running_with, start};
pub use purge::purge;
pub use read::{Counts, GroupCount, find, groups, list};
pub use steps::{
    Stopped, begin_wave, enqueue_step, finish, hold, progress, release, settle, settled, stop, wave_age,
};

/// Results that an item can have.
pub const RESULTS: [&str; 11] = [
    "planned",
    "retried",
    "failing",
    "succeeded",
    "failed_again",
    "parked",
    "cancelled",
    "coalesced",
    "skipped",
    "returned",
    "unknown",
];

/// An operation as people see it.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Id.
    pub id: Uuid,
    /// `planned`, `running`, `succeeded`, `aborted` or `cancelled`.
    pub state: String,
    /// What was asked for: kind, since, error, limit.
    pub filter: Value,
    /// Dead letters of the plan.
    pub planned: i32,
    /// Of them taken by waves so far.
    pub taken: i32,
    /// Waves begun.
    pub wave: i32,
    /// Size of the current wave.
    pub wave_size: i32,
    /// Who asked.
    pub requested_by: String,
    /// Why.
    pub reason: Option<String>,
    /// Why it ended before its end.
    pub ended_because: Option<String>,
    /// Planned at.
    pub created_at: DateTime<Utc>,
    /// Started at.
    pub started_at: Option<DateTime<Utc>>,
    /// Nothing is retried any more since.
    pub ended_at: Option<DateTime<Utc>>,
    /// Everything that was retried has ended since.
    pub settled_at: Option<DateTime<Utc>>,
}

impl DeadFilter {
    /// The filter as an operation stores it.
    pub(crate) fn stored(&self, limit: Option<i32>) -> Value {
        json!({ "kind": self.kind, "since": self.since, "error": self.error, "limit": limit })
    }
}
