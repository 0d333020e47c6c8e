//! Which pages of other origins may use the API.

use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, IF_MATCH, LOCATION, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method, Uri};
use tower_http::cors::CorsLayer;

/// How long a browser may remember the answer.
const MAX_AGE: Duration = Duration::from_mins(10);

/// `text` as an origin: scheme and authority, nothing else.
pub(super) fn origin(text: &str) -> Option<HeaderValue> {
    let uri: Uri = text.parse().ok()?;
    let plain =
        matches!(uri.scheme_str(), Some("http" | "https")) && !text.ends_with('/') && uri.query().is_none();
    (plain && uri.authority().is_some() && uri.path() == "/").then(|| HeaderValue::from_str(text).ok())?
}

pub(super) fn layer(origins: &[HeaderValue]) -> CorsLayer {
    if origins.is_empty() {
        return CorsLayer::new();
    }
    let own = HeaderName::from_static;
    CorsLayer::new()
        .allow_origin(origins.to_vec())
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            AUTHORIZATION,
            CONTENT_TYPE,
            IF_MATCH,
            own("idempotency-key"),
            own("traceparent"),
            own("tracestate"),
            own("x-request-id"),
            own("x-trace-id"),
        ])
        .expose_headers([
            ETAG,
            LOCATION,
            RETRY_AFTER,
            own("x-request-id"),
            own("x-trace-id"),
            own("ratelimit-limit"),
            own("ratelimit-remaining"),
            own("ratelimit-reset"),
        ])
        .max_age(MAX_AGE)
}
