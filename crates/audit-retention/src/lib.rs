//! `audit-retention`: seals what was recorded, signs checkpoints, archives, purges, verifies and restores.
//!
//! Any number of replicas may run: the head of a chain is locked while it grows, and the jobs of an organization hold
//! its resource key.

mod config;
mod erase;
mod handlers;
mod metrics;
mod restore;
pub mod retention;
pub mod seal;
mod steps;

use std::sync::Arc;

use archive::Stores;
use audit_trail::Trail;
use broker::Broker;
use chassis::health::Need;
use chassis::service::{BoxError, Service};
use job_runtime::{Handlers, Host, Runtime};
use store::Store;

pub use config::AuditConfig;
pub use erase::erase;
pub use handlers::{EraseHandler, RestoreHandler, RetentionHandler, VerifyHandler};
pub use metrics::METRICS;
pub use restore::restore;
pub use steps::Steps;

/// Every handler of the service.
pub fn handlers(trail: &Trail) -> Handlers {
    Handlers::new()
        .with(RetentionHandler(trail.clone()))
        .with(VerifyHandler(trail.clone()))
        .with(RestoreHandler(trail.clone()))
        .with(EraseHandler(trail.clone()))
}

/// Starts the service.
///
/// # Errors
/// When a setting that was accepted cannot be used.
#[expect(clippy::unused_async, reason = "a service's start is asynchronous; this one only spawns")]
pub async fn start(service: Service<AuditConfig>) -> Result<(), BoxError> {
    let Service { config, tasks, shutdown, health, clock } = service;
    chassis::metrics::describe(&metrics::METRICS);
    // So that the alert on its increase has a series to begin with.
    ::metrics::counter!(metrics::FAILURES).absolute(0);
    let store = Store::new(&config.database, "audit-retention")?;
    let stores = Stores::open(&config.archives)?;
    let subjects = Some(Arc::new(config.subjects));
    let trail = Trail { store: store.clone(), stores: Some(stores), keys: Arc::new(config.keys), subjects };
    let broker = Broker::new(&config.broker, "audit-retention", &health, &tasks, &shutdown);
    let database = health.dependency("database-seal", Need::Hard);
    let sealer = seal::Sealer { trail: trail.clone(), clock };
    tasks.spawn("seal", seal::run(sealer.clone(), database.clone(), shutdown.clone()));
    tasks.spawn("checkpoints", seal::keep_checkpoints(sealer, database, shutdown.clone()));
    Runtime::start(config.runtime, store, &broker, handlers(&trail), Host { tasks, shutdown, health });
    Ok(())
}
