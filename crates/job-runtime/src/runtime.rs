//! Consumers, concurrency and the end of a worker.

use std::sync::Arc;
use std::time::Duration;

use broker::{Broker, Consumer};
use chassis::health::{Dependency, Health, Need};
use chassis::lifecycle::{Shutdown, Tasks};
use chassis::service::Service;
use chassis::time::deadline;
use contracts::jobs::Queue;
use domain::time::SharedClock;
use store::Store;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::config::RuntimeConfig;
use crate::handler::Handlers;
use crate::intake;
use crate::panics;

/// Time that a delivery waits for a free place; then it goes back, for workers that have one.
const PLACE: Duration = Duration::from_secs(1);
/// Longest wait at the end for claims that are under way.
const SETTLE: Duration = Duration::from_secs(10);

/// What a worker gets from its process.
#[derive(Debug, Clone)]
pub struct Host {
    /// Spawns its tasks.
    pub tasks: Tasks,
    /// Tells them when to end.
    pub shutdown: Shutdown,
    /// Shows what it depends on.
    pub health: Health,
    /// The wall clock, for the times of retries.
    pub clock: SharedClock,
}

impl<C> From<&Service<C>> for Host {
    fn from(service: &Service<C>) -> Self {
        Self {
            tasks: service.tasks.clone(),
            shutdown: service.shutdown.clone(),
            health: service.health.clone(),
            clock: service.clock.clone(),
        }
    }
}

/// A worker of this process.
#[derive(Debug, Clone)]
pub struct Runtime {
    worker: Uuid,
}

/// What the parts of a worker share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: RuntimeConfig,
    pub(crate) store: Store,
    pub(crate) handlers: Handlers,
    pub(crate) host: Host,
    pub(crate) worker: Uuid,
    pub(crate) database: Dependency,
}

impl Runtime {
    /// Starts one consumer per queue. They end when the shutdown begins; running jobs may finish until its
    /// second stage, when they are handed back.
    pub fn start(
        config: RuntimeConfig,
        store: Store,
        broker: &Broker,
        handlers: Handlers,
        host: Host,
    ) -> Self {
        chassis::metrics::describe(&crate::metrics::METRICS);
        panics::remember_panics();
        // New at every start: a pod's name comes again, and would hide that its jobs have no owner.
        let worker = chassis::ids::new_id();
        let queues = config.queues.clone().unwrap_or_else(|| handlers.queues());
        tracing::info!(
            worker = %worker,
            queues = ?queues.iter().map(|queue| queue.name()).collect::<Vec<_>>(),
            kinds = ?handlers,
            concurrency = config.concurrency,
            "worker starts"
        );
        let places = Arc::new(Semaphore::new(usize::from(config.concurrency)));
        let database = host.health.dependency("database", Need::Hard);
        let tasks = host.tasks.clone();
        let prefetch = config.concurrency;
        let following = store::watch::database(store.clone(), database.clone(), host.shutdown.clone());
        tasks.spawn("database-watch", following);
        let shared = Arc::new(Shared { config, store, handlers, host, worker, database });
        for queue in queues {
            let consumer = broker.consumer(queue, prefetch);
            tasks.spawn("job-consumer", serve(shared.clone(), queue, consumer, places.clone()));
        }
        Self { worker }
    }

    /// Identity of this worker, as in `jobs.lease_owner`.
    pub fn worker(&self) -> Uuid {
        self.worker
    }
}

async fn serve(shared: Arc<Shared>, queue: Queue, mut consumer: Consumer, places: Arc<Semaphore>) {
    if store::watch::until_ready(&shared.store, &shared.database, &shared.host.shutdown).await.is_none() {
        return;
    }
    // Deliveries that still need their channel.
    let unsettled = TaskTracker::new();
    while let Some(delivery) = consumer.next().await {
        let permit = match place(&shared, &places).await {
            Place::Free(permit) => permit,
            Place::None => {
                // Every place is taken by a job that runs longer: do not keep bells from other workers.
                tracing::debug!(queue = queue.name(), "no place is free, giving deliveries back");
                consumer.pause().await;
                drop(delivery);
                wait_for_place(&shared, &places).await;
                continue;
            }
            // A place that becomes free now is for nobody: no new work is taken.
            Place::Draining => break,
        };
        let receiving = intake::receive(shared.clone(), delivery, permit, unsettled.token());
        shared.host.tasks.spawn("job", receiving);
    }
    consumer.cancel().await;
    unsettled.close();
    if deadline("claims under way", SETTLE, unsettled.wait()).await.is_err() {
        tracing::warn!(queue = queue.name(), "claims under way did not settle, their bells will come again");
    }
    consumer.pause().await;
    tracing::info!(queue = queue.name(), "consumer ended");
}

/// Whether a delivery can be taken.
enum Place {
    Free(OwnedSemaphorePermit),
    None,
    Draining,
}

async fn place(shared: &Shared, places: &Arc<Semaphore>) -> Place {
    let draining = shared.host.shutdown.draining();
    tokio::select! {
        biased;
        () = draining.cancelled() => Place::Draining,
        permit = deadline("a free place", PLACE, places.clone().acquire_owned()) => match permit {
            Ok(Ok(permit)) => Place::Free(permit),
            _ => Place::None,
        },
    }
}

async fn wait_for_place(shared: &Shared, places: &Semaphore) {
    let draining = shared.host.shutdown.draining();
    tokio::select! {
        () = draining.cancelled() => {}
        // Let go again at once: the next delivery takes it.
        _ = places.acquire() => {}
    }
}
