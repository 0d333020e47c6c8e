//! Twenty small drives of the kill campaign; `make chaos` runs hundreds, and large ones.

use anyhow::{Context as _, Result, ensure};
use testkit::e2e::campaign::{self, Plan};
use testkit::e2e::stack::Stack;

fn number(name: &str, default: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => text.parse().with_context(|| format!("{name}={text}")),
        _ => Ok(default),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_at_random_moments_change_nothing() -> Result<()> {
    let random = u64::from(u32::from_le_bytes(chassis::ids::random_bytes()));
    let plan = Plan {
        seed: number("CHAOS_SEED", random)?,
        small: u32::try_from(number("CHAOS_SEEDS", 20)?)?,
        together: 10,
        large: 0,
        large_items: 20_000,
    };
    eprintln!("CHAOS_SEED={}", plan.seed);
    let stack = if Stack::installed() {
        Some(Stack::start("chaos-test").await?)
    } else {
        eprintln!("PostgreSQL and RabbitMQ are not installed here: only services are killed");
        None
    };
    let tally = campaign::run(&plan, stack.as_ref(), |line| eprintln!("{line}")).await?;
    eprintln!("{tally:?}");
    ensure!(tally.drives == plan.small && tally.documents > 0, "{tally:?}");
    Ok(())
}
