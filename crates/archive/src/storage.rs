//! What archives need of a store, and the stores that there are.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chassis::time::deadline;
use futures::StreamExt;
use object_store::aws::{AmazonS3Builder, Checksum};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig};

use crate::checked::Checked;
use crate::config::ArchiveConfig;

/// Longest call; a part is tens of megabytes at most.
const DEADLINE: Duration = Duration::from_mins(2);
/// Largest object that is read.
const MAX_OBJECT: u64 = 256 << 20;
/// Most names of a listing.
const MAX_NAMES: usize = 100_000;

/// Why a store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The address cannot be used.
    #[error("the archive store {url} cannot be used")]
    Address {
        /// The address, without secrets.
        url: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no such object.
    #[error("the archive store has no {path}")]
    NotFound {
        /// Object.
        path: String,
    },
    /// The store is away, refuses, or took too long.
    #[error("the archive store failed at {path}")]
    Failed {
        /// Object.
        path: String,
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A place for objects.
#[async_trait]
pub trait Storage: fmt::Debug + Send + Sync {
    /// Writes an object, whole or not at all.
    async fn put(&self, path: &str, bytes: Bytes) -> Result<(), StorageError>;
    /// Reads an object.
    async fn get(&self, path: &str) -> Result<Bytes, StorageError>;
    /// Names of the objects below a folder, sorted.
    async fn list(&self, folder: &str) -> Result<Vec<String>, StorageError>;
}

/// A folder or a bucket.
#[derive(Debug, Clone)]
pub struct ObjectStorage {
    inner: Arc<dyn ObjectStore>,
    prefix: Path,
}

impl ObjectStorage {
    /// The store at `file:<folder>` (made when it is not there) or `s3://<bucket>/<folder>`.
    ///
    /// # Errors
    /// [`StorageError::Address`].
    pub fn open(url: &str, config: &ArchiveConfig) -> Result<Self, StorageError> {
        let refuse = |source: Box<dyn std::error::Error + Send + Sync>| StorageError::Address {
            url: chassis::secret::redact_url(url),
            source,
        };
        if let Some(folder) = url.strip_prefix("file:") {
            let folder = PathBuf::from(folder.strip_prefix("//").unwrap_or(folder));
            std::fs::create_dir_all(&folder).map_err(|e| refuse(e.into()))?;
            // Written to the disk before it counts as written: what was purged cannot be written again.
            let inner =
                LocalFileSystem::new_with_prefix(folder).map_err(|e| refuse(e.into()))?.with_fsync(true);
            return Ok(Self { inner: Arc::new(inner), prefix: Path::default() });
        }
        let rest = url.strip_prefix("s3://").ok_or_else(|| refuse("neither file: nor s3://".into()))?;
        let (bucket, folder) = rest.split_once('/').unwrap_or((rest, ""));
        let client = ClientOptions::new()
            .with_allow_http(config.plain)
            .with_timeout(config.timeout)
            .with_connect_timeout(Duration::from_secs(5));
        let retry = RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: 3,
            retry_timeout: Duration::from_secs(30),
        };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(&config.region)
            // A bucket with object lock takes no object without one.
            .with_checksum_algorithm(Checksum::SHA256)
            .with_http_connector(Checked::default())
            .with_client_options(client)
            .with_retry(retry);
        if let Some(endpoint) = &config.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let (Some(id), Some(secret)) = (&config.access_key, &config.secret_key) {
            builder = builder.with_access_key_id(id).with_secret_access_key(secret.current().expose());
        }
        let inner = builder.build().map_err(|e| refuse(e.into()))?;
        Ok(Self { inner: Arc::new(inner), prefix: Path::from(folder) })
    }

    fn at(&self, path: &str) -> Path {
        self.prefix.parts().chain(Path::from(path).parts()).collect()
    }
}

fn failed(path: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StorageError {
    StorageError::Failed { path: path.to_owned(), source: source.into() }
}

fn judge(path: &str, error: object_store::Error) -> StorageError {
    match error {
        object_store::Error::NotFound { .. } => StorageError::NotFound { path: path.to_owned() },
        other => failed(path, other),
    }
}

#[async_trait]
impl Storage for ObjectStorage {
    async fn put(&self, path: &str, bytes: Bytes) -> Result<(), StorageError> {
        let location = self.at(path);
        let call = self.inner.put(&location, PutPayload::from_bytes(bytes));
        let put = deadline("writing to the archive store", DEADLINE, call).await;
        put.map_err(|e| failed(path, e))?.map_err(|e| judge(path, e)).map(drop)
    }

    async fn get(&self, path: &str) -> Result<Bytes, StorageError> {
        let location = self.at(path);
        let call = async {
            let found = self.inner.get(&location).await.map_err(|e| judge(path, e))?;
            if found.meta.size > MAX_OBJECT {
                return Err(failed(path, format!("is larger than {MAX_OBJECT} bytes")));
            }
            found.bytes().await.map_err(|e| judge(path, e))
        };
        deadline("reading from the archive store", DEADLINE, call).await.map_err(|e| failed(path, e))?
    }

    async fn list(&self, folder: &str) -> Result<Vec<String>, StorageError> {
        let location = self.at(folder);
        let call = async {
            let mut names = Vec::new();
            let mut found = self.inner.list(Some(&location)).take(MAX_NAMES);
            while let Some(object) = found.next().await {
                let object = object.map_err(|e| judge(folder, e))?;
                let name = object.location.prefix_match(&self.prefix).map(Iterator::collect::<Path>);
                names.extend(name.map(|name| name.to_string()));
            }
            names.sort_unstable();
            Ok(names)
        };
        deadline("listing the archive store", DEADLINE, call).await.map_err(|e| failed(folder, e))?
    }
}

#[cfg(test)]
mod tests {
    use chassis::config::{Env, FromEnv};

    use super::*;

    fn config() -> ArchiveConfig {
        ArchiveConfig::from_env(&mut Env::from_pairs::<&str, &str>([]))
    }

    #[tokio::test]
    async fn a_folder_holds_what_was_written() {
        let folder = std::env::temp_dir()
            .join(format!("archive-{}", uuid::Uuid::from_bytes(chassis::ids::random_bytes())));
        let url = format!("file:{}", folder.display());
        let storage = ObjectStorage::open(&url, &config()).expect("a folder");
        assert!(storage.list("a").await.expect("a listing").is_empty());
        storage.put("a/2.txt", Bytes::from_static(b"two")).await.expect("written");
        storage.put("a/1.txt", Bytes::from_static(b"one")).await.expect("written");
        assert_eq!(storage.get("a/2.txt").await.expect("read"), "two");
        assert_eq!(storage.list("a").await.expect("a listing"), ["a/1.txt", "a/2.txt"]);
        assert!(matches!(storage.get("a/3.txt").await, Err(StorageError::NotFound { .. })));
        std::fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn addresses_that_cannot_be_used_are_refused() {
        assert!(ObjectStorage::open("ftp://x", &config()).is_err());
        let mut env =
            Env::from_pairs([("AUDIT_ARCHIVE_URL", "ftp://x"), ("AUDIT_ARCHIVE_FALLBACK_URL", "ftp://x")]);
        ArchiveConfig::from_env(&mut env);
        assert_eq!(env.finish().expect_err("faults").0.len(), 3);
    }
}
