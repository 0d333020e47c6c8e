//! `POST /api/queue/retry/{jobId}`

use axum::extract::State;
use axum::response::Response;
use domain::ids::{CompanyId, JobId};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use store::dead_letters::{Retried, retry_many};
use store::jobs::{self, JobView};
use store::{Tx, dead_letters};
use utoipa::ToSchema;
use uuid::Uuid;
use web::path::Path;
use web::problem::Problem;

use super::{Why, not_dead};
use crate::actor::Actor;
use crate::error::{Answer, ApiError};
use crate::operation::{Call, Operation};
use crate::routes::jobs::{JobBody, location};
use crate::state::ApiState;

/// The job that does the work now.
#[derive(Debug, Serialize, ToSchema)]
pub struct RetryBody {
    #[serde(flatten)]
    job: JobBody,
    /// `queued`: this request queued it again. `coalesced`: another job (this one) does the same work and serves
    /// the dead letter. `already_retried`: it was no dead letter any more and lives or has succeeded.
    outcome: &'static str,
    /// The dead letter that was asked for.
    retried: Uuid,
}

/// Queues a dead letter again, first in the line of its resource
///
/// Asking twice runs it once: the second request finds no dead letter and is answered 200 with the job as it is. A
/// job that was discarded or cancelled is not brought back: 409.
#[utoipa::path(post, path = "/api/queue/retry/{jobId}", tag = "queue", params(("jobId" = Uuid, Path)),
    request_body(content = Option<Why>),
    responses(
        (status = 202, description = "It is queued, or another job serves it", body = RetryBody),
        (status = 200, description = "It was retried before", body = RetryBody),
        (status = 404, description = "No such job", body = web::problem::ProblemBody),
        (status = 409, description = "It was cancelled, or is a message", body = web::problem::ProblemBody),
    ))]
pub async fn retry(
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
    let before = dead_letters::find(tx, company, JobId(id)).await?;
    let done = retry_many(tx, company, &[id], &actor.claims.sub).await?;
    let (outcome, serving) = match done.first() {
        Some(Retried::Queued(job)) => ("queued", *job),
        Some(Retried::Coalesced { into, .. }) => ("coalesced", *into),
        None => {
            let job = already(tx, company, id).await?;
            let at = location(job.id);
            let body = RetryBody { job: JobBody::from(job), outcome: "already_retried", retried: id };
            return operation.answer(StatusCode::OK, Some(&at), &body).await;
        }
    };
    let details = json!({
        "kind": before.as_ref().map(|letter| &letter.job.kind),
        "fingerprint": before.as_ref().and_then(|letter| letter.fingerprint.as_ref()),
        "outcome": outcome, "served_by": serving,
    });
    actor.record(tx, company, "dead_letter.retry", format!("job:{id}"), reason, details).await?;
    let job = find(tx, company, serving).await?;
    let at = location(job.id);
    let body = RetryBody { job: JobBody::from(job), outcome, retried: id };
    operation.accepted(Some(&at), &body).await
}

async fn find(tx: &mut Tx, company: CompanyId, id: Uuid) -> Result<JobView, ApiError> {
    let job = jobs::find(tx, company, JobId(id)).await?;
    job.ok_or_else(|| Problem::not_found(format!("there is no job {id}")).into())
}

/// The job that a former dead letter has become, or that serves it.
async fn already(tx: &mut Tx, company: CompanyId, id: Uuid) -> Result<JobView, ApiError> {
    let Some(mut job) = jobs::find(tx, company, JobId(id)).await? else {
        return Err(not_dead(tx, company, id).await);
    };
    let into = |job: &JobView| {
        let into = job.result.as_ref()?.get("coalesced_into").and_then(Value::as_str)?;
        into.parse::<Uuid>().ok()
    };
    if job.state == "cancelled"
        && let Some(serving) = into(&job)
        && let Some(other) = jobs::find(tx, company, JobId(serving)).await?
    {
        job = other;
    }
    if job.state == "cancelled" {
        let detail = "the job was discarded or cancelled, and is not brought back: enqueue it anew";
        return Err(Problem::conflict("job_cancelled", detail).with("result", &job.result).into());
    }
    Ok(job)
}
