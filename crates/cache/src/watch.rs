//! Readiness: Redis is soft, the work goes on without it.

use std::sync::Arc;
use std::time::Duration;

use chassis::health::{Health, Need};
use chassis::lifecycle::{Shutdown, Tasks};
use chassis::time::pause;

use crate::Cache;

const INTERVAL: Duration = Duration::from_secs(5);

/// Watches Redis where one is configured.
pub fn watch(tasks: &Tasks, shutdown: &Shutdown, health: &Health, cache: Arc<Cache>) {
    let draining = shutdown.draining();
    let health = health.clone();
    tasks.spawn("redis watch", async move {
        let Some(first) = cache.ping_redis().await else {
            return;
        };
        let redis = health.dependency("redis", Need::Soft);
        let mut state = first;
        loop {
            match state {
                Ok(()) => redis.up(),
                Err(reason) => redis.down(reason),
            }
            tokio::select! {
                () = draining.cancelled() => return,
                () = pause(INTERVAL) => {}
            }
            state = cache.ping_redis().await.unwrap_or(Ok(()));
        }
    });
}
