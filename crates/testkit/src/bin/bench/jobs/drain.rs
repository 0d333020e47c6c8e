//! (a) committed jobs to committed effects, one transaction per effect.
//!
//! The product's figure includes its relay: bells are published as workers drain, not all before.

use anyhow::Result;
use store::jobs::NewJob;
use testkit::bench_job::OneEffect;

use super::world::{World, median, stop};
use super::{bare, knobs};
use crate::report::Report;

/// Goal: share of the bare program.
const SHARE: f64 = 0.70;

/// Measures.
pub async fn measure(report: &mut Report) -> Result<()> {
    let (jobs, rounds) = (knobs::jobs()?, knobs::rounds()?);
    let (mut ours, mut one, mut two) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(rate(jobs).await?);
        one.push(limit(jobs, 1).await?);
        two.push(limit(jobs, 2).await?);
    }
    let (ours, one, two) = (median(ours), median(one), median(two));
    report.note(
        format!("(a) drain of {jobs} jobs, one transaction each, median of {rounds}"),
        format!("{ours:.0} jobs/s"),
    );
    report.note("    bare program, one commit per job", format!("{one:.0} jobs/s"));
    report.note("    bare program, claim committed first", format!("{two:.0} jobs/s"));
    report.goal(
        "    share of the bare program with one commit",
        format!("{:.0} %", ours / one * 100.0),
        format!(">= {:.0} %", SHARE * 100.0),
        ours / one >= SHARE,
    );
    report.note(
        "    share of the one that commits its claim, as we do",
        format!("{:.0} %", ours / two * 100.0),
    );
    Ok(())
}

/// Jobs per second of ours: worker, scheduler, ledger and all.
pub async fn rate(jobs: u32) -> Result<f64> {
    let mut world = World::new().await?;
    let scheduler = world.scheduler(&[]).await?;
    world.enqueue(jobs, || Ok(NewJob::new(world.company, &OneEffect::now(), "bench")?)).await?;
    world.relayed().await?;
    let mut worker = world.worker(knobs::concurrency()?)?;
    let rate = world.drain(&mut worker, "bench_effects", jobs).await?;
    stop(vec![worker, scheduler]).await?;
    world.finish()?;
    Ok(rate)
}

/// Jobs per second of the bare program.
async fn limit(jobs: u32, commits: u32) -> Result<f64> {
    let world = World::new().await?;
    bare::fill(&world, jobs).await?;
    let width = knobs::concurrency()?;
    let numbers = [
        ("commits", commits),
        ("concurrency", width),
        ("prefetch", width),
        ("connections", knobs::connections()?),
    ];
    let mut worker = bare::worker(&world, "drain", &numbers)?;
    let rate = world.drain(&mut worker, "bare_effects", jobs).await?;
    worker.kill().await?;
    world.finish()?;
    Ok(rate)
}
