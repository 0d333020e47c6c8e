//! Dead letters: jobs that used up their attempts or cannot be understood, and messages that nobody could claim.

mod broker;
mod discard;
mod edit;
mod groups;
mod read;
mod retry;

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::jobs::JobView;

pub use broker::{BrokerLetter, discard_broker, discard_unassigned, find_broker, list_broker, unassigned};
pub use discard::discard;
pub use edit::{Edit, Editable, edit, edits, for_edit};
pub use groups::{Group, groups};
pub use read::{find, list};
pub use retry::{Retried, retry_many};

/// Which dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadFilter {
    /// Only this kind.
    pub kind: Option<String>,
    /// Only what failed for the last time since then.
    pub since: Option<DateTime<Utc>>,
    /// Only this error: its fingerprint, its code, or a part of its message in any case.
    pub error: Option<String>,
}

/// A dead job.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The job.
    pub job: JobView,
    /// Version of its payload.
    pub version: i16,
    /// When its first attempt failed.
    pub first_failed_at: Option<DateTime<Utc>>,
    /// When it was given up.
    pub last_failed_at: DateTime<Utc>,
    /// Groups equal failures.
    pub fingerprint: Option<String>,
    /// Attempts that ended without the handler's word.
    pub interruptions: i32,
    /// Who asked for the job.
    pub requested_by: Option<String>,
}

impl DeadLetter {
    /// The newest entry of its error chain.
    pub fn last_error(&self) -> Option<&Value> {
        self.job.errors.as_array()?.last()
    }

    /// Where a list goes on after it.
    pub fn key(&self) -> (DateTime<Utc>, Uuid) {
        (self.last_failed_at, self.job.id)
    }
}
