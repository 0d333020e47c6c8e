//! Which permissions Microsoft says are missing, by name, so that a person knows what to grant (pain 38).

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use graph_client::{GraphError, GraphErrorKind};

/// Reading drives.
pub(crate) const FILES_READ: &str = "Files.Read.All";
/// Subscribing to drives needs the right to write, even to read (subscription-post, Graph v1.0).
pub(crate) const FILES_READ_WRITE: &str = "Files.ReadWrite.All";

/// Permissions that the last call that needed them was refused for.
#[derive(Debug, Default)]
pub(crate) struct Permissions {
    missing: Mutex<BTreeSet<&'static str>>,
}

impl Permissions {
    /// Learns from a call that needed `permission`; adds its name to a refusal.
    pub(crate) fn learn<T>(
        &self,
        permission: &'static str,
        outcome: Result<T, GraphError>,
    ) -> Result<T, GraphError> {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(value) => {
                missing.remove(permission);
                Ok(value)
            }
            Err(mut error) => {
                if error.kind == GraphErrorKind::Forbidden {
                    missing.insert(permission);
                    error.message = format!(
                        "{} (grant the application permission {permission} with admin consent, or Sites.Selected \
                         with a grant on the site)",
                        error.message
                    );
                }
                Err(error)
            }
        }
    }

    pub(crate) fn missing(&self) -> Vec<String> {
        let missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        missing.iter().map(|&name| name.to_owned()).collect()
    }
}
