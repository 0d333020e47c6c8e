//! Jobs of the document sync.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{JobPayload, Queue};

/// How much of a drive to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncMode {
    /// From the stored delta link; a full enumeration when there is none.
    Delta,
    /// Complete enumeration, reconciled by set difference.
    Full,
}

/// What asked for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The cron schedule.
    Schedule,
    /// A notification of the provider.
    Webhook,
    /// An operator, over REST or CLI.
    Manual,
    /// The periodic sweep that finds what notifications missed.
    Sweep,
}

impl Trigger {
    /// Name in `sync_history.triggered_by`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Trigger::Schedule => "schedule",
            Trigger::Webhook => "webhook",
            Trigger::Manual => "manual",
            Trigger::Sweep => "sweep",
        }
    }
}

/// Brings the index of one drive up to date and derives the documents of all its AOs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncDrive {
    /// Graph drive id.
    pub drive_id: String,
    /// How much to read.
    pub mode: SyncMode,
    /// What asked for the run.
    pub trigger: Trigger,
    /// Report what would change and write nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// A person approved the removal of this many documents (mass-change breaker).
    #[serde(default)]
    pub approved_removals: Option<i64>,
}

impl JobPayload for SyncDrive {
    const KIND: &'static str = "documents.sync_drive";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Documents;
    const MAX_ATTEMPTS: i32 = 10;
    const DEADLINE_SECONDS: i32 = 6 * 3600;
}

/// Synchronises one AO (`POST /api/sync/onedrive/{aoId}`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncAo {
    /// `aos.id`, such as `ao-2503`.
    pub ao_id: String,
    /// Bypass caches and delta link and reconcile by set difference.
    pub force: bool,
    /// What asked for the run.
    pub trigger: Trigger,
    /// Report what would change and write nothing.
    #[serde(default)]
    pub dry_run: bool,
}

impl JobPayload for SyncAo {
    const KIND: &'static str = "documents.sync_ao";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Documents;
    const MAX_ATTEMPTS: i32 = 10;
    const DEADLINE_SECONDS: i32 = 1800;
}

/// Creates, adopts or renews the push subscription of one drive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnsureDriveSubscription {
    /// Graph drive id.
    pub drive_id: String,
}

impl JobPayload for EnsureDriveSubscription {
    const KIND: &'static str = "maintenance.ensure_drive_subscription";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Maintenance;
    const MAX_ATTEMPTS: i32 = 8;
    const DEADLINE_SECONDS: i32 = 60;
}

/// Resource key under which all work on one drive is serialised.
pub fn drive_resource(drive_id: &str) -> String {
    format!("drive:{drive_id}")
}

/// Batch id of jobs enqueued by one request.
pub type BatchId = Uuid;
