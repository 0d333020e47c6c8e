//! `POST /api/sync/enable`, `POST /api/sync/disable`

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;
use store::schedules;
use web::auth::{Admin, Claims};
use web::problem::Problem;

use super::status::{StatusBody, read};
use super::{SCHEDULE, SCHEDULES};
use crate::actor::Actor;
use crate::error::Answer;
use crate::operation::{Call, Operation};
use crate::state::ApiState;

/// Switches the schedules of the document sync on; survives restarts
#[utoipa::path(post, path = "/api/sync/enable", tag = "sync", responses(
    (status = 200, description = "The new state", body = StatusBody),
))]
pub async fn enable(
    State(state): State<ApiState>,
    Admin(claims): Admin,
    actor: Actor,
    call: Call,
) -> Answer<Response> {
    switch(&state, (&claims, &actor), call, true).await
}

/// Switches the schedules of the document sync off; survives restarts. Manual runs still work
#[utoipa::path(post, path = "/api/sync/disable", tag = "sync", responses(
    (status = 200, description = "The new state", body = StatusBody),
))]
pub async fn disable(
    State(state): State<ApiState>,
    Admin(claims): Admin,
    actor: Actor,
    call: Call,
) -> Answer<Response> {
    switch(&state, (&claims, &actor), call, false).await
}

async fn switch(
    state: &ApiState,
    (claims, actor): (&Claims, &Actor),
    call: Call,
    active: bool,
) -> Answer<Response> {
    let mut operation = Operation::begin(state, claims, call).await?;
    let company = operation.company;
    let tx = operation.tx();
    for name in SCHEDULES {
        let known = schedules::set_active(tx, company, name, active, &claims.sub).await?;
        if !known && name == SCHEDULE {
            return Err(not_ready().into());
        }
    }
    let action = if active { "sync.enable" } else { "sync.disable" };
    let reason = actor.reason(None)?;
    actor.record(tx, company, action, format!("schedule:{SCHEDULE}"), reason, json!({})).await?;
    let status = read(tx, company, state.now()).await?;
    tracing::info!(user = %claims.sub, active, "document sync switched");
    operation.answer(StatusCode::OK, None, &status).await
}

/// The scheduler writes the schedules of a new organization within half a minute.
pub fn not_ready() -> Problem {
    let detail = "the scheduler has not written the schedules of this organization yet; see that it runs";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "schedule_not_ready", detail)
        .retry_after(Duration::from_secs(30))
}
