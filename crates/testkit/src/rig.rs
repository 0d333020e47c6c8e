//! Database, broker, workers and schedulers of one test, in its process.

use std::time::Duration;

use broker::{Broker, BrokerConfig};
use chassis::config::SecretSource;
use chassis::health::Health;
use chassis::lifecycle::{Shutdown, Tasks};
use chassis::secret::Secret;
use domain::ids::CompanyId;
use job_runtime::{Handlers, Host, Runtime, RuntimeConfig};
use scheduler::{Parts, SchedulerConfig};
use store::jobs::{Enqueued, NewJob, enqueue};
use store::schedules::DefaultSchedule;
use store::{DatabaseConfig, Store};

use crate::db::{TestDb, fresh_database};
use crate::proxy::Proxy;
use crate::servers::{amqp_url, block_on, unique};
use crate::wait::within;

/// A private world for a test of jobs.
#[derive(Debug)]
pub struct Rig {
    /// The database.
    pub db: TestDb,
    /// Broker settings with a prefix of this test alone.
    pub broker: BrokerConfig,
    /// A company.
    pub company: CompanyId,
}

/// Something that was started and can be stopped by itself, as a process can.
#[derive(Debug)]
pub struct Process {
    /// Its tasks.
    pub tasks: Tasks,
    /// Its shutdown.
    pub shutdown: Shutdown,
    /// Its dependencies.
    pub health: Health,
}

impl Process {
    fn new() -> Self {
        let shutdown = Shutdown::new();
        Self { tasks: Tasks::new(), health: Health::watching(&shutdown), shutdown }
    }

    /// One without a rig, for a server of the test's own.
    pub fn alone() -> Self {
        Self::new()
    }

    /// A broker that lives as long as this process.
    pub fn broker(&self, config: &BrokerConfig) -> Broker {
        Broker::new(config, "test", &self.health, &self.tasks, &self.shutdown)
    }

    fn host(&self) -> Host {
        Host { tasks: self.tasks.clone(), shutdown: self.shutdown.clone(), health: self.health.clone() }
    }

    /// Drains, as on SIGTERM, and waits until every task has ended.
    ///
    /// # Panics
    /// When they do not within a minute.
    pub async fn drain(self) {
        self.shutdown.begin();
        within("the process drains", self.tasks.wait()).await;
    }

    /// Stops at once, as when the grace is over: what runs is handed back.
    ///
    /// # Panics
    /// When the tasks do not end within a minute.
    pub async fn stop(self) {
        self.shutdown.stop();
        within("the process stops", self.tasks.wait()).await;
    }
}

/// Where a process finds its servers.
#[derive(Debug, Clone)]
pub struct Place {
    /// The database.
    pub database: DatabaseConfig,
    /// The broker.
    pub broker: BrokerConfig,
}

impl Place {
    /// A worker.
    ///
    /// # Panics
    /// When the database's URL cannot be used.
    pub fn worker(&self, handlers: Handlers, config: RuntimeConfig) -> Process {
        let process = Process::new();
        let store = Store::new(&self.database, "test-worker").expect("a database URL");
        let broker =
            Broker::new(&self.broker, "test-worker", &process.health, &process.tasks, &process.shutdown);
        Runtime::start(config, store, &broker, handlers, process.host());
        process
    }

    /// A scheduler with these schedules, which rings lost bells after a second.
    ///
    /// # Panics
    /// When the database's URL cannot be used.
    pub fn scheduler(&self, schedules: Vec<DefaultSchedule>) -> Process {
        self.scheduler_losing(schedules, Duration::from_secs(1))
    }

