//! `/api/queue/parked`

use axum::extract::State;
use axum::response::Response;
use chassis::trace::TraceContext;
use chrono::{DateTime, Utc};
use domain::ids::JobId;
use domain::redact::redact;
use domain::retry::ParkReason;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::jobs;
use store::parked_jobs::{self, ParkedJob};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use web::auth::Viewer;
use web::json::Json;
use web::page::Page;
use web::path::Path;
use web::problem::{FieldError, Problem};
use web::query::Query;

use super::Why;
use crate::actor::Actor;
use crate::error::Answer;
use crate::operation::{Call, Operation};
use crate::routes::jobs::{JobBody, location};
use crate::state::ApiState;

/// A job that waits for a person.
#[derive(Debug, Serialize, ToSchema)]
pub struct ParkedJobBody {
    id: Uuid,
    kind: String,
    /// consent, permission, locked, credential, mass_change, unknown_kind, crash_loop or flag.
    reason: String,
    since: DateTime<Utc>,
    waiting_seconds: i64,
    /// Who can mend it, and how.
    mended_by: &'static str,
    resource: Option<String>,
    last_error: Option<Value>,
    trace_id: Option<String>,
    location: String,
}

/// Who can mend the cause of a parked job, and how.
pub fn mended_by(reason: &str) -> &'static str {
    match reason.parse() {
        Ok(ParkReason::Consent) => {
            "An administrator of the Microsoft tenant consents to the application (Entra ID, Enterprise applications)"
        }
        Ok(ParkReason::Permission) => {
            "An administrator of the Microsoft tenant grants the application the missing permission; GET \
             /api/auth/health names it"
        }
        Ok(ParkReason::Locked) => "The owner of the site or drive unlocks or unarchives it",
        Ok(ParkReason::Credential) => {
            "Who runs the platform renews the client secret (AZURE_CLIENT_SECRET); `syncctl verify-integration` checks \
             it"
        }
        Ok(ParkReason::MassChange) => {
            "An administrator of the organization approves or rejects the removals at /api/sync/parked"
        }
        Ok(ParkReason::UnknownKind) => {
            "Who runs the platform deploys a worker that knows this kind and version"
        }
        Ok(ParkReason::CrashLoop) => {
            "The developers: the job took its worker down again and again; its log says how"
        }
        Ok(ParkReason::Flag) => {
            "An administrator of the organization ends the switch that the last error names (PUT /api/flags/{name}); \
             then the job goes on by itself"
        }
        Err(_) => "The last error says what to mend",
    }
}

/// Which parked jobs to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ParkedJobQuery {
    /// Only those parked for this reason.
    reason: Option<String>,
    /// Items on the page, 1 to 200 (50).
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Jobs that wait until a person has mended something, the longest wait first
#[utoipa::path(get, path = "/api/queue/parked", tag = "queue", params(ParkedJobQuery), responses(
    (status = 200, description = "A page of jobs", body = Page<ParkedJobBody>),
))]
pub async fn list(
    State(state): State<ApiState>,
    Viewer(claims): Viewer,
    Query(query): Query<ParkedJobQuery>,
) -> Answer<Json<Page<ParkedJobBody>>> {
    let page = crate::routes::page(query.limit, query.cursor)?;
    let (mut tx, company) = state.tenant(&claims).await?;
    let reason = query.reason.as_deref();
    let rows = parked_jobs::list(&mut tx, company, reason, page.after()?, page.fetch()).await?;
    let now = state.now();
    Ok(Json(Page::cut(&page, rows, |job| (job.since, job.id)).map(|job| body(job, now))))
}

fn body(job: ParkedJob, now: DateTime<Utc>) -> ParkedJobBody {
    let trace = TraceContext { traceparent: job.traceparent, tracestate: None };
    ParkedJobBody {
        location: location(job.id),
        id: job.id,
        kind: job.kind,
        mended_by: mended_by(&job.reason),
        reason: job.reason,
        since: job.since,
        waiting_seconds: (now - job.since).num_seconds().max(0),
        resource: job.resource_key,
        last_error: job.last_error.as_ref().map(redact),
        trace_id: trace.trace_id().map(str::to_owned),
    }
}

/// Queues a parked job again, after the cause was mended
#[utoipa::path(post, path = "/api/queue/parked/{jobId}/release", tag = "queue", params(("jobId" = Uuid, Path)),
    request_body(content = Option<Why>),
    responses(
        (status = 202, description = "It is queued", body = JobBody),
        (status = 404, description = "No such job", body = web::problem::ProblemBody),
        (status = 409, description = "It is not parked", body = web::problem::ProblemBody),
    ))]
pub async fn release(
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
    let unknown = || Problem::not_found(format!("there is no job {id}"));
    let before = jobs::find(tx, company, JobId(id)).await?.ok_or_else(unknown)?;
    let released = parked_jobs::release(tx, company, JobId(id)).await?;
    let job = jobs::find(tx, company, JobId(id)).await?.ok_or_else(unknown)?;
    if !released {
        let detail = format!("the job is not parked: it is {}", job.state);
        return Err(Problem::conflict("not_parked", detail).with("state", &job.state).into());
    }
    let details = json!({ "kind": job.kind, "park_reason": before.park_reason });
    actor.record(tx, company, "job.release", format!("job:{id}"), reason, details).await?;
    let at = location(id);
    operation.accepted(Some(&at), &JobBody::from(job)).await
}

/// Which jobs to release.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// Why they are parked: consent, permission, locked, credential, mass_change, unknown_kind or crash_loop.
    reason: String,
    /// Why they are released, for the audit record; the header `X-Reason` does as well.
    why: Option<String>,
}

/// How many were released.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReleaseBody {
    /// Jobs queued again.
    released: u64,
    reason: String,
}

/// Queues every job again that is parked for one reason
#[utoipa::path(post, path = "/api/queue/parked/release", tag = "queue", request_body = ReleaseRequest, responses(
    (status = 200, description = "They are queued", body = ReleaseBody),
    (status = 422, description = "There is no such reason", body = web::problem::ProblemBody),
))]
pub async fn release_all(State(state): State<ApiState>, actor: Actor, call: Call) -> Answer<Response> {
    let request: ReleaseRequest = call.json()?;
    let why = actor.reason(request.why.as_deref())?;
    let Ok(parked_for) = request.reason.parse::<ParkReason>() else {
        let known: Vec<&str> = ParkReason::ALL.iter().map(|reason| reason.as_str()).collect();
        let fault = FieldError::new("reason", format!("is one of {}", known.join(", ")));
        return Err(Problem::unprocessable(vec![fault]).into());
    };
    let mut operation = Operation::begin(&state, &actor.claims, call).await?;
    let company = operation.company;
    let tx = operation.tx();
    let released = parked_jobs::release_all(tx, company, parked_for.as_str()).await?;
    let details = json!({ "released": released });
    actor.record(tx, company, "job.release_all", format!("parked:{parked_for}"), why, details).await?;
    let body = ReleaseBody { released, reason: parked_for.to_string() };
    operation.answer(StatusCode::OK, None, &body).await
}
