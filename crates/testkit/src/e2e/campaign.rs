//! The kill campaign: imports and changes with faults on, while services and servers are killed at random
//! moments. The end state must be that of an undisturbed run.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::caller::encode;
use super::dice::Dice;
use super::platform::{Options, Platform};
use super::stack::Stack;
use super::tenant::Tenant;

/// Longest time until a wave has come to rest after the last kill.
const REST: Duration = Duration::from_mins(5);
/// Fewest kills of a phase, and how many more there may be; well below what is a crash loop.
const KILLS: (u64, u64) = (2, 5);
/// A wave that took longer shows what held it up.
const SLOW: Duration = Duration::from_mins(1);

/// What a campaign does.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Seed of the first wave; each further wave takes the next number.
    pub seed: u64,
    /// Small drives (200 to 600 items) in all.
    pub small: u32,
    /// Drives of one wave, imported at the same time.
    pub together: u32,
    /// Large drives (20,000 items), each a wave of its own.
    pub large: u32,
    /// Items of a large drive.
    pub large_items: u32,
}

/// What a campaign did.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// Drives that were compared.
    pub drives: u32,
    /// Documents that were compared.
    pub documents: usize,
    /// Kills by victim.
    pub kills: std::collections::BTreeMap<String, u32>,
}

/// Runs a campaign; `stack` are the servers that may be killed too.
///
/// # Errors
/// The first wave that ends in another state than an undisturbed run, with its seed.
pub async fn run(plan: &Plan, stack: Option<&Stack>, mut note: impl FnMut(&str)) -> Result<Tally> {
    let mut options = Options { workers: 2, ..options(stack) }.env("GRAPH_PAGE_SIZE", "50");
    options.env.insert("LOG_LEVEL".to_owned(), "info".to_owned());
    let mut platform = Platform::start(options).await?;
    let mut tally = Tally::default();
    let mut seed = plan.seed;
    let mut left = plan.small;
    let mut large = plan.large;
    while left > 0 || large > 0 {
        let began = Instant::now();
        let drives = if left > 0 { plan.together.clamp(1, left) } else { 1 };
        let items = if left > 0 { None } else { Some(plan.large_items) };
        let before = tally.clone();
        let mut wave = Wave { platform: &mut platform, stack, dice: Dice::new(seed), tally: &mut tally };
        wave.run(seed, drives, items)
            .await
            .with_context(|| format!("CHAOS_SEED={seed} ({drives} drives, large: {})", items.is_some()))?;
        if left > 0 {
            left -= drives;
        } else {
            large -= 1;
        }
        if began.elapsed() > SLOW {
            note(&slowest(&platform).await?);
        }
        note(&format!(
            "seed {seed}: {drives} drives, {} documents, {} kills, {:.1} s",
            tally.documents - before.documents,
            tally.kills.values().sum::<u32>() - before.kills.values().sum::<u32>(),
            began.elapsed().as_secs_f64()
        ));
        seed += 1;
    }
    platform.stop().await?;
    Ok(tally)
}

/// The three jobs that took longest in the last minutes, with their errors.
async fn slowest(platform: &Platform) -> Result<String> {
    let rows = platform.sql.rows(
        "SELECT kind, attempt, interruptions, round(extract(epoch FROM finished_at - created_at)) AS seconds,
             (SELECT string_agg(e ->> 'message', ' | ') FROM jsonb_array_elements(errors) e) AS errors
         FROM jobs_finished WHERE finished_at > now() - interval '5 minutes'
         ORDER BY finished_at - created_at DESC LIMIT 3",
    );
    Ok(rows.await?.iter().map(Value::to_string).collect::<Vec<_>>().join("\n"))
}

fn options(stack: Option<&Stack>) -> Options {
    match stack {
        Some(stack) => Options {
            google: false,
            audit: false,
            workers: 2,
            connectors: 1,
            // One that is emptied whenever it is killed.
            env: [("CACHE_PROVIDER", "redis"), ("REDIS_URL", stack.redis.as_str())]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            emulator: Vec::new(),
            postgres: stack.postgres.clone(),
            amqp: stack.amqp.clone(),
        },
        None => Options::default(),
    }
}

struct Wave<'a> {
    platform: &'a mut Platform,
    stack: Option<&'a Stack>,
    dice: Dice,
    tally: &'a mut Tally,
}

