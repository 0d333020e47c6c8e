//! `make chaos`: the kill campaign, as long as you like.
//!
//! `CHAOS_SEEDS` small drives (300), `CHAOS_LARGE` drives of 20,000 items (3), from `CHAOS_SEED` on (printed).

use std::io::Write as _;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context as _, Result};
use testkit::e2e::campaign::{self, Plan};
use testkit::e2e::stack::Stack;

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

async fn run() -> Result<()> {
    let seed = u64::from(u32::from_le_bytes(chassis::ids::random_bytes()));
    let plan = Plan {
        seed: number("CHAOS_SEED", seed)?,
        small: number("CHAOS_SEEDS", 300)?,
        together: number("CHAOS_TOGETHER", 8)?,
        large: number("CHAOS_LARGE", 3)?,
        large_items: number("CHAOS_LARGE_ITEMS", 20_000)?,
    };
    say(&format!("CHAOS_SEED={} CHAOS_SEEDS={} CHAOS_LARGE={}", plan.seed, plan.small, plan.large));
    let stack = Stack::start("chaos").await?;
    let tally = campaign::run(&plan, Some(&stack), say).await?;
    say(&format!(
        "{} drives, {} documents compared; kills: {:?}",
        tally.drives, tally.documents, tally.kills
    ));
    Ok(())
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
