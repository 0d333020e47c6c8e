//! `POST /api/schedules/{name}/trigger`

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::json;
use store::jobs;
use store::schedules::{self, Triggered};
use utoipa::ToSchema;
use uuid::Uuid;
use web::path::Path;
use web::problem::Problem;

use super::unknown;
use crate::actor::Actor;
use crate::error::Answer;
use crate::operation::{Call, Operation};
use crate::routes::jobs::{JobBody, location};
use crate::state::ApiState;

/// A run that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct TriggerBody {
    job_id: Uuid,
    /// An earlier request's job serves this one too.
    coalesced: bool,
    /// Where to follow it; also in the `Location` header.
    location: String,
    job: JobBody,
}

/// Runs a schedule now, as an extra occurrence for reason `manual`, also while it is paused. Asking twice while the
/// job is not over runs it once
#[utoipa::path(post, path = "/api/schedules/{name}/trigger", tag = "schedules", params(("name" = String, Path)),
    responses(
    (status = 202, description = "The job", body = TriggerBody),
    (status = 404, description = "No such schedule", body = web::problem::ProblemBody),
    (status = 409, description = "Its job cannot be made", body = web::problem::ProblemBody),
))]
pub async fn trigger(
    State(state): State<ApiState>,
    actor: Actor,
    Path(name): Path<String>,
    call: Call,
) -> Answer<Response> {
    let claims = &actor.claims;
    let mut operation = Operation::begin(&state, claims, call).await?;
    let company = operation.company;
    let tx = operation.tx();
    let (job, coalesced) = match schedules::trigger(tx, company, &name, &claims.sub).await? {
        None => return Err(unknown(&name).into()),
        Some(Triggered::Invalid(error)) => {
            return Err(Problem::conflict("schedule_invalid", chassis::telemetry::chain(&error)).into());
        }
        Some(Triggered::New(job)) => (job, false),
        Some(Triggered::Coalesced(job)) => (job, true),
    };
    let details = json!({ "job_id": job.uuid(), "coalesced": coalesced });
    let (resource, why) = (format!("schedule:{name}"), actor.reason(None)?);
    actor.record(tx, company, "schedule.trigger", resource, why, details).await?;
    let view = jobs::find(tx, company, job).await?.ok_or_else(Problem::defect)?;
    tracing::info!(user = %claims.sub, schedule = name, job_id = %job, coalesced, "schedule triggered");
    let location = location(job.uuid());
    let body = TriggerBody { job_id: job.uuid(), coalesced, location: location.clone(), job: view.into() };
    operation.accepted(Some(&location), &body).await
}
