//! How much and how long a request may be.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chassis::time::deadline;
use http::StatusCode;
use http::header::CONTENT_LENGTH;

use crate::json::body_too_large;
use crate::problem::Problem;

/// Refuses a body that announces itself as too large; one that does not is cut while it is read.
pub(super) async fn body(State(limit): State<usize>, request: Request, next: Next) -> Response {
    let length =
        request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limit)) {
        return body_too_large().into_response();
    }
    next.run(request).await
}

/// Gives up on a request that is not answered in time. The handler is dropped at its next await.
pub(super) async fn time(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    match deadline("the answer", limit, next.run(request)).await {
        Ok(response) => response,
        Err(elapsed) => {
            tracing::warn!(%elapsed, "request given up");
            let detail = format!("no answer within {} s; it may still take effect", limit.as_secs());
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "timeout", detail).into_response()
        }
    }
}
