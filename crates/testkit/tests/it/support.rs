//! What tests of jobs share.

use std::sync::Arc;

use contracts::jobs::{PurgeFinished, SweepDrives, Trigger};
use job_runtime::{Handlers, JobContext, JobError, Outcome};
use serde_json::json;
use store::jobs::{NewJob, enqueue};
use testkit::rig::Process;
use testkit::{Rig, eventually, scripted};
use tokio::sync::Semaphore;

/// A job that nobody waits for.
pub fn sweep(rig: &Rig) -> NewJob {
    NewJob::new(rig.company, &SweepDrives { trigger: Trigger::Manual }, "test").expect("a payload")
}

/// Commits the job's effect: a job that waits for ever and names its cause. One row per committed effect.
pub async fn leave_effect(job: &JobContext) -> Result<Outcome, JobError> {
    let mut tx = job.begin().await?;
    let far = chrono::DateTime::from_timestamp(4_000_000_000, 0).expect("a time");
    let trace = NewJob::new(job.company(), &PurgeFinished { tombstone_days: 1 }, job.job().to_string())?;
    enqueue(&mut tx, trace.run_at(far)).await?;
    job.commit_done(tx, &json!(null)).await
}

/// A worker's handlers that leave one effect per job.
pub fn effect() -> Handlers {
    Handlers::new().with(scripted::<SweepDrives, _, _>(async |_, job| leave_effect(&job).await))
}

/// Handlers that leave one effect per job, but only when told to: (handlers, started, release).
pub fn held_effect() -> (Handlers, Arc<Semaphore>, Arc<Semaphore>) {
    let (started, release) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (entered, gate) = (started.clone(), release.clone());
    let handlers = Handlers::new().with(scripted::<SweepDrives, _, _>(move |_, job| {
        let (entered, gate) = (entered.clone(), gate.clone());
        async move {
            entered.add_permits(1);
            gate.acquire().await.expect("never closed").forget();
            leave_effect(&job).await
        }
    }));
    (handlers, started, release)
}

/// Waits until this many jobs are in the state.
pub async fn until(rig: &Rig, state: &str, number: i64) {
    eventually(&format!("{number} jobs {state}"), async || (rig.count(state).await == number).then_some(()))
        .await;
}

/// Stops them all.
pub async fn end(processes: impl IntoIterator<Item = Process>) {
    for process in processes {
        process.stop().await;
    }
}
