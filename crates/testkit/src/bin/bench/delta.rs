//! (b) 100 changes in a small and in a large drive must cost the same; (c) memory must not grow with items.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use testkit::e2e::caller::encode;
use testkit::e2e::{Platform, Tenant};

use crate::report::{Report, mib};
use crate::setup;

const SMALL: u32 = 10_000;
const LARGE: u32 = 1_000_000;
/// Large enough that every buffer of an import fills up; memory is compared with this.
const FULL: u32 = 100_000;
const CHANGES: u32 = 100;
const PROCESSES: [&str; 2] = ["sync-worker-1", "graph-connector"];
const ROUNDS: u64 = 7;
/// Goal: how much longer the large drive may take.
const RATIO: f64 = 1.5;
/// Goal: how much peak memory may grow with ten times the items.
const GROWTH: u64 = 4 * 1_048_576;

struct Cost {
    calls: i64,
    seconds: f64,
    memory: [u64; 2],
    import: f64,
}

/// Measures.
pub async fn measure(report: &mut Report) -> Result<()> {
    let small = cost(SMALL).await?;
    let large = cost(LARGE).await?;
    for (items, cost) in [(SMALL, &small), (LARGE, &large)] {
        report.note(
            format!("(b) {CHANGES} changes in {items} items, median of {ROUNDS}"),
            format!("{} calls, {:.3} s", cost.calls, cost.seconds),
        );
        report.note(format!("    (import of {items} items)"), format!("{:.1} s", cost.import));
    }
    report.goal(
        "    provider calls, large drive against small",
        format!("{} to {}", large.calls, small.calls),
        "equal",
        large.calls <= small.calls,
    );
    report.goal(
        "    time, large drive against small",
        format!("x {:.2}", large.seconds / small.seconds),
        format!("< x {RATIO}"),
        large.seconds <= small.seconds * RATIO,
    );
    let full = cost(FULL).await?;
    for (n, label) in PROCESSES.into_iter().enumerate() {
        let (less, more) = (full.memory[n], large.memory[n]);
        report.goal(
            format!("(c) peak memory of {label}, {LARGE} items against {FULL}"),
            format!("{} to {}", mib(more), mib(less)),
            "flat (+ 4 MiB)",
            more <= less + GROWTH,
        );
    }
    Ok(())
}

async fn cost(items: u32) -> Result<Cost> {
    let mut platform = Platform::start(setup::options(1)).await?;
    let tenant = setup::drive(&platform, u64::from(items), items).await?;
    let import = setup::import(&platform, &tenant).await?["seconds"].as_f64().context("no duration")?;
    // What the import left to do would be measured with the first changes: dead rows, statistics, dirty pages.
    platform.sql.run("VACUUM ANALYZE").await?;
    store::admin::execute(&testkit::servers::postgres_url(), "CHECKPOINT").await?;
    let mut runs = Vec::new();
    // The first round warms caches and plans and does not count.
    for round in 0..=ROUNDS {
        let (calls, run) = changed(&platform, &tenant, round).await?;
        if round > 0 {
            runs.push((calls, run["seconds"].as_f64().context("no duration")?));
        }
    }
    tenant.compare(&platform).await?;
    let memory =
        [platform.process(PROCESSES[0])?.peak_memory()?, platform.process(PROCESSES[1])?.peak_memory()?];
    platform.stop().await?;
    let calls = runs.iter().map(|(calls, _)| *calls).max().unwrap_or_default();
    let mut seconds: Vec<f64> = runs.into_iter().map(|(_, seconds)| seconds).collect();
    seconds.sort_by(f64::total_cmp);
    Ok(Cost { calls, seconds: seconds[seconds.len() / 2], memory, import })
}

async fn changed(platform: &Platform, tenant: &Tenant, seed: u64) -> Result<(i64, Value)> {
    let changes = json!({"seed": seed, "count": CHANGES, "kinds": ["create", "modify", "delete"]});
    platform.control.post(&format!("/drives/{}/mutate", encode(&tenant.drive)), &changes).await?;
    let (_, before) = platform.calls(i64::MAX).await?;
    tenant.sync_to_end(platform, setup::LONG).await?;
    let (_, after) = platform.calls(i64::MAX).await?;
    Ok((after - before, setup::last_run(platform, tenant).await?))
}
