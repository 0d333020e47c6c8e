//! `PUT` and `DELETE /api/queue/dead-letter/{jobId}`

use axum::extract::State;
use axum::response::Response;
use contracts::jobs::{PayloadError, validate};
use domain::ids::JobId;
use domain::redact::restore;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use store::{dead_letters, jobs};
use utoipa::ToSchema;
use uuid::Uuid;
use web::json::field_error;
use web::path::Path;
use web::problem::{FieldError, Problem};

use super::body::DeadLetterBody;
use super::{Why, not_dead};
use crate::actor::Actor;
use crate::error::Answer;
use crate::operation::{Call, Operation};
use crate::routes::jobs::JobBody;
use crate::state::ApiState;

/// A payload to be retried with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditRequest {
    /// The whole payload. A value that still reads `[redacted]` as it was shown keeps what is behind it.
    payload: Value,
    /// Why, for the audit record; the header `X-Reason` does as well.
    reason: Option<String>,
}

/// Edits the payload of a dead letter; the one before is kept
///
/// The payload must have the shape of the job's kind and version. It is tried with `POST /api/queue/retry/{jobId}`.
#[utoipa::path(put, path = "/api/queue/dead-letter/{jobId}", tag = "queue", params(("jobId" = Uuid, Path)),
    request_body = EditRequest,
    responses(
        (status = 200, description = "The dead letter with its new payload", body = DeadLetterBody),
        (status = 404, description = "No such job", body = web::problem::ProblemBody),
        (status = 409, description = "The job is no dead letter", body = web::problem::ProblemBody),
        (status = 422, description = "Not a payload of its kind; `errors` names the field",
            body = web::problem::ProblemBody),
    ))]
pub async fn put(
    State(state): State<ApiState>,
    actor: Actor,
    Path(id): Path<Uuid>,
    call: Call,
) -> Answer<Response> {
    let request: EditRequest = call.json()?;
    let reason = actor.reason(request.reason.as_deref())?;
    let mut operation = Operation::begin(&state, &actor.claims, call).await?;
    let (company, job) = (operation.company, JobId(id));
    let tx = operation.tx();
    let Some(letter) = dead_letters::for_edit(tx, company, job).await? else {
        return Err(not_dead(tx, company, id).await);
    };
    let payload = restore(&request.payload, &letter.payload).map_err(|nothing| {
        let message = "reads [redacted], but nothing is behind it: write the value itself";
        Problem::unprocessable(vec![FieldError::new(nothing.path, message)])
    })?;
    validate(&letter.kind, letter.version, payload.clone()).map_err(|error| refused(&error))?;
    dead_letters::edit(tx, company, job, &payload, &actor.claims.sub, reason.as_deref()).await?;
    let details = json!({ "kind": letter.kind, "version": letter.version });
    actor.record(tx, company, "dead_letter.edit", format!("job:{id}"), reason, details).await?;
    let edited = dead_letters::find(tx, company, job).await?;
    let edited = edited.ok_or_else(|| Problem::not_found(format!("there is no dead letter {id}")))?;
    let edits = dead_letters::edits(tx, company, job).await?;
    operation.answer(StatusCode::OK, None, &DeadLetterBody::of_job(edited, edits)).await
}

fn refused(error: &PayloadError) -> Problem {
    let fault = match error {
        PayloadError::Malformed { path, source, .. } => {
            let fault = field_error(path, &source.to_string());
            let field = if fault.field.is_empty() {
                "payload".to_owned()
            } else {
                format!("payload.{}", fault.field)
            };
            FieldError::new(field, fault.message)
        }
        PayloadError::UnknownKind { .. } | PayloadError::UnknownVersion { .. } => {
            FieldError::new("payload", format!("cannot be checked here: {error}"))
        }
    };
    Problem::unprocessable(vec![fault])
}

/// Gives a dead letter up: a job stays in the history as cancelled with who and why, a message as discarded
#[utoipa::path(delete, path = "/api/queue/dead-letter/{jobId}", tag = "queue", params(("jobId" = Uuid, Path)),
    request_body(content = Option<Why>),
    responses(
        (status = 200, description = "The job as it stays in the history, or the message", body = JobBody),
        (status = 404, description = "No such job or message", body = web::problem::ProblemBody),
        (status = 409, description = "The job is no dead letter", body = web::problem::ProblemBody),
    ))]
pub async fn delete(
    State(state): State<ApiState>,
    actor: Actor,
    Path(id): Path<Uuid>,
    call: Call,
) -> Answer<Response> {
    let why: Why = call.json()?;
    let reason = actor.reason(why.reason.as_deref())?;
    let mut operation = Operation::begin(&state, &actor.claims, call).await?;
    let company = operation.company;
    let by = &actor.claims.sub;
    let tx = operation.tx();
    if dead_letters::discard(tx, company, JobId(id), by, reason.as_deref()).await? {
        let job = jobs::find(tx, company, JobId(id)).await?;
        let job = job.ok_or_else(|| Problem::not_found(format!("there is no dead letter {id}")))?;
        let details = json!({ "kind": job.kind });
        actor.record(tx, company, "dead_letter.discard", format!("job:{id}"), reason, details).await?;
        return operation.answer(StatusCode::OK, None, &JobBody::from(job)).await;
    }
    if dead_letters::discard_broker(tx, company, id, by, reason.as_deref()).await? {
        let message = dead_letters::find_broker(tx, company, id, 0).await?;
        let message = message.ok_or_else(|| Problem::not_found(format!("there is no message {id}")))?;
        let details = json!({ "routing_key": message.routing_key });
        actor.record(tx, company, "broker_message.discard", format!("message:{id}"), reason, details).await?;
        return operation.answer(StatusCode::OK, None, &DeadLetterBody::of_message(message)).await;
    }
    Err(not_dead(tx, company, id).await)
}
