//! Redis behind a short deadline: an answer within it, or none.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chassis::time::deadline;
use chrono::{DateTime, Utc};
use deadpool_redis::redis::{AsyncCommands, RedisResult, cmd};
use deadpool_redis::{Config, Connection, Pool, PoolConfig, Runtime};
use domain::time::{SharedClock, after};

use crate::CacheError;
use crate::key::Pattern;

/// How long an answer may take, connecting included.
const DEADLINE: Duration = Duration::from_millis(250);
/// How long a Redis that did not answer is left alone.
const PAUSE: Duration = Duration::from_secs(2);
/// How long clearing may take; it walks the whole key space.
const CLEAR_DEADLINE: Duration = Duration::from_secs(10);
/// Keys looked at in one step of a walk.
const SCAN_COUNT: usize = 500;
const CONNECTIONS: usize = 8;

/// Redis did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("redis: {0}")]
pub(crate) struct Away(pub String);

pub(crate) struct RedisStore {
    pool: Pool,
    clock: SharedClock,
    paused_until: Mutex<Option<DateTime<Utc>>>,
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RedisStore")
    }
}

/// Says whether an address is one of a Redis.
pub(crate) fn check_url(url: &str) -> Result<(), String> {
    deadpool_redis::redis::Client::open(url).map(|_| ()).map_err(|_| "not the address of a Redis".to_owned())
}

impl RedisStore {
    pub(crate) fn new(url: &str, clock: SharedClock) -> Result<Self, CacheError> {
        check_url(url).map_err(|reason| CacheError::Url { reason })?;
        let mut config = Config::from_url(url);
        config.pool = Some(PoolConfig::new(CONNECTIONS));
        let pool = config
            .create_pool(Some(Runtime::Tokio1))
            .map_err(|_| CacheError::Url { reason: "no pool".into() })?;
        Ok(Self { pool, clock, paused_until: Mutex::new(None) })
    }

    pub(crate) async fn get(&self, key: &str) -> Result<Option<Bytes>, Away> {
        let found: Option<Vec<u8>> = self.run(DEADLINE, async |connection| connection.get(key).await).await?;
        Ok(found.map(Bytes::from))
    }

    pub(crate) async fn set(&self, key: &str, value: &[u8], ttl: Duration) {
        let millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
        let set: Result<(), Away> =
            self.run(DEADLINE, async |connection| connection.pset_ex(key, value, millis).await).await;
        if let Err(fault) = set {
            tracing::debug!(%fault, "value not cached");
        }
    }

    /// Walks with `SCAN`, never `KEYS`, which would stop everybody else. What Redis could not do is retried by
    /// nobody: the values expire.
    pub(crate) async fn clear(&self, pattern: &Pattern) -> u64 {
        let outcome = self
            .run(CLEAR_DEADLINE, async |connection| {
                let mut cleared = 0;
                for glob in pattern.globs() {
                    let mut cursor = 0_u64;
                    loop {
                        let (next, keys): (u64, Vec<String>) = cmd("SCAN")
                            .arg(cursor)
                            .arg("MATCH")
                            .arg(&glob)
                            .arg("COUNT")
                            .arg(SCAN_COUNT)
                            .query_async(connection)
                            .await?;
                        let doomed: Vec<String> =
                            keys.into_iter().filter(|key| pattern.matches(key)).collect();
                        if !doomed.is_empty() {
                            cleared += connection.unlink::<_, u64>(doomed).await?;
                        }
                        cursor = next;
                        if cursor == 0 {
                            break;
                        }
                    }
                }
                Ok(cleared)
            })
            .await;
        outcome.unwrap_or_else(|fault| {
            tracing::warn!(%fault, "cache not cleared; its values expire by themselves");
            0
        })
    }

    pub(crate) async fn ping(&self) -> Result<(), String> {
        // Asked by readiness and status: the truth of now, not of the pause.
        let answer =
            self.attempt(DEADLINE, async |connection| cmd("PING").query_async::<String>(connection).await);
        let answer = answer.await;
        self.remember(answer.as_ref().err());
        answer.map(|_| ()).map_err(|fault| fault.to_string())
    }

    /// Runs commands on a connection, unless Redis failed a moment ago.
    pub(crate) async fn run<T>(
        &self,
        limit: Duration,
        commands: impl AsyncFnOnce(&mut Connection) -> RedisResult<T>,
    ) -> Result<T, Away> {
        let paused = *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        if paused.is_some_and(|until| self.clock.now() < until) {
            return Err(Away("left alone after a failure".into()));
        }
        let outcome = self.attempt(limit, commands).await;
        self.remember(outcome.as_ref().err());
        outcome
    }

    async fn attempt<T>(
        &self,
        limit: Duration,
        commands: impl AsyncFnOnce(&mut Connection) -> RedisResult<T>,
    ) -> Result<T, Away> {
        let work = async {
            let mut connection = self.pool.get().await.map_err(|e| Away(e.to_string()))?;
            match commands(&mut connection).await {
                Ok(value) => Ok(value),
                Err(error) => {
                    // A connection that failed half-way may still carry the answer to the last question.
                    drop(Connection::take(connection));
                    Err(Away(error.to_string()))
                }
            }
        };
        // On the heap: a connection's futures are large, and callers hold several of them.
        match deadline("redis", limit, Box::pin(work)).await {
            Ok(outcome) => outcome,
            Err(elapsed) => Err(Away(elapsed.to_string())),
        }
    }

    fn remember(&self, fault: Option<&Away>) {
        let mut paused = self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        match fault {
            None if paused.is_some() => {
                *paused = None;
                tracing::info!("redis answers again");
            }
            None => {}
            Some(fault) => {
                if paused.is_none() {
                    tracing::warn!(%fault, "redis does not answer; working without it");
                }
                *paused = Some(after(self.clock.now(), PAUSE));
            }
        }
    }
}
