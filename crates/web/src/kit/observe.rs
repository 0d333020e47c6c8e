//! Ids, a span and metrics for every request, however it ends.

use std::convert::Infallible;
use std::time::Instant;

use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use chassis::metrics::{Kind, Metric, Unit};
use chassis::trace::TraceContext;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tracing::Instrument;
use tracing::field::Empty;

use crate::auth::Claims;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");
/// Longest request id that is kept.
const MAX_REQUEST_ID: usize = 128;

/// Metrics of the HTTP kit.
pub const METRICS: [Metric; 2] = [
    Metric {
        name: "api_request_duration_seconds",
        kind: Kind::Histogram,
        unit: Unit::Seconds,
        help: "Time until a request was answered, by method, route and status.",
    },
    Metric {
        name: "api_request_errors_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Requests answered with a status of 400 or above, by method, route and status.",
    },
];

tokio::task_local! {
    /// The trace id of the request that this task answers.
    static CURRENT: String;
}

/// The ids under which the answer and the logs of a request are found, as an extractor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestIds {
    /// As in `X-Request-Id`.
    pub request_id: String,
    /// As in `X-Trace-Id`.
    pub trace_id: String,
}

impl<S: Send + Sync> FromRequestParts<S> for RequestIds {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

/// The trace id of the request under way, for problem documents.
pub(crate) fn current_trace_id() -> Option<String> {
    let current = CURRENT.try_with(Clone::clone).ok();
    current.or_else(|| TraceContext::current().trace_id().map(str::to_owned))
}

/// Notes in the request's span who called.
pub(crate) fn record_caller(claims: &Claims) {
    let span = tracing::Span::current();
    span.record("user", claims.sub.as_str());
    span.record("org", tracing::field::display(claims.org));
}

/// The outermost layer.
pub(super) async fn observe(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = method_name(request.method());
    // The route, never the path itself: paths can carry secrets (feed links) and have no end.
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let request_id = request_id(request.headers());
    let span = tracing::info_span!(
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
        request_id,
        user = Empty,
        org = Empty,
    );
    let parent = parent(request.headers());
    parent.set_as_parent_of(&span);
    let trace_id = TraceContext::of(&span).trace_id().or(parent.trace_id()).map(str::to_owned);
    let trace_id = trace_id.unwrap_or_else(|| hex::encode(chassis::ids::random_bytes::<16>()));
    request
        .extensions_mut()
        .insert(RequestIds { request_id: request_id.clone(), trace_id: trace_id.clone() });

    let answered = async {
        let response = next.run(request).await;
        let status = response.status();
        let took = started.elapsed();
        tracing::Span::current().record("http.response.status_code", status.as_u16());
        tracing::debug!(
            method,
            route,
            status = status.as_u16(),
            millis = took.as_secs_f64() * 1e3,
            "answered"
        );
        response
    };
    let mut response = CURRENT.scope(trace_id.clone(), answered.instrument(span)).await;

    let status = response.status();
    let labels = [("method", method.to_owned()), ("path", route), ("status", status.as_str().to_owned())];
    metrics::histogram!("api_request_duration_seconds", &labels).record(started.elapsed());
    if status.is_client_error() || status.is_server_error() {
        metrics::counter!("api_request_errors_total", &labels).increment(1);
    }
    for (name, value) in [(REQUEST_ID, request_id), (TRACE_ID, trace_id)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The caller's id when it is harmless in logs and headers, otherwise a new one.
fn request_id(headers: &HeaderMap) -> String {
    let sent = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let harmless = |id: &&str| {
        let safe = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&b);
        (1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(safe)
    };
    sent.filter(harmless).map_or_else(|| chassis::ids::new_id().to_string(), str::to_owned)
}

/// `traceparent`, or else an `X-Trace-Id` of 32 hexadecimal digits, which begins a trace of that id.
fn parent(headers: &HeaderMap) -> TraceContext {
    let parent = TraceContext::from_headers(headers);
    if parent.trace_id().is_some() {
        return parent;
    }
    let Some(id) = headers.get(TRACE_ID).and_then(|value| value.to_str().ok()) else { return parent };
    let caller = hex::encode(chassis::ids::random_bytes::<8>());
    let kept = TraceContext { traceparent: Some(format!("00-{id}-{caller}-01")), tracestate: None };
    if kept.trace_id() == Some(id) { kept } else { parent }
}

/// The method as a label; made-up ones share one.
fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
