//! `/api/queue/operations`

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::operations::{self, Item, ItemFilter, Operation as Stored, RESULTS, Started};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use web::auth::Operator;
use web::json::Json;
use web::page::{Page, PageQuery};
use web::path::Path;
use web::problem::{FieldError, Problem};
use web::query::Query;

use super::Why;
use super::operation_body::{OperationBody, location, read};
use super::retry_all::begin;
use crate::actor::Actor;
use crate::error::Answer;
use crate::operation::{Call, Operation};
use crate::state::ApiState;

/// An operation in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct OperationSummary {
    id: Uuid,
    state: String,
    filter: Value,
    planned: i32,
    /// Items that had their turn.
    taken: i32,
    requested_by: String,
    reason: Option<String>,
    ended_because: Option<String>,
    created_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    location: String,
}

impl From<Stored> for OperationSummary {
    fn from(o: Stored) -> Self {
        Self {
            location: location(o.id),
            id: o.id,
            state: o.state,
            filter: o.filter,
            planned: o.planned,
            taken: o.taken,
            requested_by: o.requested_by,
            reason: o.reason,
            ended_because: o.ended_because,
            created_at: o.created_at,
            ended_at: o.ended_at,
        }
    }
}

/// Retries of many dead letters, newest first
#[utoipa::path(get, path = "/api/queue/operations", tag = "queue", params(PageQuery), responses(
    (status = 200, description = "A page of operations", body = Page<OperationSummary>),
))]
pub async fn list(
    State(state): State<ApiState>,
    Operator(claims): Operator,
    Query(page): Query<PageQuery>,
) -> Answer<Json<Page<OperationSummary>>> {
    let page = crate::routes::page(Some(page.limit), page.cursor)?;
    let (mut tx, company) = state.tenant(&claims).await?;
    let rows = operations::list(&mut tx, company, page.after()?, page.fetch()).await?;
    Ok(Json(Page::cut(&page, rows, |o| (o.created_at, o.id)).map(OperationSummary::from)))
}

/// One operation, with its results by cause
#[utoipa::path(get, path = "/api/queue/operations/{id}", tag = "queue", params(("id" = Uuid, Path)), responses(
    (status = 200, description = "The operation", body = OperationBody),
    (status = 404, description = "No such operation", body = web::problem::ProblemBody),
))]
pub async fn get(
    State(state): State<ApiState>,
    Operator(claims): Operator,
    Path(id): Path<Uuid>,
) -> Answer<Json<OperationBody>> {
    let (mut tx, company) = state.tenant(&claims).await?;
    Ok(Json(read(&mut tx, company, id).await?))
}

/// A dead letter of an operation.
#[derive(Debug, Serialize, ToSchema)]
pub struct OperationItem {
    /// Number in the plan, from 1.
    position: i32,
    job_id: Uuid,
    kind: String,
    fingerprint: Option<String>,
    /// planned, retried (no attempt has ended yet), failing (failed once more, tries on), succeeded, failed_again,
    /// parked, cancelled, coalesced (see `served_by`), skipped (was no dead letter any more), returned (put back
    /// before it ran) or unknown (left the history).
    result: String,
    wave: Option<i32>,
    served_by: Option<Uuid>,
    decided_at: Option<DateTime<Utc>>,
}

impl From<Item> for OperationItem {
    fn from(item: Item) -> Self {
        Self {
            position: item.position,
            job_id: item.job_id,
            kind: item.kind,
            fingerprint: item.fingerprint,
            result: item.result,
            wave: item.wave,
            served_by: item.served_by,
            decided_at: item.decided_at,
        }
    }
}

/// Which items to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OperationItemQuery {
    /// Only this result.
    result: Option<String>,
    /// Items on the page, 1 to 200 (50).
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// What became of each dead letter of an operation, in the order of the plan
#[utoipa::path(get, path = "/api/queue/operations/{id}/items", tag = "queue",
    params(("id" = Uuid, Path), OperationItemQuery),
    responses(
        (status = 200, description = "A page of items", body = Page<OperationItem>),
        (status = 404, description = "No such operation", body = web::problem::ProblemBody),
    ))]
pub async fn items(
    State(state): State<ApiState>,
    Operator(claims): Operator,
    Path(id): Path<Uuid>,
    Query(query): Query<OperationItemQuery>,
) -> Answer<Json<Page<OperationItem>>> {
    if query.result.as_deref().is_some_and(|result| !RESULTS.contains(&result)) {
        let fault = FieldError::new("result", format!("is one of {}", RESULTS.join(", ")));
        return Err(Problem::unprocessable(vec![fault]).into());
    }
    let page = crate::routes::page(query.limit, query.cursor)?;
    let (mut tx, company) = state.tenant(&claims).await?;
    if operations::find(&mut tx, company, id).await?.is_none() {
        return Err(unknown(id).into());
    }
    let filter = ItemFilter { result: query.result, after: page.after()? };
    let rows = operations::items(&mut tx, company, id, &filter, page.fetch()).await?;
    Ok(Json(Page::cut(&page, rows, |item| item.position).map(OperationItem::from)))
}

/// Runs a plan; brings a running operation back whose step was lost
#[utoipa::path(post, path = "/api/queue/operations/{id}/start", tag = "queue", params(("id" = Uuid, Path)),
    request_body(content = Option<Why>),
    responses(
        (status = 202, description = "It runs", body = OperationBody),
        (status = 200, description = "It runs already", body = OperationBody),
        (status = 404, description = "No such operation", body = web::problem::ProblemBody),
        (status = 409, description = "It has ended, or one with the same filter runs",
            body = web::problem::ProblemBody),
    ))]
pub async fn start(
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
    let items = operations::find(tx, company, id).await?.ok_or_else(|| unknown(id))?.planned;
    let status = match begin(tx, company, id, items, &actor.claims.sub).await? {
        Started::Now => StatusCode::ACCEPTED,
        Started::Running => StatusCode::OK,
        Started::Behind(other) => {
            let detail = format!("operation {other} runs with the same filter");
            return Err(Problem::conflict("operation_running", detail).with("operation_id", other).into());
        }
        Started::Ended => return Err(ended(id).into()),
        Started::Unknown => return Err(unknown(id).into()),
    };
    let details = json!({ "planned": items });
    actor.record(tx, company, "operation.start", format!("operation:{id}"), reason, details).await?;
    let body = read(tx, company, id).await?;
    operation.answer(status, Some(&location(id)), &body).await
}

/// Ends an operation: nothing more is queued, and what was queued but has not begun is a dead letter again
#[utoipa::path(post, path = "/api/queue/operations/{id}/cancel", tag = "queue", params(("id" = Uuid, Path)),
    request_body(content = Option<Why>),
    responses(
        (status = 200, description = "It is cancelled", body = OperationBody),
        (status = 404, description = "No such operation", body = web::problem::ProblemBody),
        (status = 409, description = "It has ended", body = web::problem::ProblemBody),
    ))]
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
    match operations::cancel(tx, company, id, &actor.claims.sub).await?.as_deref() {
        Some("planned" | "running") => {}
        Some(_) => return Err(ended(id).into()),
        None => return Err(unknown(id).into()),
    }
    actor.record(tx, company, "operation.cancel", format!("operation:{id}"), reason, json!({})).await?;
    let body = read(tx, company, id).await?;
    operation.answer(StatusCode::OK, None, &body).await
}

fn unknown(id: Uuid) -> Problem {
    Problem::not_found(format!("there is no operation {id}"))
}

fn ended(id: Uuid) -> Problem {
    Problem::conflict("operation_ended", format!("operation {id} has ended; make a new one"))
}
