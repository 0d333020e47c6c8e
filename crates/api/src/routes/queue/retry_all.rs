//! `POST /api/queue/retry-all`

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use contracts::jobs::{JobPayload, RetryDeadLetters};
use domain::ids::CompanyId;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;
use store::dead_letters::DeadFilter;
use store::operations::{self, NewOperation};
use utoipa::ToSchema;
use uuid::Uuid;
use web::problem::{FieldError, Problem};

use super::operation_body::{OperationBody, location, read};
use crate::actor::Actor;
use crate::error::Answer;
use crate::operation::{Call, Operation};
use crate::state::ApiState;

/// Most dead letters of one operation.
const MOST: u32 = 1_000_000;

/// Which dead letters to retry.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryAll {
    /// Only this kind.
    kind: Option<String>,
    /// Only what failed for the last time since then (RFC 3339).
    since: Option<DateTime<Utc>>,
    /// Only this error: a fingerprint, a code, or a part of the message in any case.
    error: Option<String>,
    /// At most so many, those enqueued first.
    limit: Option<u32>,
    /// Write the plan and do nothing; `POST /api/queue/operations/{id}/start` runs it.
    #[serde(default)]
    plan_only: bool,
    /// Why, for the audit record; the header `X-Reason` does as well.
    reason: Option<String>,
}

/// Retries many dead letters: a plan first, then waves that double and stop when most of a wave fails again
///
/// While an operation with the same filter runs, the same request answers that one with 200 instead of beginning a
/// second.
#[utoipa::path(post, path = "/api/queue/retry-all", tag = "queue", request_body(content = Option<RetryAll>),
    responses(
        (status = 202, description = "The operation", body = OperationBody),
        (status = 200, description = "An operation with this filter runs already", body = OperationBody),
    ))]
pub async fn retry_all(State(state): State<ApiState>, actor: Actor, call: Call) -> Answer<Response> {
    let request: RetryAll = call.json()?;
    if request.limit.is_some_and(|limit| !(1..=MOST).contains(&limit)) {
        let fault = FieldError::new("limit", format!("is a number from 1 to {MOST}"));
        return Err(Problem::unprocessable(vec![fault]).into());
    }
    let limit = request.limit.and_then(|limit| i32::try_from(limit).ok());
    let reason = actor.reason(request.reason.as_deref())?;
    let filter = DeadFilter { kind: request.kind, since: request.since, error: request.error };
    let mut operation = Operation::begin(&state, &actor.claims, call).await?;
    let company = operation.company;
    let tx = operation.tx();
    if !request.plan_only
        && let Some(running) = operations::running_with(tx, company, &filter, limit).await?
    {
        let body = read(tx, company, running).await?;
        return operation.answer(StatusCode::OK, Some(&location(running)), &body).await;
    }
    let new = NewOperation {
        filter,
        limit,
        requested_by: actor.claims.sub.clone(),
        role: actor.claims.role.as_str().to_owned(),
        reason: reason.clone(),
    };
    let planned = operations::plan(tx, company, &new, RetryDeadLetters::KIND).await?;
    if !request.plan_only {
        begin(tx, company, planned.id, planned.items, &actor.claims.sub).await?;
    }
    let action = if request.plan_only { "operation.plan" } else { "operation.start" };
    let body = read(tx, company, planned.id).await?;
    let details = json!({ "planned": planned.items, "filter": body.filter() });
    actor.record(tx, company, action, format!("operation:{}", planned.id), reason, details).await?;
    operation.accepted(Some(&location(planned.id)), &body).await
}

/// Starts a planned operation; one without items is at its end at once.
pub(super) async fn begin(
    tx: &mut store::Tx,
    company: CompanyId,
    id: Uuid,
    items: i32,
    by: &str,
) -> store::Result<operations::Started> {
    let started = operations::start(tx, company, id).await?;
    match started {
        operations::Started::Now if items == 0 => operations::finish(tx, id).await?,
        operations::Started::Now | operations::Started::Running => {
            operations::enqueue_step(tx, company, id, Duration::ZERO, by).await?;
        }
        _ => {}
    }
    Ok(started)
}
