//! `GET /api/sync/quarantine`, `POST /api/sync/quarantine/{id}/retry`

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use contracts::jobs::SyncMode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::jobs::enqueue;
use store::quarantine::{self, QuarantineFilter, Quarantined};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use web::auth::{Operator, Viewer};
use web::json::Json;
use web::page::Page;
use web::path::Path;
use web::problem::Problem;
use web::query::Query;

use super::drive_job;
use crate::actor::Actor;
use crate::error::Answer;
use crate::operation::{Call, Operation};
use crate::routes::jobs::Accepted;
use crate::state::ApiState;

/// An item that could not be stored, or not be given a place.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuarantineBody {
    id: Uuid,
    source: String,
    resource_id: String,
    /// Empty when the body does not tell.
    item_id: String,
    /// poison, cycle, missing_parent, malware, duplicate_ao_reference, name_collision, foreign_document.
    code: String,
    reason: String,
    /// The body as it came.
    raw: Option<String>,
    /// `open` or `resolved`.
    state: String,
    occurrences: i32,
    first_seen_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    resolved_at: Option<DateTime<Utc>>,
}

impl From<Quarantined> for QuarantineBody {
    fn from(q: Quarantined) -> Self {
        Self {
            id: q.id,
            source: q.source,
            resource_id: q.resource_id,
            item_id: q.item_id,
            code: q.code,
            reason: q.reason,
            raw: q.raw,
            state: q.state,
            occurrences: q.occurrences,
            first_seen_at: q.first_seen_at,
            last_seen_at: q.last_seen_at,
            resolved_at: q.resolved_at,
        }
    }
}

/// Which items to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct QuarantineQuery {
    /// `open` (default), `resolved` or `all`.
    state: Option<String>,
    /// Only this source.
    source: Option<String>,
    /// Only this kind of trouble.
    code: Option<String>,
    /// Items on the page, 1 to 200 (50).
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Items in quarantine, newest first
#[utoipa::path(get, path = "/api/sync/quarantine", tag = "repair", params(QuarantineQuery), responses(
    (status = 200, description = "A page of items", body = Page<QuarantineBody>),
))]
pub async fn list(
    State(state): State<ApiState>,
    Viewer(claims): Viewer,
    Query(query): Query<QuarantineQuery>,
) -> Answer<Json<Page<QuarantineBody>>> {
    let page = crate::routes::page(query.limit, query.cursor)?;
    let wanted = query.state.unwrap_or_else(|| "open".to_owned());
    let filter = QuarantineFilter {
        state: Some(wanted).filter(|s| s != "all"),
        source: query.source,
        code: query.code,
        before: page.after()?,
    };
    let (mut tx, company) = state.tenant(&claims).await?;
    let rows = quarantine::list(&mut tx, company, &filter, page.fetch()).await?;
    Ok(Json(Page::cut(&page, rows, |q| (q.first_seen_at, q.id)).map(QuarantineBody::from)))
}

/// Reads the item's drive again, completely: a delta would not mention an item that has not changed
#[utoipa::path(post, path = "/api/sync/quarantine/{id}/retry", tag = "repair", params(("id" = Uuid, Path)),
    responses(
        (status = 202, description = "A job was queued", body = Accepted),
        (status = 404, description = "No such item", body = web::problem::ProblemBody),
        (status = 409, description = "It is resolved", body = web::problem::ProblemBody),
    ))]
pub async fn retry(
    State(state): State<ApiState>,
    Operator(claims): Operator,
    Path(id): Path<Uuid>,
    actor: Actor,
    call: Call,
) -> Answer<Response> {
    let mut operation = Operation::begin(&state, &claims, call).await?;
    let company = operation.company;
    let tx = operation.tx();
    let item = quarantine::get(tx, company, id)
        .await?
        .ok_or_else(|| Problem::not_found(format!("there is no quarantined item {id}")))?;
    if item.state != "open" {
        return Err(Problem::conflict("already_resolved", "the item is resolved").into());
    }
    let job =
        drive_job(company, &item.resource_id, "full", &claims.sub, |payload| payload.mode = SyncMode::Full)?;
    let job = enqueue(tx, job).await?.id();
    let details = json!({ "job_id": job.uuid(), "drive_id": item.resource_id });
    let reason = actor.reason(None)?;
    actor.record(tx, company, "quarantine.retry", format!("quarantine:{id}"), reason, details).await?;
    let accepted = Accepted::new(job);
    operation.accepted(Some(&accepted.location), &accepted).await
}
