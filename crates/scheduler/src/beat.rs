//! The beat: looks at what is due and does it; wakes the relay for what must be rung.

use std::time::{Duration, Instant};

use chassis::time::{deadline, pause};
use chassis::wait::until_up;
use chrono::{DateTime, Utc};
use store::StoreError;
use store::jobs::{promote_due, reap_expired_since};
use store::pulse::{Due, Marks};

use crate::looks::Looks;
use crate::{Parts, cron, exports};

/// Pause between two looks while there is work.
const BUSY: Duration = Duration::from_millis(100);
/// Pause between two looks while there is none: three queries a second.
const IDLE: Duration = Duration::from_millis(333);
/// Work within this time counts as busy.
const RECENT: Duration = Duration::from_secs(2);
/// Deadline of one step; a stalled call must not stop the clock for good.
const STEP: Duration = Duration::from_secs(30);
/// Rows of one step.
const LIMIT: i64 = 1000;
/// Interruptions of a job that spend no attempt: deploys and lost machines.
const FORGIVEN: i32 = 3;
/// Interruptions without progress after which a job is a crash loop.
const CRASH_LOOP: i32 = 5;

/// Beats until the process drains.
pub(crate) async fn run(parts: Parts) {
    let draining = parts.shutdown.draining();
    if store::watch::until_ready(&parts.store, &parts.database, &parts.shutdown).await.is_none() {
        return;
    }
    let mut worked = Instant::now();
    let mut looks = Looks::new(worked);
    loop {
        let begun = Instant::now();
        let bell = parts.tide().look(begun);
        let marks = looks.marks(begun, bell);
        match deadline("looking for due work", STEP, parts.pulse.read(marks)).await {
            Ok(Ok(due)) => {
                let now = Instant::now();
                parts.tide().looked(now, marks.bell, due.oldest_bell, due.newest_bell, now - begun);
                if due.bells {
                    parts.wake.notify_one();
                }
                let pushed = looks.exports(begun, now, &due) && push(&parts).await;
                if due.any() || pushed {
                    worked = now;
                }
                let more = step(&parts, due, marks).await;
                looks.looked(begun, now, &due, more);
            }
            Ok(Err(error)) => {
                tracing::warn!(error = chassis::telemetry::chain(&error), "the beat waits for the database");
                let pulse = &parts.pulse;
                until_up("database", &parts.database, &parts.shutdown, async || pulse.read(marks).await)
                    .await;
            }
            Err(elapsed) => tracing::warn!(error = %elapsed, "the beat is late"),
        }
        tokio::select! {
            () = draining.cancelled() => return,
            () = pause(if worked.elapsed() < RECENT { BUSY } else { IDLE }) => {}
        }
    }
}

/// Does what is due; what fails stays due, and is seen at the next look. True when delayed jobs that are due
/// are left.
async fn step(parts: &Parts, due: Due, marks: Marks) -> bool {
    let mut more = false;
    if due.jobs {
        let promoted = deadline("promoting due jobs", STEP, promote(parts, marks.run_at)).await;
        more = report("promoting due jobs", promoted).is_none_or(|promoted| promoted >= LIMIT.unsigned_abs());
    }
    if let Some(since) = marks.started_at.filter(|_| due.leases) {
        report("reaping leases", deadline("reaping leases", STEP, reap(parts, since)).await);
    }
    if due.occurrences {
        let decided = deadline("deciding occurrences", STEP, cron::decide(&parts.store)).await;
        report("deciding occurrences", decided);
    }
    if due.jobs || due.leases || due.occurrences {
        parts.wake.notify_one();
    }
    more
}

/// Queues pushes of app writes; whether there were calendars to push to.
async fn push(parts: &Parts) -> bool {
    let queued = deadline("queueing app writes", STEP, exports::queue(&parts.store)).await;
    let any = report("queueing app writes", queued).is_some_and(|calendars| calendars > 0);
    if any {
        parts.wake.notify_one();
    }
    any
}

fn report<T>(
    doing: &'static str,
    outcome: Result<Result<T, StoreError>, chassis::time::Elapsed>,
) -> Option<T> {
    match outcome {
        Ok(Ok(done)) => return Some(done),
        Ok(Err(error)) => tracing::warn!(doing, error = chassis::telemetry::chain(&error), "a step failed"),
        Err(elapsed) => tracing::warn!(doing, error = %elapsed, "a step failed"),
    }
    None
}

async fn promote(parts: &Parts, from: DateTime<Utc>) -> Result<u64, StoreError> {
    let mut tx = parts.store.dispatch().await?;
    let promoted = promote_due(&mut tx, from, LIMIT).await?;
    tx.commit().await?;
    tracing::debug!(promoted, "queued jobs whose time has come");
    Ok(promoted)
}

async fn reap(parts: &Parts, since: DateTime<Utc>) -> Result<(), StoreError> {
    let mut tx = parts.store.dispatch().await?;
    let reaped = reap_expired_since(&mut tx, since, LIMIT, FORGIVEN, CRASH_LOOP).await?;
    tx.commit().await?;
    for job in reaped {
        let name = if job.buried { "jobs_crash_looped_total" } else { "jobs_reaped_total" };
        metrics::counter!(name, "kind" => job.kind.clone()).increment(1);
        tracing::warn!(job_id = %job.job_id, kind = job.kind, buried = job.buried, "a lease expired");
    }
    Ok(())
}
