//! The document sync: a drive's index, and the documents derived from it.

mod ao_scan;
mod early;
mod folders;
mod project;
mod report;
mod round;
mod silence;
mod sync_ao;
mod sync_drive;

pub use sync_ao::SyncAoHandler;
pub use sync_drive::SyncDriveHandler;

use std::time::Duration;

use domain::retry::RetryPolicy;

use crate::config::DocumentsConfig;
use crate::connector::Connector;

/// What the handlers of the document sync share.
#[derive(Debug, Clone)]
pub struct Documents {
    /// Settings.
    pub config: DocumentsConfig,
    /// The only way to Microsoft.
    pub connector: Connector,
}

/// Delays between the attempts of a document job. The connector has retried each call by the runbook's
/// figures (4 attempts, 1 s to 15 s) before an attempt fails.
pub(crate) const RETRY: RetryPolicy = RetryPolicy {
    max_attempts: 10,
    initial: Duration::from_secs(1),
    max: Duration::from_mins(2),
    multiplier: 2,
};
