//! Archives of audit records in object storage: canonical JSON lines, compressed with zstd, under a signed manifest.
//!
//! The only crate that names `object_store`. [`storage::Storage`] is what it needs of a store; [`Stores`] are the
//! primary one and the fallback.

mod checked;
pub mod config;
pub mod manifest;
pub mod part;
pub mod storage;

pub use config::ArchiveConfig;
pub use manifest::{Manifest, ManifestFault, Part};
pub use storage::{ObjectStorage, Storage, StorageError};

use std::sync::Arc;

/// Where archives go.
#[derive(Debug, Clone)]
pub struct Stores {
    /// First choice.
    pub primary: Arc<dyn Storage>,
    /// While the first is away.
    pub fallback: Option<Arc<dyn Storage>>,
}

/// A store of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// First choice.
    Primary,
    /// The other.
    Fallback,
}

impl Which {
    /// As in `audit_archives.store`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Which::Primary => "primary",
            Which::Fallback => "fallback",
        }
    }
}

impl Stores {
    /// The stores of a configuration.
    ///
    /// # Errors
    /// [`StorageError`] when an address cannot be used.
    pub fn open(config: &ArchiveConfig) -> Result<Self, StorageError> {
        let open =
            |url: &str| ObjectStorage::open(url, config).map(|storage| Arc::new(storage) as Arc<dyn Storage>);
        let fallback = config.fallback.as_deref().map(open).transpose()?;
        Ok(Self { primary: open(&config.primary)?, fallback })
    }

    /// Both, first choice first.
    pub fn all(&self) -> Vec<(Which, Arc<dyn Storage>)> {
        let mut all = vec![(Which::Primary, self.primary.clone())];
        all.extend(self.fallback.clone().map(|fallback| (Which::Fallback, fallback)));
        all
    }

    /// One of them.
    pub fn get(&self, which: Which) -> Option<Arc<dyn Storage>> {
        match which {
            Which::Primary => Some(self.primary.clone()),
            Which::Fallback => self.fallback.clone(),
        }
    }
}
