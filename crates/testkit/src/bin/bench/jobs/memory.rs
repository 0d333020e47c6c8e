//! (g) memory of a worker over a million jobs, with group commit.

use std::time::Duration;

use anyhow::{Context as _, Result};
use store::jobs::NewJob;
use testkit::bench_job::GroupedEffect;
use testkit::e2e::process::Process;

use super::knobs;
use super::world::{World, stop};
use crate::report::{Report, mib};

/// Goal: peak.
const PEAK: u64 = 40 * 1_048_576;
/// Goal: growth between the first tenth and the end.
const GROWTH: u64 = 4 * 1_048_576;
/// Jobs that wait at most, so that the database and not the backlog is what takes the time.
const BACKLOG: i64 = 50_000;
/// Jobs between two looks.
const STEP: u32 = 20_000;

/// Measures.
pub async fn measure(report: &mut Report) -> Result<()> {
    let jobs = knobs::memory_jobs()?;
    let mut world = World::new().await?;
    let scheduler = world.scheduler(&[]).await?;
    let mut worker = world.worker(knobs::grouped()?)?;
    world.started(&mut worker).await?;
    let (mut enqueued, mut early) = (0, None);
    let started = std::time::Instant::now();
    while enqueued < jobs {
        let size = STEP.min(jobs - enqueued);
        world.enqueue(size, || Ok(NewJob::new(world.company, &GroupedEffect::now(), "bench")?)).await?;
        enqueued += size;
        backlog_below(&world, BACKLOG).await?;
        if early.is_none() && enqueued >= jobs / 10 {
            early = Some(worker.resident_memory()?);
        }
    }
    world.effects("bench_effects", jobs).await?;
    world.exactly_once("bench_effects", jobs).await?;
    let rate = f64::from(jobs) / started.elapsed().as_secs_f64();
    say_memory(report, &worker, &scheduler, jobs, early.context("no early look")?, rate)?;
    stop(vec![worker, scheduler]).await?;
    world.finish()
}

fn say_memory(
    report: &mut Report,
    worker: &Process,
    scheduler: &Process,
    jobs: u32,
    early: u64,
    rate: f64,
) -> Result<()> {
    let (peak, late) = (worker.peak_memory()?, worker.resident_memory()?);
    report.goal(format!("(g) peak memory of a worker over {jobs} jobs"), mib(peak), "< 40 MiB", peak < PEAK);
    report.goal(
        "    resident at the end, against after the first tenth",
        format!("{} to {}", mib(late), mib(early)),
        "flat (+ 4 MiB)",
        late <= early + GROWTH,
    );
    report.note("    enqueued and done meanwhile", format!("{rate:.0} jobs/s"));
    report.note("    peak memory of the scheduler", mib(scheduler.peak_memory()?));
    Ok(())
}

async fn backlog_below(world: &World, limit: i64) -> Result<()> {
    loop {
        let waiting = world.sql.number("SELECT count(*) FROM jobs_live WHERE state = 'queued'").await?;
        if waiting < limit {
            return Ok(());
        }
        chassis::time::pause(Duration::from_millis(300)).await;
    }
}
