//! The jobs of `jobs.audit`.

use async_trait::async_trait;
use audit_trail::verify::{Depth, verify};
use audit_trail::{Trail, TrailError};
use chassis::time::SystemClock;
use contracts::jobs::{EraseSubjects, RestoreArchive, RunRetention, VerifyAudit};
use domain::time::Clock;
use job_runtime::{Handler, JobContext, JobError, Outcome};
use serde_json::{Value, json};
use store::audit::runs::{self, NewRun};
use tracing::Instrument;

use crate::retention;
use crate::steps::Steps;

/// Runs [`RunRetention`].
#[derive(Debug, Clone)]
pub struct RetentionHandler(pub Trail);

/// Runs [`VerifyAudit`].
#[derive(Debug, Clone)]
pub struct VerifyHandler(pub Trail);

/// Runs [`RestoreArchive`].
#[derive(Debug, Clone)]
pub struct RestoreHandler(pub Trail);

#[async_trait]
impl Handler for RetentionHandler {
    type Payload = RunRetention;

    async fn run(&self, payload: RunRetention, job: JobContext) -> Result<Outcome, JobError> {
        let steps = begin(&job, "retention", payload.dry_run).await?;
        let span = span(&steps, "retention", payload.dry_run);
        let now = SystemClock.now();
        let done = if payload.dry_run {
            retention::plan(&steps, now).instrument(span).await
        } else {
            retention::run(&self.0, &steps, now).instrument(span).await
        };
        end(&job, &steps, done).await
    }
}

#[async_trait]
impl Handler for VerifyHandler {
    type Payload = VerifyAudit;

    async fn run(&self, payload: VerifyAudit, job: JobContext) -> Result<Outcome, JobError> {
        let steps = begin(&job, "verify", false).await?;
        let span = span(&steps, "verify", false);
        let depth = if payload.archives { Depth::Archives } else { Depth::Online };
        let done = judge(&self.0, &steps, depth).instrument(span).await;
        end(&job, &steps, done).await
    }
}

async fn judge(trail: &Trail, steps: &Steps, depth: Depth) -> Result<Value, JobError> {
    let report = match verify(trail, Some(steps.company()), depth).await {
        Ok(report) => report,
        Err(error) => return Err(retention::failure(trail, steps, &error, "verify.failed", None).await),
    };
    if let Some(fault) = &report.first_fault {
        // The judgement is the job's result; that it is a bad one is noted, counted and pauses purging.
        let broken = TrailError::Broken(fault.clone());
        retention::failure(trail, steps, &broken, "integrity.failed", None).await;
    }
    Ok(json!(report))
}

#[async_trait]
impl Handler for RestoreHandler {
    type Payload = RestoreArchive;

    async fn run(&self, payload: RestoreArchive, job: JobContext) -> Result<Outcome, JobError> {
        let steps = begin(&job, "restore", false).await?;
        let span = span(&steps, "restore", false);
        let done = crate::restore(&self.0, &steps, payload.archive_id).instrument(span).await;
        end(&job, &steps, done).await
    }
}

/// Runs [`EraseSubjects`].
#[derive(Debug, Clone)]
pub struct EraseHandler(pub Trail);

#[async_trait]
impl Handler for EraseHandler {
    type Payload = EraseSubjects;

    async fn run(&self, payload: EraseSubjects, job: JobContext) -> Result<Outcome, JobError> {
        let steps = begin(&job, "erase", false).await?;
        let span = span(&steps, "erase", false);
        let done = crate::erase(&self.0, &steps, payload.erasure_id).instrument(span).await;
        end(&job, &steps, done).await
    }
}

/// The span that the runbook names.
fn span(steps: &Steps, kind: &'static str, dry_run: bool) -> tracing::Span {
    tracing::info_span!("audit.retention.job", kind, dry_run, company = %steps.company(), run = %steps.run())
}

/// Begins the job's row of `audit_retention_runs`, or goes on with it.
async fn begin(job: &JobContext, kind: &str, dry_run: bool) -> Result<Steps, JobError> {
    let requested_by = job.requested_by().unwrap_or("schedule");
    let mut tx = job.begin().await?;
    let run = NewRun { kind, job: job.job().uuid(), dry_run, requested_by };
    let id = runs::begin(&mut tx, job.company(), &run).await?;
    job.commit(tx).await?;
    Ok(Steps::of_job(job, id))
}

async fn end(job: &JobContext, steps: &Steps, done: Result<Value, JobError>) -> Result<Outcome, JobError> {
    let mut tx = job.begin().await?;
    match done {
        Ok(result) => {
            runs::end(&mut tx, steps.company(), steps.run(), true, &result).await?;
            job.commit_done(tx, &result).await
        }
        Err(error) => {
            let said = json!({ "error": error.to_string(), "code": error.code() });
            runs::end(&mut tx, steps.company(), steps.run(), false, &said).await?;
            tx.commit().await?;
            Err(error)
        }
    }
}
