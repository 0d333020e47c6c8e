//! `/api/sync/jobs`

mod body;
mod explain;

use axum::extract::State;
use axum::response::Response;
use domain::ids::JobId;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use store::jobs::{self, JobFilter};
use utoipa::IntoParams;
use uuid::Uuid;
use web::auth::Viewer;
use web::json::Json;
use web::page::Page;
use web::path::Path;
use web::problem::{FieldError, Problem};
use web::query::Query;

pub use body::{Accepted, JobBody, location};
pub use explain::__path_explain;
pub use explain::explain;

use super::queue::Why;
use crate::actor::Actor;
use crate::error::Answer;
use crate::operation::{Call, Operation};
use crate::state::ApiState;

const STATES: [&str; 8] =
    ["scheduled", "queued", "running", "retrying", "parked", "succeeded", "dead", "cancelled"];

/// Which jobs to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct JobQuery {
    /// Only this kind, such as `documents.sync_ao`.
    kind: Option<String>,
    /// Only this state.
    state: Option<String>,
    /// Only jobs of this batch.
    batch_id: Option<Uuid>,
    /// Items on the page, 1 to 200 (50).
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Jobs of the organization, newest first
#[utoipa::path(get, path = "/api/sync/jobs", tag = "jobs", params(JobQuery), responses(
    (status = 200, description = "A page of jobs", body = Page<JobBody>),
))]
pub async fn list(
    State(state): State<ApiState>,
    Viewer(claims): Viewer,
    Query(query): Query<JobQuery>,
) -> Answer<Json<Page<JobBody>>> {
    if query.state.as_deref().is_some_and(|s| !STATES.contains(&s)) {
        let message = format!("is one of {}", STATES.join(", "));
        return Err(Problem::unprocessable(vec![FieldError::new("state", message)]).into());
    }
    let page = super::page(query.limit, query.cursor)?;
    let filter =
        JobFilter { kind: query.kind, state: query.state, batch: query.batch_id, before: page.after()? };
    let (mut tx, company) = state.tenant(&claims).await?;
    let rows = jobs::list(&mut tx, company, &filter, page.fetch()).await?;
    Ok(Json(Page::cut(&page, rows, |job| (job.created_at, job.id)).map(JobBody::from)))
}

/// One job, with progress, result and error chain
#[utoipa::path(get, path = "/api/sync/jobs/{id}", tag = "jobs", params(("id" = Uuid, Path)), responses(
    (status = 200, description = "The job", body = JobBody),
    (status = 404, description = "No such job", body = web::problem::ProblemBody),
))]
pub async fn get(
    State(state): State<ApiState>,
    Viewer(claims): Viewer,
    Path(id): Path<Uuid>,
) -> Answer<Json<JobBody>> {
    let (mut tx, company) = state.tenant(&claims).await?;
    let job = jobs::find(&mut tx, company, JobId(id)).await?.ok_or_else(|| unknown(id))?;
    Ok(Json(JobBody::from(job)))
}

/// Cancels a job: a waiting one at once, a running one at its next heartbeat
#[utoipa::path(post, path = "/api/sync/jobs/{id}/cancel", tag = "jobs", params(("id" = Uuid, Path)), responses(
    (status = 200, description = "It is cancelled", body = JobBody),
    (status = 202, description = "It runs and was asked to stop", body = JobBody),
    (status = 404, description = "No such job", body = web::problem::ProblemBody),
    (status = 409, description = "It has ended before", body = web::problem::ProblemBody),
), request_body(content = Option<Why>))]
pub async fn cancel(
    State(state): State<ApiState>,
    actor: Actor,
    Path(id): Path<Uuid>,
    call: Call,
) -> Answer<Response> {
    let why: Why = call.json()?;
    let reason = actor.reason(why.reason.as_deref())?;
    let mut operation = Operation::begin(&state, &actor.claims, call).await?;
    let company = operation.company;
    let tx = operation.tx();
    let asked = jobs::request_cancel(tx, company, JobId(id), &actor.claims.sub).await?;
    let job = jobs::find(tx, company, JobId(id)).await?.ok_or_else(|| unknown(id))?;
    let status = match asked {
        Some(true) => StatusCode::OK,
        Some(false) => StatusCode::ACCEPTED,
        None => {
            let detail = format!("the job has ended: {}", job.state);
            return Err(Problem::conflict("job_ended", detail).with("state", &job.state).into());
        }
    };
    let details = json!({ "kind": job.kind, "state": job.state });
    actor.record(tx, company, "job.cancel", format!("job:{id}"), reason, details).await?;
    operation.answer(status, None, &JobBody::from(job)).await
}

fn unknown(id: Uuid) -> Problem {
    Problem::not_found(format!("there is no job {id}"))
}
