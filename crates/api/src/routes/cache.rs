//! `POST /api/cache/clear`

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use web::auth::Admin;

use crate::actor::Actor;
use crate::error::Answer;
use crate::operation::{Call, Operation};
use crate::state::ApiState;

/// What to forget.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClearCache {
    /// An AO id or drive id; absent: everything.
    scope: Option<String>,
}

/// How much was forgotten.
#[derive(Debug, Serialize, ToSchema)]
pub struct Cleared {
    cleared: u64,
}

/// Forgets cached provider metadata; loses nothing
#[utoipa::path(post, path = "/api/cache/clear", tag = "providers", request_body(content = Option<ClearCache>), responses(
    (status = 200, description = "Number of entries", body = Cleared),
    (status = 503, description = "The connector is away", body = web::problem::ProblemBody),
))]
pub async fn clear(
    State(state): State<ApiState>,
    Admin(claims): Admin,
    actor: Actor,
    call: Call,
) -> Answer<Response> {
    let request: ClearCache = call.json()?;
    let mut operation = Operation::begin(&state, &claims, call).await?;
    let company = operation.company;
    let scope = request.scope.unwrap_or_default();
    let cleared = state.connector.clear_cache(scope.clone()).await?;
    let details = json!({ "scope": scope, "cleared": cleared });
    let reason = actor.reason(None)?;
    actor.record(operation.tx(), company, "cache.clear", "cache".to_owned(), reason, details).await?;
    operation.answer(StatusCode::OK, None, &Cleared { cleared }).await
}
