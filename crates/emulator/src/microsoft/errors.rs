//! Graph's error bodies.

use serde_json::{Value, json};

use crate::http::Reply;

/// An error answer of Graph: HTTP status, code, message, and sometimes a deeper code.
#[derive(Debug, Clone)]
pub(crate) struct GraphError {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) inner: Option<String>,
}

impl GraphError {
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into(), inner: None }
    }

    pub(crate) fn inner(mut self, code: &str) -> Self {
        self.inner = Some(code.into());
        self
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalidRequest", message)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(404, "itemNotFound", "The resource could not be found.")
    }

    pub(crate) fn name_exists() -> Self {
        Self::new(409, "nameAlreadyExists", "The specified item name already exists.")
    }

    pub(crate) fn tag_mismatch() -> Self {
        Self::new(412, "resourceModified", "ETag does not match current item's value")
    }

    pub(crate) fn token() -> Self {
        Self::new(401, "InvalidAuthenticationToken", "Access token is empty or has expired.")
    }

    /// The usual error of a status, for faults that name no body.
    pub(crate) fn of_status(status: u16) -> Self {
        let (code, message) = match status {
            400 => ("invalidRequest", "Invalid request"),
            401 => ("InvalidAuthenticationToken", "Access token has expired or is not yet valid."),
            403 => ("accessDenied", "Access denied"),
            404 => ("itemNotFound", "Item does not exist"),
            409 => ("nameAlreadyExists", "The specified item name already exists."),
            410 => (
                "resyncRequired",
                "Resync required. Replace any local items with the server's version (including deletes) if you're \
                 sure that the service was up to date with your local changes when you last sync'd. Upload any local \
                 changes that the server doesn't know about.",
            ),
            412 => ("resourceModified", "ETag does not match current item's value"),
            416 => ("invalidRange", "The range is not satisfiable."),
            423 => ("notAllowed", "The site is locked."),
            429 => ("activityLimitReached", "The request has been throttled"),
            503 => ("serviceNotAvailable", "The service is temporarily unavailable."),
            507 => ("quotaLimitReached", "Insufficient space available."),
            509 => ("activityLimitReached", "Bandwidth limit exceeded"),
            _ => ("generalException", "General exception while processing"),
        };
        let error = Self::new(status, code, message);
        if status == 429 { error.inner("throttledRequest") } else { error }
    }

    /// The body, with the identifiers that the service repeats in it.
    pub(crate) fn body(&self, request_id: &str, client_request_id: &str, date: &str) -> Value {
        let mut inner = json!({
            "date": date,
            "request-id": request_id,
            "client-request-id": client_request_id,
        });
        if let Some(code) = &self.inner {
            inner["code"] = json!(code);
        }
        json!({"error": {"code": self.code, "message": self.message, "innerError": inner}})
    }
}

impl From<GraphError> for Reply {
    /// A reply whose body is completed with the request's ids when it is sent.
    fn from(error: GraphError) -> Self {
        Self::error(error)
    }
}
