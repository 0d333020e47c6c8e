//! How a request fails: store and connector errors as problem documents.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use contracts::graph::v1::FaultKind;
use http::StatusCode;
use store::StoreError;
use web::problem::{IntoProblem, Problem};

use crate::connector::ConnectorError;

/// Result of a handler.
pub type Answer<T> = Result<T, ApiError>;

/// What ends a request early.
#[derive(Debug)]
pub enum ApiError {
    /// It failed.
    Problem(Box<Problem>),
    /// It was answered before, under the same `Idempotency-Key`.
    Replayed(Box<Response>),
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        ApiError::Problem(Box::new(problem))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            ApiError::Problem(problem) => problem.into_response(),
            ApiError::Replayed(response) => *response,
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        store_problem(&error).into()
    }
}

fn store_problem(error: &StoreError) -> Problem {
    if error.is_transient() {
        tracing::warn!(error = chassis::telemetry::chain(error), "the database did not do it");
        return Problem::unavailable("the database is not reachable or overloaded; try again")
            .retry_after(Duration::from_secs(5));
    }
    if error.is_forbidden() {
        return Problem::forbidden("the organization does not have you as a member");
    }
    if error.is_unstorable_text() {
        return Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid_request",
            "a text holds the character U+0000, which cannot be stored",
        );
    }
    match error {
        StoreError::Constraint { constraint, .. } if constraint.ends_with("_company_id_fkey") => {
            Problem::not_found("the organization of the token does not exist here")
        }
        StoreError::Constraint { constraint, .. } => {
            Problem::conflict("conflict", "another row stands in the way").with("constraint", constraint)
        }
        other => Problem::internal(other),
    }
}

impl From<ConnectorError> for ApiError {
    fn from(error: ConnectorError) -> Self {
        error.into_problem().into()
    }
}

impl IntoProblem for ConnectorError {
    fn into_problem(self) -> Problem {
        let fault = match self {
            away @ ConnectorError::Away(..) => {
                let reason = away.to_string();
                return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "connector_unavailable", reason)
                    .retry_after(Duration::from_secs(5));
            }
            ConnectorError::Fault(fault) => fault,
        };
        let retry = Duration::from_millis(fault.retry_after_ms.max(1000));
        let problem = match fault.kind() {
            FaultKind::Throttled
            | FaultKind::Quota
            | FaultKind::BreakerOpen
            | FaultKind::TryLater
            | FaultKind::Unavailable => Problem::unavailable(fault.message.clone()).retry_after(retry),
            FaultKind::Credential => {
                Problem::new(StatusCode::BAD_GATEWAY, "provider_credential", fault.message.clone())
            }
            _ => Problem::new(StatusCode::BAD_GATEWAY, "provider_refused", fault.message.clone()),
        };
        problem.with("provider_code", &fault.code).with("provider_request_id", &fault.request_id)
    }
}
