//! `scheduler`: everything about jobs that time or the outbox causes. Any number of replicas may run; none
//! is the leader, since every step claims its rows.
//!
//! One look at the database ([`store::pulse::Pulse`]) says what is due, and only then the step itself runs,
//! so that an idle scheduler costs the database about three queries a second.

mod archivist;
mod beat;
mod config;
pub mod cron;
pub mod exports;
mod gauges;
pub mod housekeeping;
mod looks;
mod lost;
mod metrics;
pub mod relay;
pub mod renewals;
mod switches;
pub mod tide;
mod weights;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use broker::Broker;
use chassis::health::{Dependency, Health, Need};
use chassis::lifecycle::{Shutdown, Tasks};
use chassis::service::{BoxError, Service};
use store::Store;
use store::pulse::Pulse;
use tokio::sync::Notify;

pub use config::SchedulerConfig;
pub use metrics::METRICS;
use tide::Tide;
use weights::Weights;

/// What the tasks of a scheduler share.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The database.
    pub store: Store,
    /// The look at what is due.
    pub pulse: Pulse,
    /// The broker.
    pub broker: Broker,
    /// State of the database.
    pub database: Dependency,
    /// Tells the tasks when to end.
    pub shutdown: Shutdown,
    /// Wakes the relay.
    pub wake: Arc<Notify>,
    /// Where looks at the outbox begin.
    tide: Arc<Mutex<Tide>>,
    /// Bells of a message.
    weights: Weights,
}

impl Parts {
    /// The parts of a scheduler with this configuration.
    ///
    /// # Errors
    /// When `DATABASE_URL` cannot be used.
    pub fn new(
        config: &SchedulerConfig,
        health: &Health,
        tasks: &Tasks,
        shutdown: &Shutdown,
    ) -> Result<Self, store::StoreError> {
        Ok(Self {
            store: Store::new(&config.database, "scheduler")?,
            pulse: Pulse::new(&config.database, "scheduler-pulse")?,
            broker: Broker::new(&config.broker, "scheduler", health, tasks, shutdown),
            database: health.dependency("database", Need::Hard),
            shutdown: shutdown.clone(),
            wake: Arc::new(Notify::new()),
            tide: Arc::default(),
            weights: Weights::default(),
        })
    }

    /// Where looks at the outbox begin; never held across an await.
    pub(crate) fn tide(&self) -> MutexGuard<'_, Tide> {
        self.tide.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the service.
///
/// # Errors
/// When `DATABASE_URL` cannot be used.
#[expect(clippy::unused_async, reason = "a service's start is asynchronous; this one only spawns")]
pub async fn start(service: Service<SchedulerConfig>) -> Result<(), BoxError> {
    let parts = Parts::new(&service.config, &service.health, &service.tasks, &service.shutdown)?;
    spawn(&parts, &service.config, &service.tasks);
    Ok(())
}

/// Spawns the tasks of a scheduler.
pub fn spawn(parts: &Parts, config: &SchedulerConfig, tasks: &Tasks) {
    chassis::metrics::describe(&metrics::METRICS);
    let following =
        store::watch::database(parts.store.clone(), parts.database.clone(), parts.shutdown.clone());
    tasks.spawn("database-watch", following);
    tasks.spawn("relay", relay::run(parts.clone()));
    tasks.spawn("beat", beat::run(parts.clone()));
    tasks.spawn("lost-bells", lost::run(parts.clone(), config.lost_after));
    tasks.spawn("schedules", housekeeping::ensure_schedules(parts.clone(), config.schedules.clone()));
    tasks.spawn("settle-runs", housekeeping::settle_runs(parts.clone()));
    tasks.spawn("history", housekeeping::keep_history(parts.clone(), config.history_days));
    tasks.spawn("renewals", renewals::run(parts.clone()));
    tasks.spawn("gauges", gauges::run(parts.clone(), config.realtime));
    tasks.spawn("switches", switches::run(parts.clone()));
    tasks.spawn("archivist", archivist::run(parts.clone()));
}
