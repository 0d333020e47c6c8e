//! The processes of a campaign: workers and schedulers, each behind proxies and with a clock of its own.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::clock::{ClockShim, ProcessClock};
use crate::e2e::process::{Launch, Process};
use crate::proxy::Proxy;

/// Longest end after SIGTERM: the grace and a margin for a busy machine.
const END: Duration = Duration::from_secs(30);
/// Signal of a process that killed itself on purpose (SIGABRT).
const ABORTED: i32 = 6;
/// SIGTERM, which ends a process that does not listen for signals yet.
const TERMINATED: i32 = 15;
/// In the log of a process that listens for signals.
const STARTED: &str = "\"started\"";

/// What a member runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The campaign's worker.
    Worker,
    /// The product's scheduler.
    Scheduler,
}

/// One replica.
#[derive(Debug)]
pub struct Member {
    /// What it runs.
    pub role: Role,
    /// Before PostgreSQL.
    pub database: Proxy,
    /// Before RabbitMQ.
    pub broker: Proxy,
    /// Its wall clock.
    pub clock: ProcessClock,
    launch: Launch,
    current: Option<Process>,
    /// Asked to end, with a replacement already at work.
    leaving: Vec<Process>,
    /// Starts, so that each has a log of its own.
    starts: u32,
    /// How often it killed itself on purpose.
    aborted: u32,
}

/// Where members find things.
#[derive(Debug)]
pub struct Place<'a> {
    /// URL of the application role.
    pub database: &'a str,
    /// URL of RabbitMQ.
    pub amqp: &'a str,
    /// Prefix at the broker.
    pub prefix: &'a str,
    /// Folder of logs and clocks.
    pub folder: &'a Path,
    /// The library of the clocks.
    pub shim: &'a ClockShim,
    /// Lease of jobs, in seconds.
    pub lease_seconds: u64,
}

impl Member {
    /// A replica that does not run yet.
    ///
    /// # Errors
    /// When its clock cannot be made.
    pub async fn new(role: Role, n: usize, place: &Place<'_>) -> Result<Self> {
        let (database, database_url) = Proxy::before(place.database, 5432).await;
        let (broker, amqp_url) = Proxy::before(place.amqp, 5672).await;
        let (program, label, admin) = match role {
            Role::Worker => ("chaos_worker", format!("worker-{n}"), "CHAOS_WORKER_ADMIN_ADDR"),
            Role::Scheduler => ("scheduler", format!("scheduler-{n}"), "SCHEDULER_ADMIN_ADDR"),
        };
        let mut env: BTreeMap<String, String> = [
            ("APP_ENV", "development".to_owned()),
            ("LOG_FORMAT", "json".to_owned()),
            ("LOG_LEVEL", "info".to_owned()),
            ("DATABASE_URL", database_url),
            ("AMQP_URL", amqp_url),
            ("AMQP_PREFIX", place.prefix.to_owned()),
            (admin, "127.0.0.1:0".to_owned()),
            ("SHUTDOWN_GRACE_SECONDS", "4".to_owned()),
            ("WORKER_CONCURRENCY", "8".to_owned()),
            ("CHAOS_LEASE_SECONDS", place.lease_seconds.to_string()),
            ("LOST_BELL_SECONDS", "1".to_owned()),
            // The product's own sweeps are not part of this.
            ("ONEDRIVE_SYNC_ENABLED", "false".to_owned()),
            ("SYNC_INTERVAL_MINUTES", "1440".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let clock = place.shim.clock(place.folder, &label)?;
        clock.wear(&mut env);
        let launch = Launch {
            program: program.to_owned(),
            label,
            args: Vec::new(),
            env,
            ready: None,
            logs: place.folder.to_owned(),
        };
        Ok(Self {
            role,
            database,
            broker,
            clock,
            launch,
            current: None,
            leaving: Vec::new(),
            starts: 0,
            aborted: 0,
        })
    }

    /// Name of the replica.
    pub fn label(&self) -> &str {
        &self.launch.label
    }

    /// How often it killed itself on purpose.
    pub fn aborted(&self) -> u32 {
        self.aborted
    }

    /// Starts the process, unless one runs.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self) -> Result<()> {
        if self.current.is_some() {
            return Ok(());
        }
        self.starts += 1;
        let label = format!("{}.{}", self.launch.label, self.starts);
        let mut process = Process::new(Launch { label, ..self.launch.clone() });
        process.start()?;
        self.current = Some(process);
        Ok(())
    }

    /// Whether the process listens for signals and has started its tasks.
    ///
    /// # Errors
    /// When it ended instead.
    pub fn has_started(&mut self) -> Result<bool> {
        self.tend()?;
        let log = self.current.as_ref().map(Process::log);
        Ok(log.is_some_and(|log| std::fs::read_to_string(log).is_ok_and(|log| log.contains(STARTED))))
    }

    /// SIGKILL, unless none runs.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(&mut self) -> Result<()> {
        match self.current.take() {
            Some(mut process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// SIGTERM; the process may take its time, a replacement may start at once.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn retire(&mut self) -> Result<()> {
        self.tend()?;
        if let Some(process) = self.current.take() {
            process.signal("TERM").await?;
            self.leaving.push(process);
        }
        Ok(())
    }

    /// SIGSTOP, unless none runs.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn stop(&mut self) -> Result<()> {
        self.tend()?;
        match &self.current {
            Some(process) => process.signal("STOP").await,
            None => Ok(()),
        }
    }

    /// SIGCONT to all there are: one that was stopped may have been asked to end meanwhile.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn resume(&mut self) -> Result<()> {
        self.tend()?;
        for process in self.current.iter().chain(&self.leaving) {
            process.signal("CONT").await?;
        }
        Ok(())
    }

