//! The audit trail as a whole: records in the database, their archives, their checkpoints, judged together.
//!
//! Used by the service that keeps the trail and by the command line that doubts it.

pub mod export;
pub mod keep;
pub mod people;
pub mod prove;
pub mod verify;

use std::sync::Arc;

use archive::{Stores, Which};
use bytes::Bytes;
use domain::audit::{Fault, Reason};
use domain::ids::CompanyId;
use outbound::audit_keys::AuditKeys;
use outbound::audit_subjects::SubjectKeys;
use store::Store;
use uuid::Uuid;

/// Everything that the trail is made of.
#[derive(Debug, Clone)]
pub struct Trail {
    /// Records, checkpoints, and what is known of archives.
    pub store: Store,
    /// Archives and published checkpoints; `None` where they are out of reach.
    pub stores: Option<Stores>,
    /// Keys.
    pub keys: Arc<AuditKeys>,
    /// Keys of the people in records; `None` for who only judges.
    pub subjects: Option<Arc<SubjectKeys>>,
}

/// Why something about the trail could not be done.
#[derive(Debug, thiserror::Error)]
pub enum TrailError {
    /// The database.
    #[error("the database did not do it")]
    Store(#[from] store::StoreError),
    /// The archive store.
    #[error("the archive store did not do it")]
    Storage(#[from] archive::StorageError),
    /// Something about the trail is not as it was sealed.
    #[error("the audit trail is not intact: {}", .0.detail)]
    Broken(Fault),
    /// Only public halves of keys are at hand.
    #[error("no key that seals is at hand: set AUDIT_HMAC_KEYS")]
    NoKey,
    /// No keys of people are at hand.
    #[error("no key of the people in records is at hand: set AUDIT_SUBJECT_KEYS")]
    NoSubjectKey,
    /// A person's key does not open.
    #[error("the key of a person in audit records does not open")]
    Subject(#[from] outbound::vault::VaultError),
    /// Reading or writing a file, or packing.
    #[error("{what} failed")]
    Io {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Folder of an organization in the archive stores.
pub fn folder(company: Option<CompanyId>) -> String {
    company.map_or_else(|| "platform".to_owned(), |id| id.to_string())
}

/// Name of a published checkpoint.
fn checkpoint_path(company: Option<CompanyId>, number: i64) -> String {
    format!("{}/checkpoints/{number:012}.note", folder(company))
}

/// Publishes a checkpoint outside of the database; in the fallback store while the primary is away.
///
/// # Errors
/// [`TrailError::Storage`] when neither store takes it.
pub async fn publish(
    stores: &Stores,
    company: Option<CompanyId>,
    number: i64,
    note: &str,
) -> Result<Which, TrailError> {
    let path = checkpoint_path(company, number);
    let mut last = None;
    for (which, storage) in stores.all() {
        match storage.put(&path, Bytes::from(note.to_owned())).await {
            Ok(()) => return Ok(which),
            Err(error) => {
                tracing::warn!(
                    store = which.as_str(),
                    error = chassis::telemetry::chain(&error),
                    "a checkpoint could not be published"
                );
                last = Some(error);
            }
        }
    }
    Err(last.map_or(TrailError::NoKey, TrailError::Storage))
}

fn archive_fault(id: Uuid, reason: Reason, detail: impl Into<String>) -> TrailError {
    TrailError::Broken(Fault { id: format!("archive:{id}"), reason, detail: detail.into() })
}
