//! The cache of one process, bounded in bytes.

use std::time::{Duration, Instant};

use bytes::Bytes;
use moka::Expiry;
use moka::future::Cache;

use crate::key::Pattern;

#[derive(Debug, Clone)]
struct Entry {
    value: Bytes,
    ttl: Duration,
}

struct ByEntry;

impl Expiry<String, Entry> for ByEntry {
    fn expire_after_create(&self, _: &String, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(entry.ttl)
    }

    fn expire_after_update(
        &self,
        _: &String,
        entry: &Entry,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.ttl)
    }
}

#[derive(Debug)]
pub(crate) struct MemoryStore {
    entries: Cache<String, Entry>,
}

/// What an entry costs beside its key and value.
const OVERHEAD: usize = 128;

impl MemoryStore {
    pub(crate) fn new(bytes: u64) -> Self {
        let entries = Cache::builder()
            .max_capacity(bytes)
            .weigher(|key: &String, entry: &Entry| {
                u32::try_from(key.len() + entry.value.len() + OVERHEAD).unwrap_or(u32::MAX)
            })
            .expire_after(ByEntry)
            .build();
        Self { entries }
    }

    pub(crate) async fn get(&self, key: &str) -> Option<Bytes> {
        self.entries.get(key).await.map(|entry| entry.value)
    }

    pub(crate) async fn set(&self, key: String, value: Bytes, ttl: Duration) {
        self.entries.insert(key, Entry { value, ttl }).await;
    }

    pub(crate) async fn clear(&self, pattern: &Pattern) -> u64 {
        let doomed: Vec<_> =
            self.entries.iter().map(|(key, _)| key).filter(|key| pattern.matches(key)).collect();
        let mut cleared = 0;
        for key in doomed {
            if self.entries.remove(key.as_str()).await.is_some() {
                cleared += 1;
            }
        }
        cleared
    }
}
