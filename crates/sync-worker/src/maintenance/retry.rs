//! Retry-all, one step per job run: what the step does and the job of the next step commit together, so that a
//! worker that dies in between changes nothing.

use std::time::Duration;

use async_trait::async_trait;
use contracts::jobs::RetryDeadLetters;
use domain::wave::{self, Progress, Step};
use job_runtime::{Handler, JobContext, JobError, Outcome};
use serde_json::json;
use store::audit::{AuditEntry, record};
use store::{Tx, operations};
use uuid::Uuid;

/// Dead letters that one transaction retries.
const CHUNK: u32 = 5_000;
/// Shortest and longest pause before looking again at a wave under way.
const LOOK: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// Runs [`RetryDeadLetters`].
#[derive(Debug, Clone, Copy)]
pub struct RetryHandler;

#[async_trait]
impl Handler for RetryHandler {
    type Payload = RetryDeadLetters;

    async fn run(&self, payload: RetryDeadLetters, job: JobContext) -> Result<Outcome, JobError> {
        let id = payload.operation_id;
        // Planned for the numbers at hand: a plan with a hundred items and one with a hundred thousand.
        let mut tx = job.store().tenant_bulk(job.company()).await?;
        let Some(state) = operations::hold(&mut tx, job.company(), id).await? else {
            return Ok(Outcome::Done(json!({ "step": "none", "reason": "the operation is gone" })));
        };
        operations::settle(&mut tx, id).await?;
        let progress = operations::progress(&mut tx, id).await?;
        let (done, next) = match state.as_str() {
            "running" => step(&mut tx, &job, id, progress).await?,
            "aborted" | "cancelled" if progress.unsettled > 0 => ("settle", Some(later(&mut tx, id).await?)),
            "aborted" | "cancelled" => {
                operations::settled(&mut tx, id).await?;
                ("settled", None)
            }
            _ => ("none", None),
        };
        if let Some(after) = next {
            operations::enqueue_step(&mut tx, job.company(), id, after, "sync-worker").await?;
        }
        let result = json!({ "step": done, "taken": progress.taken, "planned": progress.planned });
        job.commit_done(tx, &result).await
    }
}

/// Does the next step of a running operation; answers its name and when to come back.
async fn step(
    tx: &mut Tx,
    job: &JobContext,
    id: Uuid,
    progress: Progress,
) -> Result<(&'static str, Option<Duration>), JobError> {
    Ok(match wave::next(progress) {
        Step::Begin(size) => {
            operations::begin_wave(tx, id, size).await?;
            ("begin", Some(release(tx, job, id, size).await?))
        }
        Step::Release(count) => ("release", Some(release(tx, job, id, count).await?)),
        Step::Wait => ("wait", Some(later(tx, id).await?)),
        Step::Settle => ("settle", Some(later(tx, id).await?)),
        Step::Abort => {
            let because = format!(
                "{} of the {} jobs of the wave failed again; the other dead letters were left alone",
                progress.wave_failed, progress.wave_size
            );
            let stopped = operations::stop(tx, id, "aborted", &because).await?;
            tracing::warn!(operation_id = %id, back = stopped.back, because, "a retry of dead letters was aborted");
            record(tx, Some(job.company()), &aborted(job, id, &because, progress)).await?;
            ("abort", (!stopped.settled).then_some(LOOK.0))
        }
        Step::Finish => {
            operations::finish(tx, id).await?;
            ("finish", None)
        }
    })
}

async fn release(tx: &mut Tx, job: &JobContext, id: Uuid, count: u32) -> Result<Duration, JobError> {
    operations::release(tx, job.company(), id, count.min(CHUNK), &format!("operation:{id}")).await?;
    Ok(if count > CHUNK { Duration::ZERO } else { LOOK.0 })
}

/// The longer a wave takes, the less often it is looked at.
async fn later(tx: &mut Tx, id: Uuid) -> Result<Duration, JobError> {
    Ok((operations::wave_age(tx, id).await? / 10).clamp(LOOK.0, LOOK.1))
}

fn aborted(job: &JobContext, id: Uuid, because: &str, progress: Progress) -> AuditEntry {
    AuditEntry {
        actor: "sync-worker".to_owned(),
        role: "service".to_owned(),
        action: "operation.abort".to_owned(),
        resource: format!("operation:{id}"),
        reason: Some(because.to_owned()),
        request_id: None,
        trace_id: job.trace().trace_id().map(str::to_owned),
        details: json!({ "job_id": job.job(), "taken": progress.taken, "planned": progress.planned }),
    }
}
