//! One campaign: a seed, a database, a broker prefix, processes, faults, and the comparison at the end.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use broker::{Broker, BrokerConfig};
use chassis::health::Health;
use chassis::lifecycle::{Shutdown, Tasks};
use chassis::time::{deadline, pause};
use contracts::jobs::Queue;
use domain::ids::CompanyId;
use futures::future::try_join_all;
use store::Store;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::asker::Asker;
use super::check::{Violation, violations};
use super::clock::ClockShim;
use super::facts::Facts;
use super::faults::{Act, Event, Extent, Server, draw};
use super::handler::ZOMBIE_REFUSED;
use super::members::{Member, Place, Role, logs};
use super::tables::TABLES;
use super::tally::Tally;
use crate::db::TestDb;
use crate::e2e::dice::Dice;
use crate::e2e::patience::wait_until;
use crate::e2e::sql::Sql;
use crate::rig::broker_config;
use crate::servers::unique;

/// Pause between two looks at the processes.
const LOOK: Duration = Duration::from_millis(40);
/// Pause between two looks at what is left.
const QUIET_LOOK: Duration = Duration::from_millis(150);
/// Longest call to the broker's administration.
const ADMIN: Duration = Duration::from_secs(5);
/// Longest start of a process on a busy machine.
const START: Duration = Duration::from_mins(1);
/// Variable that keeps the logs of campaigns that went well.
const KEEP: &str = "CHAOS_KEEP_LOGS";
/// Most violations that a failure lists.
const SHOWN: usize = 6;

/// Jobs of the campaign that still have to end, and bells that still have to be rung.
const UNDER_WAY: &str = "SELECT
    (SELECT count(*) FROM jobs_live WHERE kind LIKE '%.chaos%' AND state <> 'parked'
        AND NOT (state = 'scheduled' AND run_at > now() + interval '1 hour'))
    + (SELECT count(*) FROM outbox WHERE routing_key LIKE '%.chaos%') AS n";
/// What is stuck.
const LEFT: &str =
    "SELECT j.id, kind, payload, state, attempt, epoch, run_at, queued_at, resource_key, dedupe_key,
        lease_expires_at, lease_owner, priority, seq, now() AS now, errors -> -1 AS error,
        (SELECT jsonb_agg(to_jsonb(o)) FROM outbox o WHERE o.job_id = j.id) AS bells,
        (SELECT to_jsonb(r) FROM resource_leases r WHERE r.company_id = j.company_id
            AND r.resource_key = j.resource_key) AS resource
    FROM jobs_live j WHERE kind LIKE '%.chaos%' AND state <> 'parked'
        AND NOT (state = 'scheduled' AND run_at > now() + interval '1 hour') ORDER BY seq LIMIT 12";

/// How large a campaign is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Jobs.
    pub jobs: u64,
    /// Workers at most.
    pub workers: u64,
    /// Faults at least, and how many more there may be.
    pub faults: (u64, u64),
    /// Time in which jobs are asked for and faults begin.
    pub window: Duration,
    /// Longest time to come to rest afterwards.
    pub rest: Duration,
}

/// Where the servers are.
#[derive(Debug, Clone)]
pub struct Servers {
    /// Superuser URL of PostgreSQL.
    pub postgres: String,
    /// URL of RabbitMQ.
    pub amqp: String,
}

/// A campaign that is set up.
#[derive(Debug)]
pub struct Campaign {
    seed: u64,
    size: Size,
    members: Vec<Member>,
    askers: Vec<Asker>,
    events: Vec<Event>,
    folder: PathBuf,
    broker: Admin,
    tally: Tally,
    store: Store,
    owner: Sql,
    db: Option<TestDb>,
}

/// The broker's administration, as an operator with bad luck.
#[derive(Debug)]
struct Admin {
    prefix: String,
    broker: Broker,
    shutdown: Shutdown,
}

impl Admin {
    fn new(config: &BrokerConfig) -> Self {
        let (tasks, shutdown) = (Tasks::new(), Shutdown::new());
        let health = Health::watching(&shutdown);
        let broker = Broker::new(config, "chaos", &health, &tasks, &shutdown);
        Self { prefix: config.prefix.clone(), broker, shutdown }
    }

    /// False when the broker is away.
    async fn purge(&self) -> bool {
        let purged =
            try_join_all([Queue::Maintenance, Queue::Messages].map(|queue| self.broker.purge(queue)));
        matches!(deadline("purging", ADMIN, purged).await, Ok(Ok(_)))
    }

    /// False when the broker is away.
    async fn wipe(&self) -> bool {
        matches!(deadline("wiping", ADMIN, self.broker.delete_topology()).await, Ok(Ok(())))
    }
}

