//! `POST …/erasure`, `GET …/erasures`

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use contracts::jobs::{EraseSubjects, audit_resource};
use domain::audit::personal::names_someone;
use domain::ids::CompanyId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::audit::{erasures, policies};
use store::jobs::{NewJob, enqueue};
use utoipa::ToSchema;
use uuid::Uuid;
use web::json::Json;
use web::page::Page;
use web::path::Path;
use web::problem::{FieldError, Problem};
use web::query::Query;

use super::lists::ListQuery;
use crate::actor::Actor;
use crate::error::Answer;
use crate::operation::{Call, Operation};
use crate::routes::jobs::location;
use crate::state::ApiState;

/// Most names of a request.
const MOST: usize = 50;
/// Longest name or basis, in characters.
const LONGEST: usize = 500;

/// Who is to be forgotten, and on what basis.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ErasureRequest {
    /// Every name under which records may know the person: subject of their tokens, e-mail addresses, account ids.
    /// Written down nowhere.
    subjects: Vec<String>,
    /// Legal basis, such as `GDPR Art. 17(1)(b)`; stays in the trail, so it names nobody.
    basis: String,
    /// For those who look later.
    reason: Option<String>,
}

/// An erasure that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErasureAsked {
    erasure_id: Uuid,
    job_id: Uuid,
    /// `queued`.
    status: &'static str,
    /// Where to follow the job; also in the `Location` header.
    location: String,
}

/// An erasure.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErasureBody {
    id: Uuid,
    /// `asked`, `done` or `refused` (legal hold).
    state: String,
    basis: String,
    /// People whose keys were destroyed; fewer than were named when records know them under fewer names.
    erased: Option<i32>,
    job_id: Option<Uuid>,
    asked_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
}

/// Forgets people in audit records, online and in every archive: their keys are destroyed, every proof stays valid
#[utoipa::path(post, path = "/api/v1/audit/organizations/{org}/erasure", tag = "audit",
    params(("org" = Uuid, Path)), request_body = ErasureRequest, responses(
    (status = 202, description = "The job", body = ErasureAsked),
    (status = 404, description = "No such organization", body = web::problem::ProblemBody),
    (status = 409, description = "`legal_hold`: a class of records is held", body = web::problem::ProblemBody),
    (status = 422, description = "Nobody is named, or the basis names somebody", body = web::problem::ProblemBody),
))]
pub async fn erase(
    State(state): State<ApiState>,
    actor: Actor,
    Path(org): Path<Uuid>,
    call: Call,
) -> Answer<Response> {
    actor.administers(CompanyId(org))?;
    let request: ErasureRequest = call.json()?;
    check(&request)?;
    let why = actor.reason(request.reason.as_deref())?;
    let keys = state.subjects()?;
    let mut operation = Operation::begin(&state, &actor.claims, call).await?;
    let company = operation.company;
    let tx = operation.tx();
    if let Some(held) = policies::list(tx, company).await?.into_iter().find(|policy| policy.legal_hold) {
        let detail = format!("the class {} is under legal hold; lift it first (policies)", held.class);
        return Err(Problem::new(http::StatusCode::CONFLICT, "legal_hold", detail).into());
    }
    let id = chassis::ids::new_id();
    let job = NewJob::new(company, &EraseSubjects { erasure_id: id }, actor.claims.sub.as_str())
        .map_err(|error| Problem::internal(&error))?
        .resource(audit_resource(company.uuid()))
        .priority(6);
    let job_id = enqueue(tx, job).await?.id().uuid();
    let lookups = request.subjects.iter().flat_map(|name| keys.lookups(company.uuid(), name)).collect();
    let basis = request.basis.trim().to_owned();
    erasures::ask(tx, company, id, job_id, &erasures::Asked { basis: basis.clone(), lookups }).await?;
    let details = json!({ "job_id": job_id, "basis": basis, "names": request.subjects.len() });
    actor.record(tx, company, "erasure.ask", format!("erasure:{id}"), why, details).await?;
    tracing::info!(erasure = %id, job_id = %job_id, "erasure asked for");
    let location = location(job_id);
    let body = ErasureAsked { erasure_id: id, job_id, status: "queued", location: location.clone() };
    operation.accepted(Some(&location), &body).await
}

fn check(request: &ErasureRequest) -> Result<(), Problem> {
    let mut errors = Vec::new();
    if request.subjects.is_empty() || request.subjects.len() > MOST {
        errors.push(FieldError::new("subjects", format!("are 1 to {MOST} names")));
    }
    for (index, name) in request.subjects.iter().enumerate() {
        if name.trim().is_empty() || name.chars().count() > LONGEST {
            errors.push(FieldError::new(
                format!("subjects[{index}]"),
                format!("has 1 to {LONGEST} characters"),
            ));
        }
    }
    let basis = request.basis.trim();
    let names =
        |name: &String| !name.trim().is_empty() && basis.to_lowercase().contains(&name.trim().to_lowercase());
    if basis.is_empty() || basis.chars().count() > LONGEST {
        errors.push(FieldError::new("basis", format!("has 1 to {LONGEST} characters")));
    } else if names_someone(basis) || request.subjects.iter().any(names) {
        errors.push(FieldError::new("basis", "names somebody; it stays in the trail, so it may not"));
    }
    if errors.is_empty() { Ok(()) } else { Err(Problem::unprocessable(errors)) }
}

/// Erasures, newest first
#[utoipa::path(get, path = "/api/v1/audit/organizations/{org}/erasures", tag = "audit",
    params(("org" = Uuid, Path), ListQuery), responses(
    (status = 200, description = "A page of erasures", body = Page<ErasureBody>),
    (status = 404, description = "No such organization", body = web::problem::ProblemBody),
))]
pub async fn list(
    State(state): State<ApiState>,
    actor: Actor,
    Path(org): Path<Uuid>,
    Query(query): Query<ListQuery>,
) -> Answer<Json<Page<ErasureBody>>> {
    actor.administers(CompanyId(org))?;
    let page = crate::routes::page(query.limit, query.cursor)?;
    let before: Option<(DateTime<Utc>, Uuid)> = page.after()?;
    let (mut tx, company) = state.tenant(&actor.claims).await?;
    let rows = erasures::page(&mut tx, company, before, page.fetch()).await?;
    Ok(Json(Page::cut(&page, rows, |row| (row.asked_at, row.id)).map(|row| ErasureBody {
        id: row.id,
        state: row.state,
        basis: row.basis,
        erased: row.erased,
        job_id: row.job_id,
        asked_at: row.asked_at,
        ended_at: row.ended_at,
    })))
}
