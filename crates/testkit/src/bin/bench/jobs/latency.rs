//! (e) from the call that enqueues to the start of the job, at a steady rate.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use store::jobs::NewJob;
use testkit::bench_job::OneEffect;

use super::world::{World, stop};
use super::{bare, knobs};
use crate::report::Report;

/// Jobs a second, and for how many seconds.
const RATE: u32 = 100;
const SECONDS: u32 = 20;
/// The first jobs connect pools and warm plans, and do not count.
const WARM: u32 = 200;
/// Goal: p95 in milliseconds.
const P95: f64 = 10.0;

/// Measures.
pub async fn measure(report: &mut Report) -> Result<()> {
    let ours = product().await?;
    let world = World::new().await?;
    let numbers = [("rate", RATE), ("seconds", SECONDS), ("skip", WARM)];
    let limit = Percentiles::read(&bare::call(&world, "latency", &numbers).await?)?;
    world.finish()?;
    report.note(format!("(e) enqueue to start at {RATE} jobs/s for {SECONDS} s, p50/p95/p99"), ours.shown());
    report.note("    bare insert + publish, consume", limit.shown());
    report.goal(
        "    p95, and its ratio to the bare program",
        format!("{:.1} ms, x {:.1}", ours.p95, ours.p95 / limit.p95),
        format!("< {P95:.0} ms"),
        ours.p95 < P95,
    );
    Ok(())
}

struct Percentiles {
    p50: f64,
    p95: f64,
    p99: f64,
}

impl Percentiles {
    fn read(value: &Value) -> Result<Self> {
        let ms = |name: &str| -> Result<f64> {
            Ok(value[name].as_f64().with_context(|| format!("no {name} in {value}"))? / 1000.0)
        };
        Ok(Self { p50: ms("p50_us")?, p95: ms("p95_us")?, p99: ms("p99_us")? })
    }

    fn shown(&self) -> String {
        format!("{:.1} / {:.1} / {:.1} ms", self.p50, self.p95, self.p99)
    }
}

async fn product() -> Result<Percentiles> {
    let mut world = World::new().await?;
    let scheduler = world.scheduler(&[]).await?;
    let mut worker = world.worker(knobs::concurrency()?)?;
    world.started(&mut worker).await?;
    let world = Arc::new(world);
    let tasks = chassis::lifecycle::Tasks::new();
    let mut next = std::time::Instant::now();
    for _ in 0..RATE * SECONDS {
        next += Duration::from_secs(1) / RATE;
        chassis::time::pause(next.saturating_duration_since(std::time::Instant::now())).await;
        let world = world.clone();
        tasks.spawn("enqueue", async move {
            let make = || Ok(NewJob::new(world.company, &OneEffect::now(), "bench")?);
            if let Err(error) = world.enqueue(1, make).await {
                eprintln!("enqueueing: {error:#}");
            }
        });
    }
    tasks.wait().await;
    world.effects("bench_effects", RATE * SECONDS).await?;
    let query = format!(
        "SELECT percentile_disc(0.50) WITHIN GROUP (ORDER BY wait_us) AS p50_us,
             percentile_disc(0.95) WITHIN GROUP (ORDER BY wait_us) AS p95_us,
             percentile_disc(0.99) WITHIN GROUP (ORDER BY wait_us) AS p99_us
         FROM (SELECT wait_us FROM bench_effects ORDER BY at OFFSET {WARM}) late"
    );
    let found = Percentiles::read(&world.sql.rows(&query).await?.pop().context("no percentiles")?)?;
    stop(vec![worker, scheduler]).await?;
    Arc::into_inner(world).context("a task still enqueues")?.finish()?;
    Ok(found)
}
