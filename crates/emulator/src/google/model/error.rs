//! Errors of the Calendar API and their bodies (fixtures/gcal/google-errors.json).

use serde_json::{Value, json};

use super::switches::ErrorShape;

/// A refusal of the Calendar API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status} {reason}: {message}")]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// `global`, `calendar` or `usageLimits`.
    pub domain: &'static str,
    /// The reason, which tells refusals of one status apart.
    pub reason: &'static str,
    /// Text for people.
    pub message: String,
    /// `parameter` or `header`, and its name.
    pub location: Option<(&'static str, &'static str)>,
}

impl ApiError {
    pub(crate) fn new(
        status: u16,
        domain: &'static str,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { status, domain, reason, message: message.into(), location: None }
    }

    fn at(mut self, kind: &'static str, name: &'static str) -> Self {
        self.location = Some((kind, name));
        self
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "global", "invalid", message)
    }

    pub(crate) fn parameter(name: &'static str, message: impl Into<String>) -> Self {
        Self::new(400, "global", "badRequest", message).at("parameter", name)
    }

    pub(crate) fn required(message: impl Into<String>) -> Self {
        Self::new(400, "global", "required", message)
    }

    pub(crate) fn bad_id() -> Self {
        Self::invalid("Invalid resource id value.")
    }

    pub(crate) fn bad_sync_token() -> Self {
        Self::invalid("Invalid sync token value.")
    }

    pub(crate) fn bad_page_token() -> Self {
        Self::invalid("Invalid page token value.").at("parameter", "pageToken")
    }

    pub(crate) fn range_empty() -> Self {
        Self::new(400, "calendar", "timeRangeEmpty", "The specified time range is empty.")
            .at("parameter", "timeMax")
    }

    pub(crate) fn event_type(kind: &str) -> Self {
        Self::new(
            400,
            "calendar",
            "eventTypeRestriction",
            format!("Attempt made to modify '{kind}' event in a way that is not valid for this event type."),
        )
    }

    pub(crate) fn credentials() -> Self {
        Self::new(401, "global", "authError", "Invalid Credentials").at("header", "Authorization")
    }

    pub(crate) fn scope() -> Self {
        Self::new(403, "global", "insufficientPermissions", "Request had insufficient authentication scopes.")
    }

    pub(crate) fn access(role: &str) -> Self {
        Self::new(
            403,
            "calendar",
            "requiredAccessLevel",
            format!("You need to have {role} access to this calendar."),
        )
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(403, "global", "forbidden", message)
    }

    pub(crate) fn organizer_only() -> Self {
        Self::new(
            403,
            "calendar",
            "forbiddenForNonOrganizer",
            "Shared properties can only be changed by the organizer of the event.",
        )
    }

    pub(crate) fn quota_exceeded() -> Self {
        Self::new(403, "usageLimits", "quotaExceeded", "Calendar usage limits exceeded.")
    }

    pub(crate) fn not_found() -> Self {
        Self::new(404, "global", "notFound", "Not Found")
    }

    pub(crate) fn duplicate() -> Self {
        Self::new(409, "global", "duplicate", "The requested identifier already exists.")
    }

    pub(crate) fn full_sync() -> Self {
        Self::new(
            410,
            "calendar",
            "fullSyncRequired",
            "Sync token is no longer valid, a full sync is required.",
        )
        .at("parameter", "syncToken")
    }

    pub(crate) fn updated_min() -> Self {
        Self::new(
            410,
            "calendar",
            "updatedMinTooLongAgo",
            "The requested minimum modification time lies too far in the past.",
        )
        .at("parameter", "updatedMin")
    }

    pub(crate) fn deleted() -> Self {
        Self::new(410, "global", "deleted", "Resource has been deleted")
    }

    pub(crate) fn condition() -> Self {
        Self::new(412, "global", "conditionNotMet", "Precondition Failed").at("header", "If-Match")
    }

    /// The usual error of a status, for faults that name no body.
    pub fn of_status(status: u16) -> Self {
        match status {
            400 => Self::new(400, "global", "badRequest", "Bad Request"),
            401 => Self::credentials(),
            403 => Self::new(403, "usageLimits", "userRateLimitExceeded", "User Rate Limit Exceeded"),
            404 => Self::not_found(),
            409 => Self::duplicate(),
            410 => Self::full_sync(),
            412 => Self::condition(),
            429 => Self::new(429, "usageLimits", "rateLimitExceeded", "Rate Limit Exceeded"),
            503 => Self::new(503, "global", "backendError", "Backend Error"),
            _ => Self::new(status, "global", "backendError", "Backend Error"),
        }
    }

    /// The body in the asked shape.
    pub fn body(&self, shape: ErrorShape) -> Value {
        let mut error = json!({"code": self.status, "message": self.message});
        if shape != ErrorShape::Modern {
            let mut item = json!({"domain": self.domain, "reason": self.reason, "message": self.message});
            if let Some((kind, name)) = self.location {
                item["locationType"] = json!(kind);
                item["location"] = json!(name);
            }
            error["errors"] = json!([item]);
        }
        if shape != ErrorShape::Legacy {
            let status = match self.status {
                400 => "INVALID_ARGUMENT",
                401 => "UNAUTHENTICATED",
                403 => "PERMISSION_DENIED",
                404 => "NOT_FOUND",
                409 => "ALREADY_EXISTS",
                410 | 412 => "FAILED_PRECONDITION",
                429 => "RESOURCE_EXHAUSTED",
                503 => "UNAVAILABLE",
                _ => "INTERNAL",
            };
            let reason = match self.reason {
                "insufficientPermissions" => "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
                reason => reason,
            };
            error["status"] = json!(status);
            error["details"] = json!([{
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": reason,
                "domain": "calendar-json.googleapis.com",
            }]);
        }
        json!({"error": error})
    }
}
