//! The jobs of `make bench`: one effect each, a row in a table that the measurement counts.

use async_trait::async_trait;
use chassis::time::SystemClock;
use contracts::jobs::{JobPayload, Queue};
use domain::time::Clock as _;
use job_runtime::{GroupHandler, GroupJob, Handler, JobContext, JobError, Outcome};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::Tx;
use uuid::Uuid;

/// Made in a benchmark's database by its owner.
pub const EFFECTS: &str = "
    CREATE TABLE bench_effects (
        job_id uuid NOT NULL, wait_us bigint NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp()
    );
    GRANT INSERT ON bench_effects TO syncline_app";

/// A job that writes one row, committed together with its "done" mark.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct OneEffect {
    /// When it was asked for, in microseconds since 1970.
    pub asked_us: i64,
}

impl OneEffect {
    /// Asked for now.
    pub fn now() -> Self {
        Self { asked_us: micros() }
    }
}

// A queue that no other worker of a measurement serves.
impl JobPayload for OneEffect {
    const KIND: &'static str = "audit.bench_effect";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Audit;
}

/// This machine's clock, which the enqueueing and the working process share.
fn micros() -> i64 {
    SystemClock.now().timestamp_micros()
}

/// Runs [`OneEffect`] in a transaction of its own.
#[derive(Debug, Clone, Copy)]
pub struct OneEffectHandler;

#[async_trait]
impl Handler for OneEffectHandler {
    type Payload = OneEffect;

    async fn run(&self, payload: OneEffect, job: JobContext) -> Result<Outcome, JobError> {
        const WRITE: &str = "INSERT INTO bench_effects (job_id, wait_us) VALUES ($1, $2)";
        let waited = micros() - payload.asked_us;
        let mut tx = job.begin().await?;
        store::effects::write_one(&mut tx, WRITE, job.job().uuid(), waited).await?;
        job.commit_done(tx, &json!(null)).await
    }
}

/// As [`OneEffect`], and may be done together with others in one transaction.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct GroupedEffect {
    /// When it was asked for, in microseconds since 1970.
    pub asked_us: i64,
}

impl GroupedEffect {
    /// Asked for now.
    pub fn now() -> Self {
        Self { asked_us: micros() }
    }
}

impl JobPayload for GroupedEffect {
    const KIND: &'static str = "audit.bench_grouped";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Audit;
}

/// Runs many [`GroupedEffect`]s in one transaction.
#[derive(Debug, Clone, Copy)]
pub struct GroupedEffectHandler;

#[async_trait]
impl GroupHandler for GroupedEffectHandler {
    type Payload = GroupedEffect;

    const MOST: usize = 500;

    async fn run(&self, jobs: &mut [GroupJob<GroupedEffect>], tx: &mut Tx) -> Result<(), JobError> {
        const WRITE: &str =
            "INSERT INTO bench_effects (job_id, wait_us) SELECT * FROM UNNEST($1::uuid[], $2::bigint[])";
        let now = micros();
        let (ids, waits): (Vec<Uuid>, Vec<i64>) =
            jobs.iter().map(|job| (job.job().uuid(), now - job.payload().asked_us)).unzip();
        store::effects::write_many(tx, WRITE, &ids, &waits).await?;
        Ok(())
    }
}
