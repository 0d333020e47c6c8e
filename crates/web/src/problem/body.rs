//! The document itself.

use axum::response::{IntoResponse, Response};
use http::header;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{CONTENT_TYPE, FieldError, Problem};

/// A problem document (RFC 9457) as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ProblemBody {
    /// Identifies the kind of problem: `urn:syncline:problem:{code}`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The status code.
    pub status: u16,
    /// What is wrong this time, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What is wrong, for programs.
    pub code: String,
    /// Leads to the logs and traces of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The fields at fault, with status 422.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Further members of this kind of problem, such as `job_id`.
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Map<String, Value>,
}

/// Whether `name` is one of the members that every document has.
pub(super) fn is_standard(name: &str) -> bool {
    ["type", "title", "status", "detail", "code", "trace_id", "errors", "instance"].contains(&name)
}

impl From<&Problem> for ProblemBody {
    fn from(problem: &Problem) -> Self {
        Self {
            kind: format!("urn:syncline:problem:{}", problem.0.code),
            title: problem.0.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: problem.0.status.as_u16(),
            detail: problem.0.detail.clone(),
            code: problem.0.code.clone().into_owned(),
            trace_id: crate::kit::current_trace_id(),
            errors: problem.0.errors.clone(),
            extra: problem.0.extra.clone(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&ProblemBody::from(&self)).unwrap_or_default();
        let mut response = (self.0.status, [(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response();
        response.headers_mut().extend(self.0.headers);
        response
    }
}
