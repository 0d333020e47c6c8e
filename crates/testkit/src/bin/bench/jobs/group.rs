//! (b) as (a), for handlers that allow their effects to be committed together.

use anyhow::Result;
use store::jobs::NewJob;
use testkit::bench_job::GroupedEffect;

use super::world::{World, median, stop};
use super::{bare, knobs};
use crate::report::Report;

/// Goal: share of the bare program.
const SHARE: f64 = 0.50;
/// The bare program's loops, each with a channel and a connection of its own, and the jobs of a batch.
const WORKERS: u32 = 2;
const BATCH: u32 = 500;
/// Deliveries on their way to each loop, so that a batch is there when the one before it is committed.
const PREFETCH: u32 = 2 * BATCH;
/// A drain at this speed needs more jobs to be one.
const TIMES: u32 = 3;

/// Measures.
pub async fn measure(report: &mut Report) -> Result<()> {
    let (jobs, rounds) = (knobs::jobs()? * TIMES, knobs::rounds()?);
    let (mut ours, mut limit) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(rate(jobs).await?);
        limit.push(bare_rate(jobs).await?);
    }
    let (ours, limit) = (median(ours), median(limit));
    report.note(
        format!("(b) drain of {jobs} jobs with group commit, median of {rounds}"),
        format!("{ours:.0} jobs/s"),
    );
    report
        .note(format!("    bare batched program, {WORKERS} loops of {BATCH}"), format!("{limit:.0} jobs/s"));
    report.goal(
        "    share of the bare batched program",
        format!("{:.0} %", ours / limit * 100.0),
        format!(">= {:.0} %", SHARE * 100.0),
        ours / limit >= SHARE,
    );
    Ok(())
}

/// Jobs per second of ours: worker, scheduler, ledger and all.
pub async fn rate(jobs: u32) -> Result<f64> {
    let mut world = World::new().await?;
    let scheduler = world.scheduler(&[]).await?;
    world.enqueue(jobs, || Ok(NewJob::new(world.company, &GroupedEffect::now(), "bench")?)).await?;
    world.relayed().await?;
    let mut worker = world.worker(knobs::grouped()?)?;
    let rate = world.drain(&mut worker, "bench_effects", jobs).await?;
    stop(vec![worker, scheduler]).await?;
    world.finish()?;
    Ok(rate)
}

async fn bare_rate(jobs: u32) -> Result<f64> {
    let world = World::new().await?;
    bare::fill(&world, jobs).await?;
    let numbers = [("workers", WORKERS), ("batch", BATCH), ("prefetch", PREFETCH)];
    let mut worker = bare::worker(&world, "group", &numbers)?;
    let rate = world.drain(&mut worker, "bare_effects", jobs).await?;
    worker.kill().await?;
    world.finish()?;
    Ok(rate)
}
