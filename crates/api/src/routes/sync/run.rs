//! `POST /api/sync/run`

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::jobs::enqueue_many;
use store::{drives, settings};
use utoipa::ToSchema;
use uuid::Uuid;
use web::auth::Operator;
use web::problem::{FieldError, Problem};

use super::ao::no_drive;
use super::{SOURCE, drive_job};
use crate::actor::Actor;
use crate::error::Answer;
use crate::operation::{Call, Operation};
use crate::state::ApiState;

/// What to run.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// `onedrive`; absent: every enabled source.
    source: Option<String>,
    /// Write nothing; the job's result lists what would be done.
    #[serde(default)]
    dry_run: bool,
}

/// The jobs of a run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RunAccepted)]
pub struct RunBody {
    batch_id: Uuid,
    dry_run: bool,
    /// The first job; with one drive, the only one.
    job_id: Uuid,
    /// Where to follow the first job.
    location: String,
    jobs: Vec<RunJob>,
}

#[derive(Debug, Serialize, ToSchema)]
struct RunJob {
    job_id: Uuid,
    drive_id: String,
}

/// Runs a source now: every enabled drive from its delta link
#[utoipa::path(post, path = "/api/sync/run", tag = "sync", request_body(content = Option<RunRequest>), responses(
    (status = 202, description = "The jobs", body = RunBody),
    (status = 409, description = "The source is switched off, or there is no drive",
        body = web::problem::ProblemBody),
))]
pub async fn run(
    State(state): State<ApiState>,
    Operator(claims): Operator,
    actor: Actor,
    call: Call,
) -> Answer<Response> {
    let request: RunRequest = call.json()?;
    if request.source.as_deref().is_some_and(|source| source != SOURCE) {
        return Err(Problem::unprocessable(vec![FieldError::new("source", "is `onedrive`")]).into());
    }
    let mut operation = Operation::begin(&state, &claims, call).await?;
    let company = operation.company;
    let tx = operation.tx();
    if !settings::get(tx, company).await?.enabled_sources.iter().any(|s| s == SOURCE) {
        let detail = "the source onedrive is switched off; PUT /api/sync/config switches it on";
        return Err(Problem::conflict("source_disabled", detail).into());
    }
    let batch = chassis::ids::new_id();
    let purpose = if request.dry_run { "dry_run" } else { "manual" };
    let drives = drives::list_enabled(tx, company).await?;
    let mut jobs = Vec::with_capacity(drives.len());
    for drive in &drives {
        let job =
            drive_job(company, drive, purpose, &claims.sub, |payload| payload.dry_run = request.dry_run)?;
        jobs.push(job.batch(batch));
    }
    let enqueued = enqueue_many(tx, jobs).await?;
    let Some(first) = enqueued.first().map(|job| job.id().uuid()) else {
        return Err(no_drive().into());
    };
    let details = json!({ "batch_id": batch, "jobs": enqueued.len(), "dry_run": request.dry_run });
    let reason = actor.reason(None)?;
    actor.record(tx, company, "sync.run", format!("source:{SOURCE}"), reason, details).await?;
    let location = format!("/api/sync/jobs/{first}");
    let jobs = enqueued
        .into_iter()
        .zip(drives)
        .map(|(job, drive_id)| RunJob { job_id: job.id().uuid(), drive_id })
        .collect();
    let body = RunBody {
        batch_id: batch,
        dry_run: request.dry_run,
        job_id: first,
        location: location.clone(),
        jobs,
    };
    operation.accepted(Some(&location), &body).await
}
