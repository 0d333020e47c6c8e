//! `make chaos`: the campaigns against the job layer and against the document sync, as long as you like.
//!
//! `CHAOS_JOBS_SEEDS` (500) and `CHAOS_JOBS_LONG` (4) campaigns of jobs, then `CHAOS_SEEDS` (300) small and
//! `CHAOS_LARGE` (3) large drives, from `CHAOS_SEED` on (random, printed).

use std::io::Write as _;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context as _, Result, ensure};
use testkit::e2e::campaign;
use testkit::e2e::stack::Stack;
use testkit::jobs_campaign;

fn number<T: FromStr>(name: &str, default: T) -> Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => text.parse().with_context(|| format!("{name}={text} is no number")),
        _ => Ok(default),
    }
}

/// A line on the standard output; whoever reads it may have gone.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

async fn jobs(seed: u64, stack: &Stack) -> Result<()> {
    let plan = jobs_campaign::Plan {
        seed,
        small: number("CHAOS_JOBS_SEEDS", 500)?,
        together: number("CHAOS_JOBS_TOGETHER", 7)?,
        long: number("CHAOS_JOBS_LONG", 4)?,
        long_jobs: number("CHAOS_JOBS_LONG_JOBS", 4_000)?,
    };
    if plan.small + plan.long == 0 {
        return Ok(());
    }
    say(&format!("jobs: CHAOS_SEED={seed} CHAOS_JOBS_SEEDS={} CHAOS_JOBS_LONG={}", plan.small, plan.long));
    let outcome = jobs_campaign::run(&plan, Some(stack), say).await?;
    say(&format!("jobs from CHAOS_SEED={seed}\n{}", outcome.tally));
    ensure!(outcome.failed == 0, "{} campaigns of jobs failed", outcome.failed);
    Ok(())
}

async fn documents(seed: u64, stack: &Stack) -> Result<()> {
    let plan = campaign::Plan {
        seed,
        small: number("CHAOS_SEEDS", 300)?,
        together: number("CHAOS_TOGETHER", 8)?,
        large: number("CHAOS_LARGE", 3)?,
        large_items: number("CHAOS_LARGE_ITEMS", 20_000)?,
    };
    if plan.small + plan.large == 0 {
        return Ok(());
    }
    say(&format!("documents: CHAOS_SEED={seed} CHAOS_SEEDS={} CHAOS_LARGE={}", plan.small, plan.large));
    let tally = campaign::run(&plan, Some(stack), say).await?;
    say(&format!(
        "{} drives, {} documents compared; kills: {:?}",
        tally.drives, tally.documents, tally.kills
    ));
    Ok(())
}

async fn run() -> Result<()> {
    let random = u64::from(u32::from_le_bytes(chassis::ids::random_bytes()));
    let seed = number("CHAOS_SEED", random)?;
    let stack = Stack::start("chaos").await?;
    let jobs = jobs(seed, &stack).await;
    if let Err(error) = &jobs {
        say(&format!("chaos: {error:#}"));
    }
    documents(seed, &stack).await?;
    jobs
}

fn main() -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(match runtime.block_on(run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("chaos: {error:#}"));
            ExitCode::FAILURE
        }
    })
}