impl Campaign {
    /// Draws a campaign from its seed and prepares its database; nothing runs yet.
    ///
    /// # Errors
    /// When the servers refuse.
    pub async fn set_up(seed: u64, size: Size, servers: &Servers, shim: &ClockShim) -> Result<Self> {
        let mut dice = Dice::new(seed);
        let folder = std::env::temp_dir().join(format!("syncline-chaos-{seed}-{}", unique()));
        std::fs::create_dir_all(&folder).context("creating the log folder")?;
        let db = TestDb::create_at(servers.postgres.clone()).await.context("making a database")?;
        let sql = Sql::new(&db.owner_url);
        sql.run(TABLES).await?;
        let broker = broker_config(&servers.amqp);

        let lease = 3 + dice.below(3);
        let extent = Extent {
            workers: usize::try_from(2 + dice.below(size.workers.max(2) - 1))?,
            // Two at once as a rule; one alone shows what the other hides.
            schedulers: if dice.once_in(5) { 1 } else { 2 },
            faults: size.faults.0 + dice.below(size.faults.1.max(1)),
            window: size.window,
            lease: Duration::from_secs(lease),
        };
        let events = draw(&mut dice, extent);
        let place = Place {
            database: &db.app_url,
            amqp: &servers.amqp,
            prefix: &broker.prefix,
            folder: &folder,
            shim,
            lease_seconds: lease,
        };
        let mut members = Vec::new();
        for n in 0..extent.workers {
            members.push(Member::new(Role::Worker, n + 1, &place).await?);
        }
        for n in 0..extent.schedulers {
            members.push(Member::new(Role::Scheduler, n + 1, &place).await?);
        }
        // One company has most of the jobs.
        let crash_loops = u64::from(dice.once_in(8));
        let mut askers = Vec::new();
        for (n, share) in [6, 3, 1].into_iter().enumerate() {
            let company = CompanyId(chassis::ids::new_id());
            sql.run(&format!("INSERT INTO companies (id, name) VALUES ('{company}', 'Chaos {n}')")).await?;
            askers.push(Asker {
                dice: Dice::new(dice.roll()),
                company,
                jobs: size.jobs * share / 10,
                largest_batch: *dice.pick(&[4, 12, 40, 120]),
                window: size.window,
                kills: if n == 1 { crash_loops } else { 0 },
            });
        }
        let broker = Admin::new(&broker);
        Ok(Self {
            seed,
            size,
            members,
            askers,
            events,
            folder,
            broker,
            tally: Tally::default(),
            store: db.store.clone(),
            owner: sql,
            db: Some(db),
        })
    }

    /// Runs it, and compares. Whole servers may break until `calm`; then what was broken is mended, and everything
    /// must come to rest.
    ///
    /// # Errors
    /// Beside what was done: whatever is not as it must be, with the events that led there and the folder of the
    /// logs.
    pub async fn run(mut self, calm: CancellationToken) -> (Tally, Result<()>) {
        let began = Instant::now();
        let played = self.play(&calm).await;
        let kept = match played {
            Ok(()) if std::env::var_os(KEEP).is_some() => {
                eprintln!("seed {}: logs: {}", self.seed, self.folder.display());
                Ok(())
            }
            Ok(()) => std::fs::remove_dir_all(&self.folder).context("removing the logs"),
            Err(error) => {
                let events: Vec<String> = self.events.iter().map(ToString::to_string).collect();
                Err(error.context(format!(
                    "seed {} after {:.1} s; logs: {}\n{}",
                    self.seed,
                    began.elapsed().as_secs_f64(),
                    self.folder.display(),
                    events.join("\n")
                )))
            }
        };
        self.close().await;
        let _ = write!(self.tally.phases, ", closed {:.1}", began.elapsed().as_secs_f64());
        (self.tally, kept)
    }

    /// Removes what it made at the servers, without holding up the campaigns beside it.
    async fn close(&mut self) {
        // The processes first: what they wrote last must not come back.
        self.members.clear();
        // Twice: a topology that a member declared again halfway, or a server that had just come back.
        if !self.broker.wipe().await && !self.broker.wipe().await {
            eprintln!("seed {}: the broker keeps {}", self.seed, self.broker.prefix);
        }
        let _ = deadline("closing", ADMIN, self.broker.broker.close()).await;
        self.broker.shutdown.stop();
        if let Some(db) = self.db.take() {
            drop(tokio::task::spawn_blocking(move || drop(db)).await);
        }
    }

