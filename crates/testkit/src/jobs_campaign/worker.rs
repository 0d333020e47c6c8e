//! The worker process of the campaign: the product's runtime, wired as `sync-worker` is, with other handlers.

use broker::{Broker, BrokerConfig};
use chassis::config::{Env, FromEnv};
use chassis::service::{BoxError, Service};
use job_runtime::{Host, Runtime, RuntimeConfig};
use store::{DatabaseConfig, Store};

use super::handler::handlers;

/// What the worker reads from its environment.
#[derive(Debug)]
pub struct WorkerConfig {
    database: DatabaseConfig,
    broker: BrokerConfig,
    runtime: RuntimeConfig,
}

impl FromEnv for WorkerConfig {
    fn from_env(env: &mut Env) -> Self {
        let mut config = Self {
            database: DatabaseConfig::from_env(env),
            broker: BrokerConfig::from_env(env),
            runtime: RuntimeConfig::from_env(env),
        };
        // Shorter than the product allows, so that leases expire all the time.
        config.runtime.lease_seconds = env.parse("CHAOS_LEASE_SECONDS", config.runtime.lease_seconds).max(1);
        config
    }
}

/// Starts the worker.
///
/// # Errors
/// When a setting that was accepted cannot be used.
#[expect(clippy::unused_async, reason = "a service's start is asynchronous; this one only spawns")]
pub async fn start(service: Service<WorkerConfig>) -> Result<(), BoxError> {
    let host = Host::from(&service);
    let Service { config, tasks, shutdown, health, .. } = service;
    let store = Store::new(&config.database, "chaos-worker")?;
    let broker = Broker::new(&config.broker, "chaos-worker", &health, &tasks, &shutdown);
    Runtime::start(config.runtime, store, &broker, handlers(), host);
    Ok(())
}