    /// A scheduler with these schedules, which rings lost bells after this time.
    ///
    /// # Panics
    /// When the database's URL cannot be used.
    pub fn scheduler_losing(&self, schedules: Vec<DefaultSchedule>, lost_after: Duration) -> Process {
        let process = Process::new();
        let config = SchedulerConfig {
            database: self.database.clone(),
            broker: self.broker.clone(),
            schedules,
            lost_after,
            history_days: 30,
            realtime: true,
        };
        let parts =
            Parts::new(&config, &process.health, &process.tasks, &process.shutdown).expect("a database URL");
        scheduler::spawn(&parts, &config, &process.tasks);
        process
    }
}

impl Rig {
    /// A fresh database with a company, and a broker prefix.
    pub async fn new() -> Self {
        let db = fresh_database().await;
        let company = db.company().await;
        Self { db, broker: broker_config(&amqp_url()), company }
    }

    /// Where the servers are, for the processes of this rig.
    pub fn place(&self) -> Place {
        Place { database: self.db.config.clone(), broker: self.broker.clone() }
    }

    /// Proxies before PostgreSQL and RabbitMQ, and the place behind them.
    pub async fn proxied(&self) -> (Proxy, Proxy, Place) {
        let (to_database, database) = self.db.proxied().await;
        let (to_broker, url) = Proxy::before(&amqp_url(), 5672).await;
        let url = SecretSource::fixed(Secret::from(url));
        let broker = BrokerConfig { url, prefix: self.broker.prefix.clone() };
        (to_database, to_broker, Place { database, broker })
    }

    /// A worker with a short lease.
    pub fn worker(&self, handlers: Handlers) -> Process {
        self.worker_with(handlers, RuntimeConfig { queues: None, concurrency: 8, lease_seconds: 6 })
    }

    /// A worker.
    pub fn worker_with(&self, handlers: Handlers, config: RuntimeConfig) -> Process {
        self.place().worker(handlers, config)
    }

    /// A scheduler without schedules.
    pub fn scheduler(&self) -> Process {
        self.place().scheduler(Vec::new())
    }

    /// A scheduler without schedules that does not look for lost bells as long as a test takes: for tests that
    /// take bells off a queue and claim nothing.
    pub fn trusting_scheduler(&self) -> Process {
        self.place().scheduler_losing(Vec::new(), Duration::from_hours(1))
    }

    /// A broker by itself.
    pub fn bare_broker(&self) -> (Broker, Process) {
        self.bare_broker_at(&self.broker)
    }

    /// A broker by itself, with other settings.
    pub fn bare_broker_at(&self, config: &BrokerConfig) -> (Broker, Process) {
        let process = Process::new();
        (process.broker(config), process)
    }

    /// Enqueues a job in a transaction of its own.
    ///
    /// # Panics
    /// When it cannot be written.
    pub async fn enqueue(&self, job: NewJob) -> Enqueued {
        let mut tx = self.db.store.tenant(self.company).await.expect("a transaction");
        let enqueued = enqueue(&mut tx, job).await.expect("a job");
        tx.commit().await.expect("a commit");
        enqueued
    }

    /// Jobs in a state.
    pub async fn count(&self, state: &str) -> i64 {
        self.db.number(&format!("SELECT count(*) FROM jobs WHERE state = '{state}'")).await
    }
}

/// Settings with a prefix that no other test has.
pub fn broker_config(url: &str) -> BrokerConfig {
    BrokerConfig { url: SecretSource::fixed(Secret::from(url)), prefix: format!("t{}.", unique()) }
}

impl Drop for Rig {
    fn drop(&mut self) {
        clean_broker(&self.broker);
    }
}

/// Deletes the exchanges and queues of a prefix.
pub fn clean_broker(config: &BrokerConfig) {
    let config = config.clone();
    block_on(async move {
        let process = Process::new();
        let broker = Broker::new(&config, "test-cleaner", &process.health, &process.tasks, &process.shutdown);
        if let Err(error) = broker.delete_topology().await {
            eprintln!("cleaning up the broker: {}", chassis::telemetry::chain(&error));
        }
        broker.close().await;
        process.stop().await;
    });
}