    /// Notices what has ended by itself: a worker that was told to kill itself starts again, any other end is an
    /// error, and so is a failing exit code after SIGTERM.
    ///
    /// # Errors
    /// With the end of the log.
    pub fn tend(&mut self) -> Result<()> {
        let mut left = Vec::new();
        for mut process in self.leaving.drain(..) {
            match process.exited()? {
                None => left.push(process),
                Some(status) => graceful(&process, status)?,
            }
        }
        self.leaving = left;
        let Some(process) = &mut self.current else { return Ok(()) };
        let Some(status) = process.exited()? else { return Ok(()) };
        if status.signal() != Some(ABORTED) {
            bail!("{} ended by itself with {status}:\n{}", process.label(), process.tail());
        }
        self.aborted += 1;
        self.current = None;
        self.start()
    }

    /// Clear weather and the right time, and a running process.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn heal(&mut self) -> Result<()> {
        self.database.open();
        self.broker.open();
        self.clock.set(0)?;
        self.resume().await?;
        self.start()
    }

    /// SIGTERM, and the end of everything.
    ///
    /// # Errors
    /// When a process does not end in time, or with a failing exit code.
    pub async fn end(&mut self) -> Result<()> {
        self.retire().await?;
        for mut process in self.leaving.drain(..) {
            let status = process.end(END).await?;
            graceful(&process, status)?;
        }
        Ok(())
    }
}

/// An end after SIGTERM: exit code 0. A job may have killed the process on its way out, and one that had not
/// begun to listen took no work.
fn graceful(process: &Process, status: ExitStatus) -> Result<()> {
    let young = || std::fs::read_to_string(process.log()).is_ok_and(|log| !log.contains(STARTED));
    match status.signal() {
        Some(ABORTED) => Ok(()),
        Some(TERMINATED) if young() => Ok(()),
        None if status.success() => Ok(()),
        _ => bail!("{} ended with {status} after SIGTERM:\n{}", process.label(), process.tail()),
    }
}

/// Every log of the folder that begins with `label`.
///
/// # Errors
/// When the folder cannot be read.
pub fn logs(folder: &Path, label: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).context("reading the log folder")? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(label) && path.extension().is_some_and(|extension| extension == "log") {
            found.push(path);
        }
    }
    Ok(found)
}
