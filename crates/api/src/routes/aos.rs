//! `/api/aos`

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use domain::names::preflight;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::aos::{self, Ao, AoWritten};
use store::drives;
use utoipa::ToSchema;
use web::auth::{Operator, Viewer};
use web::json::Json;
use web::page::{Page, PageQuery};
use web::path::Path;
use web::problem::{FieldError, Problem};
use web::query::Query;

use crate::actor::Actor;
use crate::error::Answer;
use crate::state::ApiState;

const MAX_ID: usize = 200;
const MAX_TITLE: usize = 1000;

/// An AO (call for tenders).
#[derive(Debug, Serialize, ToSchema)]
pub struct AoBody {
    /// Such as `ao-2503`.
    id: String,
    /// As it stands in the folder's name behind the prefix.
    reference: String,
    title: String,
    /// Drive of its folder; the organization's first when null.
    drive_id: Option<String>,
    /// Its folder, once it was seen.
    folder_item_id: Option<String>,
    /// Found in a drive; false when it was written over REST.
    discovered: bool,
    /// Living documents.
    documents: i64,
    last_synced_at: Option<DateTime<Utc>>,
    /// `success` or `error`.
    last_sync_status: Option<String>,
    last_error: Option<String>,
    /// First of the failures since the last success.
    failing_since: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Ao> for AoBody {
    fn from(ao: Ao) -> Self {
        Self {
            id: ao.id,
            reference: ao.reference,
            title: ao.title,
            drive_id: ao.drive_id,
            folder_item_id: ao.folder_item_id,
            discovered: ao.discovered,
            documents: ao.documents,
            last_synced_at: ao.last_synced_at,
            last_sync_status: ao.last_sync_status,
            last_error: ao.last_error,
            failing_since: ao.failing_since,
            created_at: ao.created_at,
            updated_at: ao.updated_at,
        }
    }
}

/// AOs of the organization, by id
#[utoipa::path(get, path = "/api/aos", tag = "data", params(PageQuery), responses(
    (status = 200, description = "A page of AOs", body = Page<AoBody>),
))]
pub async fn list(
    State(state): State<ApiState>,
    Viewer(claims): Viewer,
    Query(page): Query<PageQuery>,
) -> Answer<Json<Page<AoBody>>> {
    let after: Option<String> = page.after()?;
    let (mut tx, company) = state.tenant(&claims).await?;
    let rows = aos::list(&mut tx, company, after.as_deref(), page.fetch()).await?;
    Ok(Json(Page::cut(&page, rows, |ao| ao.id.clone()).map(AoBody::from)))
}

/// One AO
#[utoipa::path(get, path = "/api/aos/{aoId}", tag = "data", params(("aoId" = String, Path)), responses(
    (status = 200, description = "The AO", body = AoBody),
    (status = 404, description = "No such AO", body = web::problem::ProblemBody),
))]
pub async fn get(
    State(state): State<ApiState>,
    Viewer(claims): Viewer,
    Path(id): Path<String>,
) -> Answer<Json<AoBody>> {
    let (mut tx, company) = state.tenant(&claims).await?;
    let ao = aos::get(&mut tx, company, &id).await?.ok_or_else(|| unknown(&id))?;
    Ok(Json(AoBody::from(ao)))
}

/// What to write.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutAo {
    /// As it stands in the folder's name behind the prefix; compared without case, as the provider does.
    reference: String,
    /// Absent: keeps what is stored.
    title: Option<String>,
    /// A registered drive. Absent: keeps what is stored.
    drive_id: Option<String>,
}

/// Creates or changes an AO
#[utoipa::path(put, path = "/api/aos/{aoId}", tag = "data", params(("aoId" = String, Path)), request_body = PutAo,
    responses(
        (status = 200, description = "It was changed", body = AoBody),
        (status = 201, description = "It was created", body = AoBody),
        (status = 409, description = "Another AO has the reference (`ao_id` names it)",
            body = web::problem::ProblemBody),
        (status = 422, description = "A field cannot be used", body = web::problem::ProblemBody),
    ))]
pub async fn put(
    State(state): State<ApiState>,
    Operator(claims): Operator,
    Path(id): Path<String>,
    actor: Actor,
    Json(ao): Json<PutAo>,
) -> Answer<Response> {
    check(&id, &ao)?;
    let (mut tx, company) = state.tenant(&claims).await?;
    if let Some(drive) = &ao.drive_id
        && drives::get(&mut tx, company, drive).await?.is_none()
    {
        let message = "is not a registered drive; PUT /api/drives/{driveId} registers one";
        return Err(Problem::unprocessable(vec![FieldError::new("drive_id", message)]).into());
    }
    let written =
        aos::put(&mut tx, company, &id, &ao.reference, ao.title.as_deref(), ao.drive_id.as_deref()).await?;
    let status = match written {
        AoWritten::Created => StatusCode::CREATED,
        AoWritten::Updated => StatusCode::OK,
        AoWritten::Duplicate(other) => {
            let detail = format!("the reference {:?} belongs to another AO", ao.reference);
            let problem = Problem::conflict("duplicate_reference", detail);
            let problem = if other.is_empty() { problem } else { problem.with("ao_id", other) };
            return Err(problem.into());
        }
    };
    let stored = aos::get(&mut tx, company, &id).await?.ok_or_else(|| unknown(&id))?;
    let details = json!({ "reference": stored.reference, "title": stored.title, "drive_id": stored.drive_id,
        "new": status == StatusCode::CREATED });
    let reason = actor.reason(None)?;
    actor.record(&mut tx, company, "ao.put", format!("ao:{id}"), reason, details).await?;
    tx.commit().await?;
    Ok((status, Json(AoBody::from(stored))).into_response())
}

fn check(id: &str, ao: &PutAo) -> Result<(), Problem> {
    let mut errors = Vec::new();
    if id.len() > MAX_ID || id.chars().any(char::is_control) {
        errors.push(FieldError::new("aoId", format!("has at most {MAX_ID} bytes and no control characters")));
    }
    if ao.reference.trim().is_empty() {
        errors.push(FieldError::new("reference", "is empty"));
    } else if let Err(fault) = preflight(&format!("AO-{}", ao.reference), "studies") {
        errors.push(FieldError::new("reference", format!("cannot stand in a folder's name: {}", fault.rule)));
    }
    if ao.title.as_deref().is_some_and(|t| t.len() > MAX_TITLE || t.contains('\0')) {
        errors.push(FieldError::new("title", format!("has at most {MAX_TITLE} bytes")));
    }
    if errors.is_empty() { Ok(()) } else { Err(Problem::unprocessable(errors)) }
}

pub fn unknown(id: &str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "ao_not_found", format!("there is no AO {id:?}"))
}
