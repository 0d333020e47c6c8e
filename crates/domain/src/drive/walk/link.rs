//! Links that the provider issues.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A next link, delta link or fresh enumeration URL: opaque, followed verbatim, not shown in logs
/// (it holds the cursor, and spellings change without notice).
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Link(String);

impl Link {
    /// Wraps what the provider sent. Whether its host deserves a bearer token is for the one who
    /// sends the request to check.
    pub fn new(link: impl Into<String>) -> Self {
        Self(link.into())
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL, owned.
    pub fn into_string(self) -> String {
        self.0
    }

    /// A hash that is the same in every process, since it is stored with the checkpoint.
    pub(super) fn hash(&self) -> u64 {
        let digest: [u8; 32] = Sha256::digest(self.0.as_bytes()).into();
        digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
    }
}

impl From<String> for Link {
    fn from(link: String) -> Self {
        Self(link)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({:016x})", self.hash())
    }
}
