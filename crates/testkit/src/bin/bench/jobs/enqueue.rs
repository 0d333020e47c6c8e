//! (c) bulk enqueue, until the broker has confirmed every bell.
//!
//! Beside both programs a consumer takes the messages off at once: the product's relay puts no more into a queue
//! than is taken out of it.

use std::time::Instant;

use anyhow::Result;
use contracts::jobs::JobPayload as _;
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
    let (mut committed, mut confirmed, mut limit) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (commit, confirm) = product(jobs).await?;
        committed.push(commit);
        confirmed.push(confirm);
        let world = World::new().await?;
        let sink = bare::sink(&world, bare::QUEUE).await?;
        limit.push(bare::fill(&world, jobs).await?);
        drop(sink);
        world.finish()?;
    }
    let (confirmed, limit) = (median(confirmed), median(limit));
    report.note(
        format!("(c) bulk enqueue of {jobs} jobs until confirmed, median of {rounds}"),
        format!("{confirmed:.0} jobs/s"),
    );
    report.note("    of these, until committed", format!("{:.0} jobs/s", median(committed)));
    report.note("    bare batched insert + confirmed publish", format!("{limit:.0} jobs/s"));
    report.goal(
        "    share of the bare program",
        format!("{:.0} %", confirmed / limit * 100.0),
        format!(">= {:.0} %", SHARE * 100.0),
        confirmed / limit >= SHARE,
    );
    Ok(())
}

/// Jobs per second until committed, and until confirmed.
async fn product(jobs: u32) -> Result<(f64, f64)> {
    let mut world = World::new().await?;
    let scheduler = world.scheduler(&[]).await?;
    let sink = bare::sink(&world, OneEffect::QUEUE.name()).await?;
    let started = Instant::now();
    world.enqueue(jobs, || Ok(NewJob::new(world.company, &OneEffect::now(), "bench")?)).await?;
    let committed = started.elapsed().as_secs_f64();
    world.outbox_empty().await?;
    let confirmed = started.elapsed().as_secs_f64();
    drop(sink);
    stop(vec![scheduler]).await?;
    world.finish()?;
    Ok((f64::from(jobs) / committed, f64::from(jobs) / confirmed))
}
