//! Consumers, concurrency and the end of a worker.

use std::sync::Arc;
use std::time::Duration;

use broker::{Broker, Consumer};
use chassis::health::{Dependency, Health, Need};
use chassis::lifecycle::{Shutdown, Tasks};
use chassis::service::Service;
use chassis::time::deadline;
use contracts::jobs::Queue;
use store::Store;
use store::flags::Board;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::config::RuntimeConfig;
use crate::handler::Handlers;
use crate::intake::{self, Batch};
use crate::lease::{Keeper, Leases};
use crate::panics;

/// Time that a delivery waits for a free place; then it goes back, for workers that have one.
const PLACE: Duration = Duration::from_secs(1);
/// Time for which a claim waits for further places, while bells for them are at hand.
const GATHER: Duration = Duration::from_millis(5);
/// Most bells that are claimed in one transaction.
const MAX_BATCH: usize = 256;

/// What a worker gets from its process.
#[derive(Debug, Clone)]
pub struct Host {
    /// Spawns its tasks.
    pub tasks: Tasks,
    /// Tells them when to end.
    pub shutdown: Shutdown,
    /// Shows what it depends on.
    pub health: Health,
}

impl<C> From<&Service<C>> for Host {
    fn from(service: &Service<C>) -> Self {
        Self {
            tasks: service.tasks.clone(),
            shutdown: service.shutdown.clone(),
            health: service.health.clone(),
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
    /// Operators' switches.
    pub(crate) flags: Board,
    pub(crate) host: Host,
    pub(crate) worker: Uuid,
    pub(crate) database: Dependency,
    /// One permit per job at a time, of all queues together.
    pub(crate) places: Arc<Semaphore>,
    /// Held by the job that waits for all places, or has them.
    pub(crate) suspect: Mutex<()>,
    pub(crate) leases: Arc<Leases>,
    /// Ends the keeper of the leases with the last task of this worker.
    _keeping: DropGuard,
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
        let database = host.health.dependency("database", Need::Hard);
        let tasks = host.tasks.clone();
        let prefetch = config.concurrency;
        let following = store::watch::database(store.clone(), database.clone(), host.shutdown.clone());
        tasks.spawn("database-watch", following);
        let (leases, over) = (Arc::new(Leases::default()), CancellationToken::new());
        let keeper = Keeper {
            leases: leases.clone(),
            store: store.clone(),
            config: config.clone(),
            over: over.clone(),
        };
        tasks.spawn("job-leases", keeper.run());
        let shared = Arc::new(Shared {
            places: Arc::new(Semaphore::new(usize::from(config.concurrency))),
            config,
            flags: Board::new(store.clone()),
            store,
            handlers,
            host,
            worker,
            database,
            suspect: Mutex::new(()),
            leases,
            _keeping: over.drop_guard(),
        });
        for queue in queues {
            let consumer = broker.consumer(queue, prefetch);
            tasks.spawn("job-consumer", serve(shared.clone(), queue, consumer));
        }
        Self { worker }
    }

    /// Identity of this worker, as in `jobs.lease_owner`.
    pub fn worker(&self) -> Uuid {
        self.worker
    }
}

async fn serve(shared: Arc<Shared>, queue: Queue, mut consumer: Consumer) {
    if store::watch::until_ready(&shared.store, &shared.database, &shared.host.shutdown).await.is_none() {
        return;
    }
    // The other half of the places is claimed for while the first half runs.
    let most = usize::from(shared.config.concurrency).div_ceil(2).min(MAX_BATCH);
    let name = queue.name();
    'deliveries: while let Some(delivery) = consumer.next().await {
        let mut batch = Batch::default();
        batch.add(name, delivery).await;
        // What has arrived by now, as far as there are places for it.
        let room = shared.places.available_permits().min(most);
        while batch.len() < room
            && let Some(delivery) = consumer.ready()
        {
            batch.add(name, delivery).await;
        }
        while !batch.is_empty() {
            let permit = match place(&shared).await {
                Place::Free(permit) => permit,
                Place::None => {
                    // Every place is taken by a job that runs longer: do not keep bells from other workers.
                    tracing::debug!(queue = name, "no place is free, giving deliveries back");
                    intake::give_up(&shared, name, batch).await;
                    consumer.pause().await;
                    wait_for_place(&shared).await;
                    consumer.narrow(u16::try_from(shared.places.available_permits()).unwrap_or(u16::MAX));
                    continue 'deliveries;
                }
                // A place that becomes free now is for nobody: no new work is taken.
                Place::Draining => break 'deliveries,
            };
            let permits = gather(&shared, permit, batch.len().min(most)).await;
            intake::take(&shared, name, &mut batch, permits).await;
        }
        if consumer.is_narrow()
            && shared.places.available_permits() * 2 >= usize::from(shared.config.concurrency)
        {
            consumer.pause().await;
            consumer.widen();
        }
    }
    consumer.cancel().await;
    consumer.pause().await;
    tracing::info!(queue = name, "consumer ended");
}

/// Whether a delivery can be taken.
enum Place {
    Free(OwnedSemaphorePermit),
    None,
    Draining,
}

async fn place(shared: &Shared) -> Place {
    let draining = shared.host.shutdown.draining();
    tokio::select! {
        biased;
        () = draining.cancelled() => Place::Draining,
        permit = deadline("a free place", PLACE, shared.places.clone().acquire_owned()) => match permit {
            Ok(Ok(permit)) => Place::Free(permit),
            _ => Place::None,
        },
    }
}

/// Places for as many as `wanted`, if they are free or become so in a moment: a claim costs the database nearly the same
/// for one job as for twenty.
async fn gather(shared: &Shared, first: OwnedSemaphorePermit, wanted: usize) -> Vec<OwnedSemaphorePermit> {
    let mut permits = vec![first];
    let missing = (wanted / 2).saturating_sub(1);
    if missing > shared.places.available_permits() {
        let missing = u32::try_from(missing).unwrap_or(u32::MAX);
        // Those that it has got are free again afterwards.
        let _ = deadline("more places", GATHER, shared.places.acquire_many(missing)).await;
    }
    while permits.len() < wanted
        && let Ok(permit) = shared.places.clone().try_acquire_owned()
    {
        permits.push(permit);
    }
    permits
}

async fn wait_for_place(shared: &Shared) {
    let draining = shared.host.shutdown.draining();
    tokio::select! {
        () = draining.cancelled() => {}
        // Let go again at once: the next delivery takes it.
        _ = shared.places.acquire() => {}
    }
}