    async fn play(&mut self, calm: &CancellationToken) -> Result<()> {
        let began = Instant::now();
        let mut phases = Vec::new();
        let mut phase = |name: &str| phases.push(format!("{name} {:.1}", began.elapsed().as_secs_f64()));
        for member in &mut self.members {
            member.start()?;
        }
        for member in &mut self.members {
            let label = member.label().to_owned();
            wait_until(START, &format!("{label} starts"), async || member.has_started()).await?;
        }
        phase("started");
        let store = self.store.clone();
        let asking =
            try_join_all(std::mem::take(&mut self.askers).into_iter().map(|asker| asker.run(store.clone())));
        let asked = async {
            let ghosts = asking.await.context("asking for jobs")?.concat();
            Ok((ghosts, began.elapsed().as_secs_f64()))
        };
        let ((ghosts, asked), ()) = tokio::try_join!(asked, self.disturb(calm))?;
        phase(&format!("asked {asked:.1}, calm"));
        for member in &mut self.members {
            member.heal().await?;
        }
        self.rest().await?;
        phase("rest");
        for member in &mut self.members {
            member.end().await?;
            self.tally.aborted += u64::from(member.aborted());
        }
        phase("ended");
        let compared = self.compare(&ghosts).await;
        phase("compared");
        self.tally.phases = format!("seed {}, seconds: {}", self.seed, phases.join(", "));
        compared
    }

    /// Does what was drawn, each at its moment.
    async fn disturb(&mut self, calm: &CancellationToken) -> Result<()> {
        let began = Instant::now();
        for event in self.events.clone() {
            loop {
                self.tend()?;
                let Some(left) = event.at.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) else {
                    break;
                };
                pause(left.min(LOOK)).await;
            }
            self.act(event.act).await.with_context(|| event.to_string())?;
        }
        while !calm.is_cancelled() {
            self.tend()?;
            pause(LOOK).await;
        }
        Ok(())
    }

    fn tend(&mut self) -> Result<()> {
        self.members.iter_mut().try_for_each(Member::tend)
    }

    async fn act(&mut self, act: Act) -> Result<()> {
        let mut happened = true;
        match act {
            Act::Kill(who) => self.members[who].kill().await?,
            Act::Start(who) => self.members[who].start()?,
            Act::Rollout(who) => {
                self.members[who].retire().await?;
                self.members[who].start()?;
            }
            Act::ScaleDown(who) => self.members[who].retire().await?,
            Act::Stop(who) => self.members[who].stop().await?,
            Act::Continue(who) => self.members[who].resume().await?,
            Act::Cut(who, Server::Database) => self.members[who].database.cut(),
            Act::Cut(who, Server::Broker) => self.members[who].broker.cut(),
            Act::Network(who, Server::Database, weather) => self.members[who].database.set(weather),
            Act::Network(who, Server::Broker, weather) => self.members[who].broker.set(weather),
            Act::Clock(who, seconds) => self.members[who].clock.set(seconds)?,
            Act::Purge => happened = self.broker.purge().await,
            Act::Wipe => happened = self.broker.wipe().await,
        }
        if let Some(name) = act.name().filter(|_| happened) {
            self.tally.fault(name);
        }
        Ok(())
    }

    /// Until every job has ended, on its own.
    async fn rest(&mut self) -> Result<()> {
        let began = Instant::now();
        loop {
            self.tend()?;
            // The database may be away; then there is no rest.
            let left = deadline("looking", ADMIN, async {
                let mut tx = self.store.dispatch().await?;
                store::admin::rows_in(&mut tx, UNDER_WAY).await
            });
            let left = left.await;
            if let Ok(Ok(rows)) = &left
                && rows.first().is_some_and(|row| row["n"] == 0)
            {
                return Ok(());
            }
            if began.elapsed() > self.size.rest {
                let rows = self.owner.rows(LEFT).await.unwrap_or_default();
                let rows: Vec<String> = rows.iter().map(ToString::to_string).collect();
                bail!("not at rest within {:?}: {left:?}\n{}", self.size.rest, rows.join("\n"));
            }
            pause(QUIET_LOOK).await;
        }
    }

    async fn compare(&mut self, ghosts: &[Uuid]) -> Result<()> {
        let facts = Facts::read(&self.owner, ghosts).await?;
        let found = violations(&facts);
        self.tally.count(&facts, &found);
        for log in logs(&self.folder, "worker-")? {
            let text = std::fs::read_to_string(&log).context("reading a log")?;
            self.tally.zombies += text.matches(ZOMBIE_REFUSED).count() as u64;
        }
        if found.is_empty() {
            return Ok(());
        }
        let shown: Vec<String> =
            found.iter().take(SHOWN).map(|Violation { kind, what }| format!("{kind}: {what}")).collect();
        bail!("{} violations\n{}", found.len(), shown.join("\n"));
    }
}
