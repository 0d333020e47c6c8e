//! How often the cache knew the answer.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::redis_store::Away;

/// What operators see of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheStatus {
    /// `memory` or `redis`.
    pub provider: &'static str,
    /// The store answers.
    pub connected: bool,
    /// Reads answered since the process started.
    pub hits: u64,
    /// Reads not answered, faults included.
    pub misses: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Stats {
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Stats {
    pub(crate) fn count<T>(&self, found: Result<Option<T>, Away>) -> Option<T> {
        let (result, value) = match found {
            Ok(Some(value)) => ("hit", Some(value)),
            Ok(None) => ("miss", None),
            Err(_) => ("error", None),
        };
        let counter = if value.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("cache_requests_total", "result" => result).increment(1);
        value
    }

    pub(crate) fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    pub(crate) fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }
}
