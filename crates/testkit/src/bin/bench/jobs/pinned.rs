//! (h) claims while another session pins the oldest transaction, so that no dead row can be vacuumed; and the
//! queue that most people write, in the same run.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use store::jobs::NewJob;
use testkit::bench_job::OneEffect;

use super::world::{World, stop};
use super::{bare, knobs};
use crate::report::Report;

/// Jobs a second while the transaction is pinned.
const RATE: u32 = 1000;
/// Jobs that are added together.
const TOGETHER: u32 = 100;
/// Jobs of a measurement at full speed.
const BURST: u32 = 10_000;
/// Goal: share of the rate that is left.
const SHARE: f64 = 0.90;
/// Claims at a time of the plain queue.
const PLAIN_WORKERS: u32 = 8;

struct Rates {
    before: f64,
    steady: f64,
    after: f64,
}

/// Measures.
pub async fn measure(report: &mut Report) -> Result<()> {
    let seconds = knobs::pinned_seconds()?;
    let (ours, waits) = product(seconds).await?;
    let plain = plain(seconds).await?;
    report.note(
        format!("(h) oldest transaction pinned for {seconds} s at {RATE} jobs/s"),
        format!("{:.0} jobs/s at its end", ours.steady),
    );
    report.goal(
        "    rate at the end against the rate asked for",
        format!("{:.0} %", ours.steady / f64::from(RATE) * 100.0),
        format!(">= {:.0} %", SHARE * 100.0),
        ours.steady / f64::from(RATE) >= SHARE,
    );
    report.goal(
        "    at full speed, still pinned, against before",
        format!("{:.0} to {:.0} jobs/s, {:.0} %", ours.before, ours.after, ours.after / ours.before * 100.0),
        format!(">= {:.0} %", SHARE * 100.0),
        ours.after / ours.before >= SHARE,
    );
    report.note("    p95 enqueue to start, first and last tenth", waits);
    report.note(
        "    plain SKIP LOCKED queue: rate at the end",
        format!("{:.0} jobs/s, {:.0} %", plain.steady, plain.steady / f64::from(RATE) * 100.0),
    );
    report.note(
        "    plain SKIP LOCKED queue: full speed, pinned against before",
        format!(
            "{:.0} to {:.0} jobs/s, {:.0} %",
            plain.before,
            plain.after,
            plain.after / plain.before * 100.0
        ),
    );
    Ok(())
}

async fn product(seconds: u64) -> Result<(Rates, String)> {
    let mut world = World::new().await?;
    let scheduler = world.scheduler(&[]).await?;
    let mut worker = world.worker(knobs::concurrency()?)?;
    world.started(&mut worker).await?;
    // Warms pools and plans, and gives the tables statistics.
    full_speed(&world).await?;
    let before = full_speed(&world).await?;
    let pinned = bare::pin(&world).await?;
    world.sql.run("TRUNCATE bench_effects").await?;
    let jobs = steady(&world, Duration::from_secs(seconds)).await?;
    let tenth = f64::from(u32::try_from(seconds)?) / 10.0;
    let ends = "(SELECT max(at) AS last, min(at) AS first FROM bench_effects)";
    // The rate that was asked for ends with the last job, however late that one was done.
    let last = world
        .float(&format!(
            "SELECT (count(*) / {tenth})::float8 FROM bench_effects e, {ends} t
             WHERE e.at > t.first + make_interval(secs => {seconds} - {tenth})
                 AND e.at <= t.first + make_interval(secs => {seconds})"
        ))
        .await?;
    let p95 = async |condition: &str| {
        world
            .float(&format!(
                "SELECT (percentile_disc(0.95) WITHIN GROUP (ORDER BY wait_us) / 1000.0)::float8
                 FROM bench_effects e, {ends} t WHERE {condition}"
            ))
            .await
    };
    let early = p95(&format!("e.at < t.first + make_interval(secs => {tenth})")).await?;
    let late = p95(&format!("e.at > t.last - make_interval(secs => {tenth})")).await?;
    world.exactly_once("bench_effects", jobs).await?;
    let after = full_speed(&world).await?;
    drop(pinned);
    stop(vec![worker, scheduler]).await?;
    world.finish()?;
    Ok((Rates { before, steady: last, after }, format!("{early:.1} and {late:.1} ms")))
}

/// Jobs per second from a backlog that appears at once, to the last effect.
async fn full_speed(world: &World) -> Result<f64> {
    world.sql.run("TRUNCATE bench_effects").await?;
    world.enqueue(BURST, || Ok(NewJob::new(world.company, &OneEffect::now(), "bench")?)).await?;
    let committed = world.float("SELECT extract(epoch FROM clock_timestamp())::float8").await?;
    world.effects("bench_effects", BURST).await?;
    let last = world.float("SELECT extract(epoch FROM max(at))::float8 FROM bench_effects").await?;
    Ok(f64::from(BURST) / (last - committed))
}

/// Enqueues at the rate for this long, and waits for the effects; returns the number of jobs.
async fn steady(world: &World, time: Duration) -> Result<u32> {
    let (started, mut jobs) = (Instant::now(), 0);
    while started.elapsed() < time {
        let due = started + Duration::from_secs(1) * jobs / RATE;
        chassis::time::pause(due.saturating_duration_since(Instant::now())).await;
        world.enqueue(TOGETHER, || Ok(NewJob::new(world.company, &OneEffect::now(), "bench")?)).await?;
        jobs += TOGETHER;
    }
    world.effects("bench_effects", jobs).await?;
    Ok(jobs)
}

async fn plain(seconds: u64) -> Result<Rates> {
    let world = World::new().await?;
    let numbers =
        [("burst", BURST), ("rate", RATE), ("seconds", u32::try_from(seconds)?), ("workers", PLAIN_WORKERS)];
    let found = bare::call(&world, "skip-locked", &numbers).await?;
    world.finish()?;
    let rate = |name: &str| found[name].as_f64().with_context(|| format!("no {name} in {found}"));
    Ok(Rates { before: rate("before")?, steady: rate("steady")?, after: rate("after")? })
}
