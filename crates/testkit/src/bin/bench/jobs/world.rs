//! A database, a broker prefix, a scheduler and workers, all fresh.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use broker::BrokerConfig;
use domain::ids::CompanyId;
use outbound::http::HttpClient;
use serde_json::Value;
use store::jobs::{NewJob, enqueue_many};
use testkit::TestDb;
use testkit::bench_job::EFFECTS;
use testkit::e2e::caller::http;
use testkit::e2e::patience::wait_until;
use testkit::e2e::ports::Ports;
use testkit::e2e::process::{Launch, Process};
use testkit::e2e::sql::Sql;
use testkit::rig::broker_config;
use testkit::servers::{amqp_url, postgres_url, unique};

use super::knobs;

/// Longest start of a process.
const START: Duration = Duration::from_mins(1);
/// Longest drain.
const LONG: Duration = Duration::from_mins(20);
/// Jobs of one call that enqueues.
const BULK: usize = 10_000;

/// A place for one measurement.
#[derive(Debug)]
pub struct World {
    /// The database, past row-level security.
    pub sql: Sql,
    /// A company.
    pub company: CompanyId,
    /// Prefix and URL of the broker.
    pub broker: BrokerConfig,
    /// Folder of the logs.
    pub folder: PathBuf,
    /// Client for readiness.
    pub http: Arc<HttpClient>,
    db: TestDb,
    ports: Ports,
}

impl World {
    /// Makes it.
    pub async fn new() -> Result<Self> {
        let db = TestDb::create_at(postgres_url()).await.context("making a database")?;
        let sql = Sql::new(db.owner_url.clone());
        sql.run(EFFECTS).await?;
        let company = db.company().await;
        let folder = std::env::temp_dir().join(format!("syncline-bench-{}", unique()));
        std::fs::create_dir_all(&folder).context("creating the log folder")?;
        let broker = broker_config(&amqp_url());
        Ok(Self { sql, company, broker, folder, http: http()?, db, ports: Ports::take()? })
    }

