//! The nightly jobs of the calendar seed, over what every provider has.

use serde::{Deserialize, Serialize};

use super::{JobPayload, Queue};

/// Removes what the company's queues have done with: answered notifications and remembered answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CleanQueue {
    /// Age in days after which they leave.
    pub days: i32,
}

impl JobPayload for CleanQueue {
    const KIND: &'static str = "maintenance.clean_queue";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Maintenance;
    const DEADLINE_SECONDS: i32 = 1800;
}

/// Renews the push channels of the company that end soon, and asks for those that are missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenewChannels {
    /// A channel that ends within this many hours is renewed.
    pub within_hours: i32,
}

impl JobPayload for RenewChannels {
    const KIND: &'static str = "maintenance.renew_channels";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Maintenance;
}

/// Forgets push channels that ended long ago.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CleanExpiredChannels {
    /// Days since the end after which the row leaves.
    pub days: i32,
}

impl JobPayload for CleanExpiredChannels {
    const KIND: &'static str = "maintenance.clean_expired_channels";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Maintenance;
}
