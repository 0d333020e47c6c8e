//! `CACHE_PROVIDER`, `REDIS_URL` and the runbook's times.

use std::time::Duration;

use chassis::config::{Env, FromEnv, SecretSource};
use chassis::secret::Secret;

use crate::Kind;

/// Where cached values live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheProvider {
    /// In the process.
    Memory,
    /// In Redis, shared by all replicas.
    Redis,
}

/// How long each kind is remembered; zero = not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheTtl {
    /// Item metadata (`CACHE_TTL_ITEM_SECONDS`, 5 minutes).
    pub item: Duration,
    /// Folder listings (`CACHE_TTL_LIST_SECONDS`, 3 minutes).
    pub list: Duration,
    /// Delta links (`CACHE_TTL_DELTA_SECONDS`, 1 hour).
    pub delta: Duration,
    /// Drives (`CACHE_TTL_DRIVE_SECONDS`, 10 minutes).
    pub drive: Duration,
}

impl Default for CacheTtl {
    fn default() -> Self {
        Self {
            item: Duration::from_mins(5),
            list: Duration::from_mins(3),
            delta: Duration::from_hours(1),
            drive: Duration::from_mins(10),
        }
    }
}

impl CacheTtl {
    /// The time of a kind.
    pub fn of(&self, kind: Kind) -> Duration {
        match kind {
            Kind::Item => self.item,
            Kind::List => self.list,
            Kind::Delta => self.delta,
            Kind::Drive => self.drive,
        }
    }
}

/// Configuration of the cache.
#[derive(Debug, Clone)]
pub struct CacheConfig {
    /// Where cached values live.
    pub provider: CacheProvider,
    /// Address of Redis, which may contain a password. Given, the throttle fence is shared even when the cache is
    /// in memory.
    pub redis_url: Option<SecretSource>,
    /// How long values are remembered.
    pub ttl: CacheTtl,
    /// Bound of the memory cache in bytes (`CACHE_MEMORY_BYTES`, 4 MiB).
    pub memory_bytes: u64,
}

const REDIS_URL: &str = "redis://127.0.0.1:6379";

impl FromEnv for CacheConfig {
    fn from_env(env: &mut Env) -> Self {
        let default = if env.production() { "redis" } else { "memory" };
        let named = env.string("CACHE_PROVIDER", default);
        let provider = match named.as_str() {
            "redis" => CacheProvider::Redis,
            "memory" => CacheProvider::Memory,
            other => {
                env.fault("CACHE_PROVIDER", format!("must be `memory` or `redis`, got `{other}`"));
                CacheProvider::Memory
            }
        };
        let mut redis_url = env.secret("REDIS_URL");
        if redis_url.is_none() && provider == CacheProvider::Redis {
            redis_url = Some(SecretSource::fixed(Secret::from(REDIS_URL)));
        }
        if let Some(url) = &redis_url
            && let Err(error) = crate::redis_store::check_url(url.current().expose())
        {
            env.fault("REDIS_URL", format!("{error}; expected redis://[user:password@]host:port[/db]"));
            redis_url = None;
        }
        let ttl = CacheTtl::default();
        Self {
            provider,
            redis_url,
            ttl: CacheTtl {
                item: env.seconds("CACHE_TTL_ITEM_SECONDS", ttl.item.as_secs()),
                list: env.seconds("CACHE_TTL_LIST_SECONDS", ttl.list.as_secs()),
                delta: env.seconds("CACHE_TTL_DELTA_SECONDS", ttl.delta.as_secs()),
                drive: env.seconds("CACHE_TTL_DRIVE_SECONDS", ttl.drive.as_secs()),
            },
            memory_bytes: env.parse("CACHE_MEMORY_BYTES", 4 * 1024 * 1024),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_follow_the_environment() {
        let mut env = Env::from_pairs([("APP_ENV", "production")]);
        let config = CacheConfig::from_env(&mut env);
        assert_eq!(config.provider, CacheProvider::Redis);
        assert!(config.redis_url.is_some());
        let mut env = Env::from_pairs(Vec::<(String, String)>::new());
        let config = CacheConfig::from_env(&mut env);
        assert_eq!((config.provider, config.redis_url.is_none()), (CacheProvider::Memory, true));
        assert_eq!(config.ttl, CacheTtl::default());
    }

    #[test]
    fn faults_are_named_without_the_password() {
        let mut env = Env::from_pairs([("CACHE_PROVIDER", "disk"), ("REDIS_URL", "http://:hunter2@x")]);
        CacheConfig::from_env(&mut env);
        let faults = env.finish().expect_err("two faults").to_string();
        assert!(faults.contains("CACHE_PROVIDER") && faults.contains("REDIS_URL"), "{faults}");
        assert!(!faults.contains("hunter2"), "{faults}");
    }
}
