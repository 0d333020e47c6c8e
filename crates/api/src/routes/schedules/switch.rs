//! `POST /api/schedules/{name}/pause`, `POST /api/schedules/{name}/resume`

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use store::schedules;
use utoipa::ToSchema;
use web::path::Path;
use web::problem::{FieldError, Problem};

use super::body::{ScheduleBody, Upcoming};
use super::{read, unknown};
use crate::actor::Actor;
use crate::error::Answer;
use crate::operation::{Call, Operation};
use crate::state::ApiState;

/// Longest reason, in characters.
const MAX_REASON: usize = 500;

/// Why; may be left out.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SwitchRequest {
    /// For those who look later.
    reason: Option<String>,
}

/// Pauses a schedule: its occurrences are skipped, each with a row that says so. Manual runs still work
#[utoipa::path(post, path = "/api/schedules/{name}/pause", tag = "schedules", params(("name" = String, Path)),
    request_body(content = Option<SwitchRequest>), responses(
    (status = 200, description = "The schedule", body = ScheduleBody),
    (status = 404, description = "No such schedule", body = web::problem::ProblemBody),
))]
pub async fn pause(
    State(state): State<ApiState>,
    actor: Actor,
    Path(name): Path<String>,
    call: Call,
) -> Answer<Response> {
    switch(&state, &actor, &name, call, false).await
}

/// Resumes a schedule with its next occurrence; what passed meanwhile is not made up for
#[utoipa::path(post, path = "/api/schedules/{name}/resume", tag = "schedules", params(("name" = String, Path)),
    request_body(content = Option<SwitchRequest>), responses(
    (status = 200, description = "The schedule", body = ScheduleBody),
    (status = 404, description = "No such schedule", body = web::problem::ProblemBody),
))]
pub async fn resume(
    State(state): State<ApiState>,
    actor: Actor,
    Path(name): Path<String>,
    call: Call,
) -> Answer<Response> {
    switch(&state, &actor, &name, call, true).await
}

async fn switch(state: &ApiState, actor: &Actor, name: &str, call: Call, active: bool) -> Answer<Response> {
    let request: SwitchRequest = call.json()?;
    let given = actor.reason(request.reason.as_deref())?;
    let reason = reason(given.as_deref())?;
    let claims = &actor.claims;
    let mut operation = Operation::begin(state, claims, call).await?;
    let company = operation.company;
    let tx = operation.tx();
    if !schedules::set_active_because(tx, company, name, active, (&claims.sub, reason)).await? {
        return Err(unknown(name).into());
    }
    let action = if active { "schedule.resume" } else { "schedule.pause" };
    let why = reason.map(str::to_owned);
    actor.record(tx, company, action, format!("schedule:{name}"), why, json!({})).await?;
    let body = read(tx, company, name, state.now(), Upcoming::WhenActive).await?;
    tracing::info!(user = %claims.sub, schedule = name, active, reason, "schedule switched");
    operation.answer(StatusCode::OK, None, &body).await
}

/// A reason that can be stored.
pub fn reason(given: Option<&str>) -> Result<Option<&str>, Problem> {
    let given = given.map(str::trim).filter(|text| !text.is_empty());
    if given.is_some_and(|text| text.chars().count() > MAX_REASON || text.contains('\0')) {
        let message = format!("is text of at most {MAX_REASON} characters");
        return Err(Problem::unprocessable(vec![FieldError::new("reason", message)]));
    }
    Ok(given)
}
