//! Jobs that keep the platform tidy and fan scheduled work out.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{JobPayload, Queue, Trigger};

/// Enqueues one delta run per active drive of the company (cron schedule, and the floor under
/// the notifications).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepDrives {
    /// What the runs are recorded as.
    pub trigger: Trigger,
}

impl JobPayload for SweepDrives {
    const KIND: &'static str = "maintenance.sweep_drives";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Maintenance;
}

/// Drops finished-job partitions and old tombstones of the company.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurgeFinished {
    /// Age in days after which a tombstoned document row leaves.
    pub tombstone_days: i32,
}

impl JobPayload for PurgeFinished {
    const KIND: &'static str = "maintenance.purge_finished";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Maintenance;
}

/// One step of an operation that retries many dead letters; it enqueues the next one itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryDeadLetters {
    /// Row of `operations`.
    pub operation_id: Uuid,
}

impl JobPayload for RetryDeadLetters {
    const KIND: &'static str = "maintenance.retry_dead_letters";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Maintenance;
    // A step that fails blocks nobody but its operation, and a database that was away comes back.
    const MAX_ATTEMPTS: i32 = 20;
}
