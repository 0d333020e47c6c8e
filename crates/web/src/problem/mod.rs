//! Errors as `application/problem+json` (RFC 9457).

mod body;
mod convert;

use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

pub use body::ProblemBody;
pub use convert::{IntoProblem, OrProblem};

/// The content type of a problem document.
pub const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Path of the field, `items[2].name`; empty when the whole body is meant.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl FieldError {
    /// A fault of `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// An error answer. Its trace id is that of the request that it answers.
#[derive(Debug, Clone)]
pub struct Problem(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: Option<String>,
    errors: Vec<FieldError>,
    extra: Map<String, Value>,
    headers: HeaderMap,
}

impl Problem {
    /// A problem of this status, machine-readable code (`snake_case`) and explanation for people.
    pub fn new(status: StatusCode, code: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        let detail = Some(detail.into()).filter(|text| !text.is_empty());
        Self(Box::new(Parts {
            status,
            code: code.into(),
            detail,
            errors: Vec::new(),
            extra: Map::new(),
            headers: HeaderMap::new(),
        }))
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    /// 401: no valid token; says how to authenticate (RFC 6750).
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
            .header(WWW_AUTHENTICATE, HeaderValue::from_static(r#"Bearer realm="syncline""#))
    }

    /// 403: the caller is known and may not do this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail).header(
            WWW_AUTHENTICATE,
            HeaderValue::from_static(r#"Bearer realm="syncline", error="insufficient_scope""#),
        )
    }

    /// 404: there is no such thing, or not for this caller.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// 409: the state of things does not allow it.
    pub fn conflict(code: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 422: understood, but these fields are not acceptable.
    pub fn unprocessable(errors: Vec<FieldError>) -> Self {
        let mut problem =
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", "some fields are not acceptable");
        problem.0.errors = errors;
        problem
    }

    /// 429: again after this time.
    pub fn too_many(retry_after: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "the request limit is reached")
            .retry_after(retry_after)
    }

    /// 503: something that this needs is away.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }

    /// 500: our fault. `error` and its causes are logged here, once; the caller sees none of it.
    pub fn internal(error: &(dyn Error + 'static)) -> Self {
        tracing::error!(error = chassis::telemetry::chain(error), "request failed");
        Self::defect()
    }

    /// 500 for a fault that has been logged already.
    pub fn defect() -> Self {
        let detail = "something went wrong on our side; the trace id leads to the cause";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// Adds a member of its own to the document, such as `job_id`. Standard members cannot be
    /// replaced this way.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        if let (false, Ok(value)) = (body::is_standard(name), serde_json::to_value(value)) {
            self.0.extra.insert(name.to_owned(), value);
        }
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Adds `Retry-After`, in whole seconds rounded up, at least 1.
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        self.header(RETRY_AFTER, HeaderValue::from(whole_seconds(after).max(1)))
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The machine-readable code.
    pub fn code(&self) -> &str {
        &self.0.code
    }
}

/// Seconds rounded up.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