impl Wave<'_> {
    async fn run(&mut self, seed: u64, drives: u32, items: Option<u32>) -> Result<()> {
        let mut tenants = Vec::new();
        for n in 0..drives {
            let size = items.unwrap_or_else(|| 200 + u32::try_from(self.dice.below(401)).unwrap_or(0));
            let id = format!("b!chaos-{seed}-{n}-{}", crate::servers::unique());
            let options = self.behaviour();
            let tenant =
                Tenant::generated(self.platform, &id, seed * 1000 + u64::from(n), size, options).await?;
            tenant.without_mass_change_limit().await?;
            tenants.push(tenant);
        }
        self.faults().await?;
        for tenant in &tenants {
            tenant.register().await?;
        }
        let window = if items.is_some() { 30_000 } else { 2_500 };
        self.kill_about(window).await?;
        self.rest(&tenants).await.context("import")?;
        for tenant in &tenants {
            let spurious = tenant.rows(self.platform, "deleted_at IS NOT NULL").await?;
            ensure!(spurious.is_empty(), "rows were deleted and came back: {:?}", spurious.first());
            self.tally.documents += tenant.compare(self.platform).await.context("import")?;
        }

        self.faults().await?;
        for tenant in &tenants {
            let changes = json!({"seed": self.dice.roll(), "count": 20 + self.dice.below(80)});
            self.platform
                .control
                .post(&format!("/drives/{}/mutate", encode(&tenant.drive)), &changes)
                .await?;
            tenant.sync().await?;
        }
        self.kill_about(1_500).await?;
        self.rest(&tenants).await.context("changes")?;
        for tenant in &tenants {
            self.tally.documents += tenant.compare(self.platform).await.context("changes")?;
            self.tally.drives += 1;
        }
        self.no_dead_letters().await?;
        for tenant in &tenants {
            tenant
                .api
                .put(&format!("/api/drives/{}", encode(&tenant.drive)), &json!({"enabled": false}))
                .await?;
            self.platform.control.delete(&format!("/drives/{}", encode(&tenant.drive))).await?;
        }
        self.rest(&[]).await
    }

    /// Observed behaviours of drives, in any mixture.
    fn behaviour(&mut self) -> Value {
        let dice = &mut self.dice;
        json!({
            "drive_type": *dice.pick(&["business", "business", "personal"]),
            "link_style": *dice.pick(&["rotate", "query", "function", "query_function", "namespaced"]),
            "shuffle": dice.once_in(2),
            "repeats": dice.once_in(2),
            "deletes_first": dice.once_in(2),
            "deleted_files": dice.once_in(2),
            "path_in_delta": dice.once_in(2),
            "empty_page_every": dice.below(5),
        })
    }

    /// A few faults for the next calls, and slowness for all.
    async fn faults(&mut self) -> Result<()> {
        self.platform.control.delete("/faults").await?;
        let status =
            |status: u16, wait: Value| json!({"kind": "status", "status": status, "retry_after": wait});
        let gone = |headers: Value| {
            json!({"kind": "status", "status": 410, "headers": headers,
                "body": {"error": {"code": "resyncRequired", "message": "Resync required."}}})
        };
        let menu = [
            status(429, json!("1")),
            status(429, json!("0.4")),
            status(429, Value::Null),
            status(503, json!("1")),
            status(503, Value::Null),
            status(500, Value::Null),
            json!({"kind": "reset", "at": "before"}),
            json!({"kind": "reset", "at": "after_commit"}),
            json!({"kind": "reset", "at": "mid_body"}),
            json!({"kind": "status_after_commit", "status": 504}),
            json!({"kind": "malformed_json"}),
            json!({"kind": "empty_page"}),
            gone(json!({})),
            gone(json!({"Location": "{location}"})),
        ];
        for _ in 0..3 + self.dice.below(5) {
            let fault = self.dice.pick(&menu).clone();
            let (after, times) = (self.dice.below(30), 1 + self.dice.below(3));
            self.platform.fault_after("delta", after, Some(times), fault).await?;
        }
        if self.dice.once_in(2) {
            // Once: a token that is refused again right after its renewal is a matter for a person.
            let after = self.dice.below(60);
            self.platform.fault_after("delta", after, Some(1), status(401, Value::Null)).await?;
        }
        let slow = json!({"kind": "delay", "ms": 5 + self.dice.below(40)});
        self.platform.fault("delta", None, slow).await
    }

    /// Kills services and servers at random moments within the window; each is started again a little later.
    async fn kill_about(&mut self, window_ms: u64) -> Result<()> {
        let kills = KILLS.0 + self.dice.below(KILLS.1);
        for _ in 0..kills {
            chassis::time::pause(Duration::from_millis(self.dice.below(window_ms))).await;
            let services = [
                "sync-worker-1",
                "sync-worker-1",
                "sync-worker-2",
                "sync-worker-2",
                "graph-connector",
                "scheduler",
            ];
            let server = self.stack.filter(|_| self.dice.once_in(5));
            if let Some(stack) = server {
                let victim = *self.dice.pick(&["postgres", "postgres", "rabbitmq", "redis"]);
                *self.tally.kills.entry(victim.to_owned()).or_default() += 1;
                stack.kill(victim).await?;
                chassis::time::pause(Duration::from_millis(self.dice.below(1_500))).await;
                stack.revive().await?;
            } else {
                let victim = *self.dice.pick(&services);
                *self.tally.kills.entry(victim.to_owned()).or_default() += 1;
                self.platform.process(victim)?.kill().await?;
                chassis::time::pause(Duration::from_millis(self.dice.below(400))).await;
                self.platform.process(victim)?.start()?;
            }
        }
        Ok(())
    }

    /// Until nothing is under way. A service that ended by itself is a fault.
    async fn rest(&mut self, tenants: &[Tenant]) -> Result<()> {
        let rest = self.platform.quiet_where("true", REST).await;
        for (label, process) in &mut self.platform.processes {
            let ended = process.exited()?;
            ensure!(ended.is_none(), "{label} ended by itself with {ended:?}:\n{}", process.tail());
        }
        for tenant in tenants {
            rest.as_ref().map_err(|error| anyhow::anyhow!("drive {}: {error:#}", tenant.drive))?;
        }
        rest
    }

    async fn no_dead_letters(&self) -> Result<()> {
        let dead = self.platform.dead_letters().await?;
        ensure!(dead.is_empty(), "dead letters: {dead:?}");
        let parked = self
            .platform
            .sql
            .rows("SELECT kind, park_reason, errors FROM jobs_live WHERE state = 'parked'")
            .await?;
        ensure!(parked.is_empty(), "parked jobs: {parked:?}");
        Ok(())
    }
}
