//! A run of retention: archive what is due, read it back, and only then purge.
//!
//! Every step leaves a row behind, so that a run that was killed anywhere is taken up where it stood: an archive that
//! was planned is written again under the same name, one that was uploaded is read back, one that was verified is
//! purged on.

mod archive_step;
mod purge_step;

use audit_trail::verify::{Depth, verify};
use audit_trail::{Trail, TrailError};
use chrono::{DateTime, Utc};
use domain::audit::retention::Policy;
use job_runtime::JobError;
use serde_json::{Value, json};
use store::audit::plan::preview;
use store::audit::{AuditEntry, Circumstances, policies, record_with, runs};
use uuid::Uuid;

use crate::metrics::FAILURES;
use crate::steps::Steps;

/// Archives that one run writes at most; the next run goes on.
const ARCHIVES: usize = 50;
/// Who acts, in records.
const ACTOR: &str = "audit-retention";

/// Runs retention; what it did.
///
/// # Errors
/// [`JobError`]: to be tried again when a store or the database is away, final when the trail is broken, in which
/// case purging has paused itself.
pub async fn run(trail: &Trail, steps: &Steps, now: DateTime<Utc>) -> Result<Value, JobError> {
    let company = steps.company();
    match verify(trail, Some(company), Depth::Online).await {
        Ok(report) => {
            if let Some(fault) = report.first_fault {
                let error = TrailError::Broken(fault);
                return Err(failure(trail, steps, &error, "integrity.failed", None).await);
            }
        }
        Err(error) => return Err(failure(trail, steps, &error, "verify.failed", None).await),
    }
    let policies = policies_of(steps).await?;
    let archived = match archive_step::archive(trail, steps, &policies, now).await {
        Ok(archived) => archived,
        Err(Trouble::Trail(error)) => return Err(failure(trail, steps, &error, "archive.failed", None).await),
        Err(Trouble::Job(error)) => return Err(error),
    };
    let purged = match purge_step::purge(trail, steps, &policies, now).await {
        Ok(purged) => purged,
        Err(Trouble::Trail(error)) => return Err(failure(trail, steps, &error, "purge.failed", None).await),
        Err(Trouble::Job(error)) => return Err(error),
    };
    Ok(json!({ "archived": archived, "purged": purged }))
}

/// What a run would do now; changes nothing.
///
/// # Errors
/// As every statement.
pub async fn plan(steps: &Steps, now: DateTime<Utc>) -> Result<Value, JobError> {
    let company = steps.company();
    let policies = policies_of(steps).await?;
    let mut tx = steps.begin().await?;
    let planned = preview(&mut tx, company, &policies, now).await?;
    tx.rollback().await?;
    Ok(json!({ "dry_run": true, "plan": planned, "policies": policies }))
}

/// What ends a run early.
pub(crate) enum Trouble {
    Trail(TrailError),
    Job(JobError),
}

impl<E: Into<TrailError>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Trouble::Trail(error.into())
    }
}

async fn policies_of(steps: &Steps) -> Result<Vec<Policy>, JobError> {
    let mut tx = steps.begin().await?;
    let found = policies::list(&mut tx, steps.company()).await?;
    tx.rollback().await?;
    Ok(found)
}

/// Notes a failure where people look, counts it, and says what follows for the job. A broken trail pauses purging.
pub(crate) async fn failure(
    trail: &Trail,
    steps: &Steps,
    error: &TrailError,
    event: &str,
    archive: Option<Uuid>,
) -> JobError {
    metrics::counter!(FAILURES).increment(1);
    let said = chassis::telemetry::chain(error);
    tracing::error!(company = %steps.company(), error = said, "audit retention failed");
    if let Err(lost) = note_failure(trail, steps, error, event, archive, &said).await {
        tracing::error!(error = chassis::telemetry::chain(&lost), "the failure could not be noted");
    }
    job_error(error)
}

async fn note_failure(
    trail: &Trail,
    steps: &Steps,
    error: &TrailError,
    event: &str,
    archive: Option<Uuid>,
    said: &str,
) -> store::Result<()> {
    let company = steps.company();
    let mut tx = trail.store.tenant(company).await?;
    let mut detail = json!({ "error": said });
    if let TrailError::Broken(fault) = error {
        detail["first_fault"] = json!(fault);
        let because = format!("integrity failed: {}", fault.detail);
        if policies::switch(&mut tx, company, true, &because, ACTOR).await? {
            let trace = steps.trace_id();
            runs::note(
                &mut tx,
                company,
                (Some(steps.run()), archive),
                "purge.paused",
                &detail,
                trace.as_deref(),
            )
            .await?;
            act(
                &mut tx,
                steps,
                "retention.pause",
                format!("organization:{company}"),
                Some(because),
                detail.clone(),
            )
            .await?;
        }
    }
    runs::note(&mut tx, company, (Some(steps.run()), archive), event, &detail, steps.trace_id().as_deref())
        .await?;
    tx.commit().await
}

/// Records what retention did by itself.
pub(crate) async fn act(
    tx: &mut store::Tx,
    steps: &Steps,
    action: &str,
    resource: String,
    reason: Option<String>,
    details: Value,
) -> store::Result<()> {
    let entry = AuditEntry {
        actor: ACTOR.to_owned(),
        role: "service".to_owned(),
        action: action.to_owned(),
        resource,
        reason,
        request_id: None,
        trace_id: steps.trace_id(),
        details,
    };
    let circumstances = Circumstances { job_id: steps.job_id(), ..Circumstances::default() };
    record_with(tx, Some(steps.company()), &entry, &circumstances).await.map(drop)
}

/// What a failure means for the job: what is broken stays so, what is away comes back.
pub(crate) fn job_error(error: &TrailError) -> JobError {
    let said = chassis::telemetry::chain(error);
    match error {
        TrailError::Broken(fault) => JobError::fail(format!("audit_{}", fault.reason.as_str()), said),
        TrailError::NoKey | TrailError::NoSubjectKey | TrailError::Subject(_) => {
            JobError::fail("no_audit_key", said)
        }
        TrailError::Storage(_) => JobError::retry("archive_store", said),
        TrailError::Store(_) => JobError::retry("database", said),
        TrailError::Io { .. } => JobError::retry("io", said),
    }
}