    /// A service with the settings that it has by default.
    pub fn service(&mut self, program: &str, env: &[(&str, String)]) -> Result<Process> {
        let admin = self.ports.address()?;
        let mut all = BTreeMap::from([
            ("APP_ENV".to_owned(), "development".to_owned()),
            ("CACHE_PROVIDER".to_owned(), "memory".to_owned()),
            ("DATABASE_URL".to_owned(), self.db.app_url.clone()),
            ("AMQP_URL".to_owned(), amqp_url()),
            ("AMQP_PREFIX".to_owned(), self.broker.prefix.clone()),
            // A sweep in the middle of a measurement would be measured.
            ("ONEDRIVE_SYNC_ENABLED".to_owned(), "false".to_owned()),
            ("SYNC_INTERVAL_MINUTES".to_owned(), "1440".to_owned()),
        ]);
        all.insert(format!("{}_ADMIN_ADDR", program.to_uppercase().replace('-', "_")), admin.to_string());
        all.extend(env.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        Ok(Process::new(Launch {
            program: program.to_owned(),
            label: program.to_owned(),
            args: Vec::new(),
            env: all,
            ready: Some(format!("http://{admin}/readyz")),
            logs: self.folder.clone(),
        }))
    }

    /// A free address.
    pub fn address(&mut self) -> Result<SocketAddr> {
        self.ports.address()
    }

    /// A worker of this many jobs at a time, which does not run yet.
    pub fn worker(&mut self, concurrency: u32) -> Result<Process> {
        self.service(
            "bench-worker",
            &[
                ("WORKER_CONCURRENCY", concurrency.to_string()),
                ("DATABASE_MAX_CONNECTIONS", knobs::connections()?.to_string()),
            ],
        )
    }

    /// A running scheduler.
    pub async fn scheduler(&mut self, env: &[(&str, String)]) -> Result<Process> {
        let mut scheduler = self.service("scheduler", env)?;
        scheduler.start()?;
        scheduler.ready(&self.http, START).await?;
        Ok(scheduler)
    }

    /// Starts a process and waits until it is ready.
    pub async fn started(&self, process: &mut Process) -> Result<()> {
        process.start()?;
        process.ready(&self.http, START).await
    }

    /// Enqueues jobs in bulk, in transactions of 10,000.
    pub async fn enqueue(&self, jobs: u32, make: impl Fn() -> Result<NewJob>) -> Result<()> {
        let mut left = usize::try_from(jobs)?;
        while left > 0 {
            let size = left.min(BULK);
            let bulk = (0..size).map(|_| make()).collect::<Result<Vec<_>>>()?;
            let mut tx = self.db.store.tenant(self.company).await?;
            enqueue_many(&mut tx, bulk).await?;
            tx.commit().await?;
            left -= size;
        }
        Ok(())
    }

    /// Waits until the relay has rung as many bells as it will.
    pub async fn relayed(&self) -> Result<()> {
        let mut before = -1;
        wait_until(LONG, "the relay has rung", async || {
            let waiting = self.sql.number("SELECT count(*) FROM outbox").await?;
            let settled = waiting == 0 || waiting == before;
            before = waiting;
            if !settled {
                chassis::time::pause(Duration::from_secs(1)).await;
            }
            Ok(settled)
        })
        .await
    }

    /// Waits until every bell is confirmed.
    pub async fn outbox_empty(&self) -> Result<()> {
        wait_until(LONG, "every bell is confirmed", async || {
            Ok(self.sql.number("SELECT count(*) FROM outbox").await? == 0)
        })
        .await
    }

    /// Starts a worker, ours or another, and gives the jobs per second until the last of the effects in `table`.
    pub async fn drain(&self, worker: &mut Process, table: &str, jobs: u32) -> Result<f64> {
        let started = self.float("SELECT extract(epoch FROM clock_timestamp())::float8").await?;
        worker.start()?;
        self.effects(table, jobs)
            .await
            .with_context(|| format!("the worker's log ends with\n{}", worker.tail()))?;
        let last = self.float(&format!("SELECT extract(epoch FROM max(at))::float8 FROM {table}")).await?;
        self.exactly_once(table, jobs).await?;
        Ok(f64::from(jobs) / (last - started))
    }

    /// Waits until so many effects are committed.
    pub async fn effects(&self, table: &str, jobs: u32) -> Result<()> {
        let count = format!("SELECT count(*) FROM {table}");
        wait_until(LONG, "every effect", async || {
            // Seldom, so that the looking costs nothing; the time is that of the last row.
            chassis::time::pause(Duration::from_millis(400)).await;
            Ok(self.sql.number(&count).await? >= i64::from(jobs))
        })
        .await
    }

    /// A faster drain that did something twice is none.
    pub async fn exactly_once(&self, table: &str, jobs: u32) -> Result<()> {
        let counts = format!("SELECT count(*) AS n, count(DISTINCT job_id) AS d FROM {table}");
        let row = self.sql.rows(&counts).await?.pop().context("no count")?;
        ensure!(
            row["n"] == jobs && row["d"] == jobs,
            "{table} has {} effects of {} jobs, not one for each of {jobs}",
            row["n"],
            row["d"]
        );
        Ok(())
    }

    /// The one number that a query gives.
    pub async fn float(&self, query: &str) -> Result<f64> {
        let value: Value = self.sql.value(query).await?;
        value.as_f64().with_context(|| format!("{query}: {value} is no number"))
    }

    /// URL of the application role.
    pub fn app_url(&self) -> &str {
        &self.db.app_url
    }

    /// Owner's address of the database, for the limits: no row-level security.
    pub fn database(&self) -> &str {
        &self.db.owner_url
    }

    /// Removes the logs; they stay when this is not reached.
    pub fn finish(self) -> Result<()> {
        std::fs::remove_dir_all(&self.folder).context("removing the logs")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        testkit::rig::clean_broker(&self.broker);
    }
}

/// Ends processes as Kubernetes does; each must end well.
pub async fn stop(processes: Vec<Process>) -> Result<()> {
    for mut process in processes {
        let status = process.terminate(Duration::from_secs(40)).await?;
        ensure!(status.success(), "{} ended with {status}:\n{}", process.label(), process.tail());
    }
    Ok(())
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
