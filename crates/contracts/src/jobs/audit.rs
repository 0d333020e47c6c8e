//! Jobs of the audit trail.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{JobPayload, Queue};

/// Names the resource key of an organization's audit jobs: one at a time.
pub fn audit_resource(company: Uuid) -> String {
    format!("audit:{company}")
}

/// Archives and purges what the organization's policies say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRetention {
    /// Say what would happen and change nothing.
    #[serde(default)]
    pub dry_run: bool,
}

impl JobPayload for RunRetention {
    const KIND: &'static str = "audit.retention";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Audit;
    const DEADLINE_SECONDS: i32 = 7200;
}

/// Judges the organization's trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyAudit {
    /// Also read every archive back.
    #[serde(default)]
    pub archives: bool,
}

impl JobPayload for VerifyAudit {
    const KIND: &'static str = "audit.verify";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Audit;
    const DEADLINE_SECONDS: i32 = 7200;
}

/// Brings an archive back into `audit_restored`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreArchive {
    /// Row of `audit_archives`.
    pub archive_id: Uuid,
}

impl JobPayload for RestoreArchive {
    const KIND: &'static str = "audit.restore";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Audit;
    const DEADLINE_SECONDS: i32 = 3600;
}

/// Destroys the keys of people who are to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EraseSubjects {
    /// Row of `audit_erasures`, which has whom and why.
    pub erasure_id: Uuid,
}

impl JobPayload for EraseSubjects {
    const KIND: &'static str = "audit.erase";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Audit;
    const DEADLINE_SECONDS: i32 = 3600;
}
