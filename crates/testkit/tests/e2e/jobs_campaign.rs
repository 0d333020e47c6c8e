//! Twenty campaigns against the job layer, on the servers of the tests, which are not killed; `make chaos` runs hundreds
//! on servers of their own, which are.

use anyhow::{Context as _, Result, ensure};
use testkit::jobs_campaign::{self, Plan};

fn number(name: &str, default: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => text.parse().with_context(|| format!("{name}={text}")),
        _ => Ok(default),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_breaks_every_job_ends_once() -> Result<()> {
    let plan = Plan {
        // The same ones each time; `make chaos` draws new ones.
        seed: number("CHAOS_SEED", 1)?,
        small: number("CHAOS_JOBS_SEEDS", 20)?,
        together: number("CHAOS_JOBS_TOGETHER", 7)?,
        long: 0,
        long_jobs: 0,
    };
    eprintln!("CHAOS_SEED={}", plan.seed);
    let outcome = jobs_campaign::run(&plan, None, |line| eprintln!("{line}")).await?;
    eprintln!("{}", outcome.tally);
    ensure!(outcome.failed == 0 && outcome.tally.broken() == 0, "{} campaigns failed", outcome.failed);
    ensure!(outcome.tally.campaigns == plan.small && outcome.tally.effects > 0, "{:?}", outcome.tally);
    Ok(())
}
