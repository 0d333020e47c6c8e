//! Errors that no handler made: unknown routes, wrong methods, refused extractors, panics.

use std::any::Any;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};

use crate::problem::Problem;

/// Replaces errors without a body of their own, or with axum's plain text, by problem documents.
pub(super) async fn as_problems(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) || has_document(&response) {
        return response;
    }
    let allow: Option<HeaderValue> = response.headers().get(ALLOW).cloned();
    let mut headers = response.headers().clone();
    headers.remove(CONTENT_TYPE);
    headers.remove(http::header::CONTENT_LENGTH);
    let (code, detail) = match status {
        StatusCode::NOT_FOUND => ("not_found", "there is nothing at this address".to_owned()),
        StatusCode::METHOD_NOT_ALLOWED => {
            let allowed = allow.as_ref().and_then(|value| value.to_str().ok()).unwrap_or("others");
            ("method_not_allowed", format!("this address takes {allowed}"))
        }
        StatusCode::PAYLOAD_TOO_LARGE => {
            ("body_too_large", "the body is larger than accepted here".to_owned())
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ("unsupported_media_type", String::new()),
        StatusCode::BAD_REQUEST => ("bad_request", "the request cannot be understood".to_owned()),
        StatusCode::UNPROCESSABLE_ENTITY => ("invalid_request", String::new()),
        status if status.is_server_error() => ("internal", String::new()),
        _ => ("error", String::new()),
    };
    let mut problem = Problem::new(status, code, detail).into_response();
    for (name, value) in &headers {
        problem.headers_mut().append(name, value.clone());
    }
    problem
}

/// Whether the handler wrote a body of a deliberate kind.
fn has_document(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| !kind.starts_with("text/plain"))
}

/// The answer to a request whose handler panicked; the panic hook has logged where and why.
pub(super) fn panicked(_panic: Box<dyn Any + Send>) -> Response {
    tracing::error!("a handler panicked");
    Problem::defect().into_response()
}
