//! `POST …/retention/pause`, `…/retention/resume`

use axum::extract::State;
use axum::response::Response;
use domain::ids::CompanyId;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::audit::{policies, runs};
use utoipa::ToSchema;
use uuid::Uuid;
use web::path::Path;

use crate::actor::Actor;
use crate::error::Answer;
use crate::operation::{Call, Operation};
use crate::state::ApiState;

/// Why; may be left out.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// For those who look later.
    reason: Option<String>,
}

/// Whether anything is purged.
#[derive(Debug, Serialize, ToSchema)]
pub struct PauseBody {
    paused: bool,
    because: String,
    changed_by: String,
}

/// Stops purging audit records; archiving goes on
#[utoipa::path(post, path = "/api/v1/audit/organizations/{org}/retention/pause", tag = "audit",
    params(("org" = Uuid, Path)), request_body(content = Option<PauseRequest>), responses(
    (status = 200, description = "Whether anything is purged", body = PauseBody),
    (status = 404, description = "No such organization", body = web::problem::ProblemBody),
))]
pub async fn pause(
    State(state): State<ApiState>,
    actor: Actor,
    Path(org): Path<Uuid>,
    call: Call,
) -> Answer<Response> {
    switch(&state, &actor, CompanyId(org), call, true).await
}

/// Purges audit records again; after a failed integrity check only once the cause is known
#[utoipa::path(post, path = "/api/v1/audit/organizations/{org}/retention/resume", tag = "audit",
    params(("org" = Uuid, Path)), request_body(content = Option<PauseRequest>), responses(
    (status = 200, description = "Whether anything is purged", body = PauseBody),
    (status = 404, description = "No such organization", body = web::problem::ProblemBody),
))]
pub async fn resume(
    State(state): State<ApiState>,
    actor: Actor,
    Path(org): Path<Uuid>,
    call: Call,
) -> Answer<Response> {
    switch(&state, &actor, CompanyId(org), call, false).await
}

async fn switch(
    state: &ApiState,
    actor: &Actor,
    org: CompanyId,
    call: Call,
    paused: bool,
) -> Answer<Response> {
    actor.administers(org)?;
    let request: PauseRequest = call.json()?;
    let why = actor.reason(request.reason.as_deref())?;
    let sub = actor.claims.sub.clone();
    let mut operation = Operation::begin(state, &actor.claims, call).await?;
    let company = operation.company;
    let tx = operation.tx();
    let because = why.clone().unwrap_or_else(|| "no reason given".to_owned());
    let action = if paused { "retention.pause" } else { "retention.resume" };
    let changed = policies::switch(tx, company, paused, &because, &sub).await?;
    let details = json!({ "changed": changed });
    actor.record(tx, company, action, format!("organization:{company}"), why, details).await?;
    let event = if paused { "purge.paused" } else { "purge.resumed" };
    let detail = json!({ "because": because, "changed": changed });
    runs::note(tx, company, (None, None), event, &detail, None).await?;
    tracing::info!(user = %sub, paused, "purging of audit records switched");
    operation.answer(StatusCode::OK, None, &PauseBody { paused, because, changed_by: sub }).await
}
