//! What may be forgotten: cached provider metadata and the throttle fence that replicas share.
//!
//! The only crate that names `redis`. Nothing here is an error for its caller: a cache that is away is a miss, a
//! fence that is away is the process's own fence.

mod config;
mod fence;
mod key;
mod memory;
mod metrics;
mod redis_store;
mod stats;
mod watch;

use std::sync::Arc;

use bytes::Bytes;
use domain::time::SharedClock;
use outbound::throttle::FenceStore;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use config::{CacheConfig, CacheProvider, CacheTtl};
pub use key::Kind;
pub use metrics::METRICS;
pub use stats::CacheStatus;
pub use watch::watch;

use fence::RedisFence;
use key::{key, patterns};
use memory::MemoryStore;
use redis_store::RedisStore;
use stats::Stats;

/// Largest value that is cached; a larger one is cheaper to fetch again than to carry around.
const MAX_VALUE: usize = 1024 * 1024;

/// The cache could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// `REDIS_URL` is not an address of a Redis.
    #[error("REDIS_URL is not usable: {reason}")]
    Url {
        /// What is wrong, without the address, which may contain a password.
        reason: String,
    },
}

#[derive(Debug)]
enum Store {
    Memory(MemoryStore),
    Redis(Arc<RedisStore>),
}

/// The cache of provider metadata.
#[derive(Debug)]
pub struct Cache {
    store: Store,
    redis: Option<Arc<RedisStore>>,
    ttl: CacheTtl,
    stats: Stats,
}

impl Cache {
    /// Sets the cache up; connects to nothing yet.
    ///
    /// # Errors
    /// [`CacheError::Url`] when `REDIS_URL` is not the address of a Redis.
    pub fn new(config: &CacheConfig, clock: SharedClock) -> Result<Self, CacheError> {
        let redis = match &config.redis_url {
            Some(url) => Some(Arc::new(RedisStore::new(url.current().expose(), clock)?)),
            None => None,
        };
        let store = match (config.provider, &redis) {
            (CacheProvider::Redis, Some(redis)) => Store::Redis(Arc::clone(redis)),
            _ => Store::Memory(MemoryStore::new(config.memory_bytes)),
        };
        Ok(Self { store, redis, ttl: config.ttl, stats: Stats::default() })
    }

    /// The throttle fence that all replicas share; `None` without a `REDIS_URL`.
    pub fn fence(&self) -> Option<Arc<dyn FenceStore>> {
        let redis = self.redis.as_ref()?;
        Some(Arc::new(RedisFence::new(Arc::clone(redis))))
    }

    /// A cached value's bytes; `None` when it is not there, or the cache is away.
    pub async fn get_bytes(&self, kind: Kind, id: &str) -> Option<Bytes> {
        let key = key(kind, id);
        let found = match &self.store {
            Store::Memory(memory) => Ok(memory.get(&key).await),
            Store::Redis(redis) => redis.get(&key).await,
        };
        self.stats.count(found)
    }

    /// Remembers bytes for the kind's time.
    pub async fn set_bytes(&self, kind: Kind, id: &str, value: Bytes) {
        let ttl = self.ttl.of(kind);
        if value.len() > MAX_VALUE || ttl.is_zero() {
            return;
        }
        let key = key(kind, id);
        match &self.store {
            Store::Memory(memory) => memory.set(key, value, ttl).await,
            Store::Redis(redis) => redis.set(&key, &value, ttl).await,
        }
    }

    /// A cached value. One that cannot be decoded (an older version wrote it) is a miss.
    pub async fn get<T: DeserializeOwned>(&self, kind: Kind, id: &str) -> Option<T> {
        let bytes = self.get_bytes(kind, id).await?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Remembers a value as JSON for the kind's time.
    pub async fn set<T: Serialize + Sync>(&self, kind: Kind, id: &str, value: &T) {
        if let Ok(json) = serde_json::to_vec(value) {
            self.set_bytes(kind, id, json.into()).await;
        }
    }

    /// Forgets everything of a scope (an AO or a drive), or everything. Says how many values went.
    pub async fn clear(&self, scope: Option<&str>) -> u64 {
        let patterns = patterns(scope);
        match &self.store {
            Store::Memory(memory) => memory.clear(&patterns).await,
            Store::Redis(redis) => redis.clear(&patterns).await,
        }
    }

    /// Provider, connection and hit counts; asks Redis whether it is there.
    pub async fn status(&self) -> CacheStatus {
        let (provider, connected) = match &self.store {
            Store::Memory(_) => ("memory", true),
            Store::Redis(redis) => ("redis", redis.ping().await.is_ok()),
        };
        CacheStatus { provider, connected, hits: self.stats.hits(), misses: self.stats.misses() }
    }

    /// Asks Redis whether it is there; `None` when none is configured.
    pub async fn ping_redis(&self) -> Option<Result<(), String>> {
        let redis = self.redis.as_ref()?;
        Some(redis.ping().await)
    }
}
