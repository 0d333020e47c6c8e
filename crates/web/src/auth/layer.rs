//! Checks the bearer token once per request, for the extractors and the limit per user.

use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{AuthError, Authenticator, Claims};
use crate::problem::Problem;
use crate::rate::RateLimiter;

/// The outcome of the check; in the request's extensions.
#[derive(Debug, Clone)]
pub(super) struct Caller(pub(super) Result<Claims, AuthError>);

/// Checks the token if there is one and counts the request for its user. Requests without a valid
/// token go on: the extractors refuse them where a role is needed.
pub(crate) async fn authenticate(
    State((authenticator, limiter)): State<(Authenticator, RateLimiter)>,
    mut request: Request,
    next: Next,
) -> Response {
    let caller = authenticator.bearer(request.headers()).await;
    let verdict = caller.as_ref().ok().map(|claims| {
        crate::kit::record_caller(claims);
        limiter.check(&format!("{}/{}", claims.org, claims.sub), Instant::now())
    });
    if let Err(error) = &caller
        && *error != AuthError::Missing
    {
        tracing::debug!(%error, "token not accepted");
    }
    request.extensions_mut().insert(Caller(caller));
    let mut response = match verdict.and_then(|verdict| verdict.retry_after) {
        Some(wait) => Problem::too_many(wait).into_response(),
        None => next.run(request).await,
    };
    if let Some(verdict) = verdict {
        verdict.describe(response.headers_mut());
    }
    response
}
