//! Campaigns side by side on shared servers, which are killed and wiped under all of them at once.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use chassis::time::pause;
use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use super::campaign::{Campaign, Servers, Size};
use super::clock::ClockShim;
use super::tally::Tally;
use crate::e2e::dice::Dice;
use crate::e2e::stack::Stack;
use crate::servers::{amqp_url, postgres_url, unique};

/// A small campaign.
const SMALL: Size = Size {
    jobs: 240,
    workers: 3,
    faults: (4, 6),
    window: Duration::from_secs(3),
    rest: Duration::from_mins(2),
};

/// A group that took longer shows what took so long.
const SLOW: Duration = Duration::from_secs(40);

/// How many campaigns run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Seed of the first campaign; each further one takes the next number.
    pub seed: u64,
    /// Small campaigns (a few hundred jobs, seconds).
    pub small: u64,
    /// Small campaigns at a time; what happens to a server happens to all of them.
    pub together: u64,
    /// Long campaigns, each by itself.
    pub long: u64,
    /// Jobs of a long campaign.
    pub long_jobs: u64,
}

/// Runs campaigns; `stack` are the servers that may be killed, without it only processes and connections suffer.
/// `note` hears a line per group, and what failed.
///
/// # Errors
/// When servers cannot be had. Campaigns that fail are counted and told to `note`.
pub async fn run(plan: &Plan, stack: Option<&Stack>, mut note: impl FnMut(&str)) -> Result<Outcome> {
    let servers = match stack {
        Some(stack) => Servers { postgres: stack.postgres.clone(), amqp: stack.amqp.clone() },
        None => Servers { postgres: postgres_url(), amqp: amqp_url() },
    };
    let folder = std::env::temp_dir().join(format!("syncline-chaos-{}", unique()));
    std::fs::create_dir_all(&folder).context("creating a folder")?;
    let shim = ClockShim::build(&folder).await?;
    let mut outcome = Outcome::default();
    let end = plan.seed + plan.small;
    let mut seed = plan.seed;
    while seed < end + plan.long {
        let (size, together) =
            if seed < end { (SMALL, plan.together.clamp(1, end - seed)) } else { (long(plan.long_jobs), 1) };
        let began = Instant::now();
        let group = Group { seed, together, size };
        let (tally, failures) = group.run(&servers, stack, &shim).await?;
        note(&format!(
            "seeds {seed} to {}: {} jobs, {} interruptions, {} faults, {} failed, {:.1} s",
            seed + together - 1,
            tally.jobs,
            tally.interruptions,
            tally.faults.values().sum::<u64>(),
            failures.len(),
            began.elapsed().as_secs_f64(),
        ));
        if began.elapsed() > SLOW || std::env::var_os("CHAOS_KEEP_LOGS").is_some() {
            note(&tally.phases);
        }
        for failure in &failures {
            note(&format!("again with CHAOS_SEED={seed} CHAOS_JOBS_SEEDS={together}: {failure:#}"));
        }
        outcome.tally.add(&tally);
        outcome.failed += failures.len();
        seed += together;
    }
    std::fs::remove_dir_all(&folder).context("removing a folder")?;
    Ok(outcome)
}

/// What came out.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Sums over all campaigns, those that failed included.
    pub tally: Tally,
    /// Campaigns that did not come to rest, or broke a promise.
    pub failed: usize,
}

fn long(jobs: u64) -> Size {
    Size { jobs, workers: 4, faults: (30, 20), window: Duration::from_secs(40), rest: Duration::from_mins(5) }
}

struct Group {
    seed: u64,
    together: u64,
    size: Size,
}

impl Group {
    async fn run(
        &self,
        servers: &Servers,
        stack: Option<&Stack>,
        shim: &ClockShim,
    ) -> Result<(Tally, Vec<anyhow::Error>)> {
        let mut campaigns = Vec::new();
        for n in 0..self.together {
            let campaign = Campaign::set_up(self.seed + n, self.size, servers, shim).await;
            campaigns.push(campaign.with_context(|| format!("setting up seed {}", self.seed + n))?);
        }
        let calm = CancellationToken::new();
        let disasters = async {
            let _calm = calm.clone().drop_guard();
            match stack {
                Some(stack) => self.disasters(stack).await,
                None => Ok(Tally::default()),
            }
        };
        let running = campaigns.into_iter().map(|campaign| campaign.run(calm.clone()));
        let (outcomes, tally) = tokio::join!(join_all(running), disasters);
        let mut tally = tally?;
        let (mut failures, mut slow) = (Vec::new(), Vec::new());
        for (one, outcome) in outcomes {
            tally.add(&one);
            slow.push(one.phases);
            failures.extend(outcome.err());
        }
        tally.phases = slow.join("\n");
        Ok((tally, failures))
    }

    /// Kills and wipes whole servers.
    async fn disasters(&self, stack: &Stack) -> Result<Tally> {
        let mut tally = Tally::default();
        let mut dice = Dice::new(self.seed ^ 0x5e5e_5e5e);
        let window = u64::try_from(self.size.window.as_millis()).unwrap_or(3_000);
        let most = 1 + window / 8_000;
        for _ in 0..=dice.below(most + 1) {
            pause(Duration::from_millis(dice.below(window * 2 / (most + 1)))).await;
            match dice.below(16) {
                0..=6 => {
                    tally.fault("PostgreSQL killed");
                    stack.kill("postgres").await?;
                    pause(Duration::from_millis(dice.below(1_500))).await;
                }
                7..=8 => {
                    tally.fault("RabbitMQ killed");
                    stack.kill("rabbitmq").await?;
                }
                9 => {
                    tally.fault("RabbitMQ emptied");
                    stack.kill("rabbitmq").await?;
                    stack.empty_broker()?;
                }
                _ => continue,
            }
            stack.revive().await?;
        }
        Ok(tally)
    }
}
