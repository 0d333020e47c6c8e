//! Graph's errors, classified (provider facts A9).

use std::time::Duration;

use outbound::StatusCode;
use outbound::http::Response;
use outbound::provider::CallError;
use outbound::token::TokenError;

mod body;

pub use body::{ErrorBody, parse_error};

/// What an error means for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GraphErrorKind {
    /// Come back no earlier than this.
    Throttled {
        /// The earliest next attempt.
        retry_after: Duration,
    },
    /// No usable answer; try again with backoff.
    Unavailable,
    /// The circuit breaker is open.
    BreakerOpen {
        /// The earliest next attempt.
        retry_after: Duration,
    },
    /// 410: the cursor is gone, enumerate anew.
    Resync {
        /// `resyncChangesApplyDifferences` or `resyncChangesUploadDifferences`, when the answer names one.
        instruction: Option<&'static str>,
        /// Where the fresh enumeration starts, when the answer says so.
        location: Option<Box<str>>,
    },
    /// A link that the provider refuses, or that leads to a foreign host.
    BadLink,
    /// No such thing.
    NotFound,
    /// A person must grant a permission.
    Forbidden,
    /// 423: the site is archived or locked (`resourceLocked`, `notAllowed`); a person must unlock it.
    Locked,
    /// The credential is missing, wrong or expired.
    Credential,
    /// The credential is not configured.
    NotConfigured {
        /// Variables to set.
        missing: Vec<String>,
    },
    /// Trying again does not help.
    Refused,
    /// 409, `cannotSnapshotTree`: the provider asks to come back later.
    TryLater,
    /// A write without a usable answer: it may have landed. Look, do not repeat.
    Ambiguous,
}

/// A call to Graph that did not give what was asked for.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {code}: {message}")]
pub struct GraphError {
    /// What was called.
    pub operation: &'static str,
    /// What it means.
    pub kind: GraphErrorKind,
    /// Status, when there was an answer.
    pub status: Option<u16>,
    /// The deepest code that is known, else the outermost one, else the status.
    pub code: Box<str>,
    /// The provider's words, shortened. Never a base for decisions.
    pub message: String,
    /// What Microsoft asks for in a support case.
    pub support: Box<Support>,
    /// The call that failed, when there was no answer.
    #[source]
    pub source: Option<Box<CallError>>,
}

/// What Microsoft asks for in a support case (provider facts A9).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Support {
    /// The provider's `request-id`.
    pub request_id: Option<String>,
    /// `Date` of the answer.
    pub date: Option<String>,
}

const THROTTLE_CODES: [&str; 4] =
    ["activityLimitReached", "ApplicationThrottled", "throttledRequest", "TooManyRequests"];

/// Canonical name of a resync instruction among the codes.
fn instruction(body: &ErrorBody) -> Option<&'static str> {
    if body.has("resyncChangesApplyDifferences") || body.has("resyncApplyDifferences") {
        Some("resyncChangesApplyDifferences")
    } else if body.has("resyncChangesUploadDifferences") || body.has("resyncUploadDifferences") {
        Some("resyncChangesUploadDifferences")
    } else {
        None
    }
}

impl GraphError {
    /// Classifies an answer that is not a success. `on_link`: the request followed a link of the provider.
    pub fn from_response(operation: &'static str, response: &Response, on_link: bool) -> Self {
        let body = parse_error(&response.body);
        let status = response.status;
        let kind = classify(status, &body, response.header("location"), on_link);
        let code = body.code().map_or_else(|| status.as_u16().to_string().into(), Into::into);
        let message =
            if body.message.is_empty() { format!("status {status} without a message") } else { body.message };
        Self {
            operation,
            kind,
            status: Some(status.as_u16()),
            code,
            message,
            support: Box::new(Support {
                request_id: response.header("request-id").map(str::to_owned).or(body.request_id),
                date: response.header("date").map(str::to_owned).or(body.date),
            }),
            source: None,
        }
    }

    /// Carries on a call that the policy gave up.
    pub fn from_call(operation: &'static str, error: CallError) -> Self {
        let (kind, code) = match &error {
            CallError::Throttled { retry_after, response } => {
                let kind = GraphErrorKind::Throttled { retry_after: *retry_after };
                let Some(response) = response else {
                    return Self::own(operation, kind, "throttled", error.to_string(), Some(error));
                };
                let answer = Self::from_response(operation, response, false);
                return Self { kind, ..answer };
            }
            CallError::BreakerOpen { retry_after, .. } => {
                (GraphErrorKind::BreakerOpen { retry_after: *retry_after }, "circuitBreakerOpen".to_owned())
            }
            CallError::Token(token) => (token_kind(token), token.code().to_owned()),
            CallError::Transport(_) => (GraphErrorKind::Unavailable, "transport".to_owned()),
        };
        let message = match &error {
            CallError::Token(token) => token.to_string(),
            CallError::Transport(transport) => transport.to_string(),
            _ => error.to_string(),
        };
        Self::own(operation, kind, &code, message, Some(error))
    }

    /// For a write that must not happen twice: a failure after which it may have landed is ambiguous.
    #[must_use]
    pub(crate) fn of_write(mut self) -> Self {
        let unanswered = match self.source.as_deref() {
            Some(CallError::Transport(fault)) => !fault.certainly_not_processed(),
            Some(_) => false,
            None => matches!(self.status, Some(408 | 500..)) || &*self.code == "malformedAnswer",
        };
        if self.kind == GraphErrorKind::Unavailable && unanswered {
            self.kind = GraphErrorKind::Ambiguous;
        }
        self
    }

    /// A fault that we find ourselves.
    pub(crate) fn own(
        operation: &'static str,
        kind: GraphErrorKind,
        code: &str,
        message: String,
        source: Option<CallError>,
    ) -> Self {
        let (code, source) = (code.into(), source.map(Box::new));
        Self { operation, kind, status: None, code, message, support: Box::default(), source }
    }
}

fn token_kind(error: &TokenError) -> GraphErrorKind {
    match error {
        TokenError::NotConfigured { missing } => GraphErrorKind::NotConfigured { missing: missing.clone() },
        TokenError::Refused { .. } | TokenError::GrantEnded { .. } => GraphErrorKind::Credential,
        TokenError::Throttled { retry_after } => GraphErrorKind::Throttled { retry_after: *retry_after },
        TokenError::Unavailable { .. } => GraphErrorKind::Unavailable,
    }
}

fn classify(status: StatusCode, body: &ErrorBody, location: Option<&str>, on_link: bool) -> GraphErrorKind {
    if body.has("cannotSnapshotTree") {
        return GraphErrorKind::TryLater;
    }
    // The body's code alone is enough: the instruction has been seen only in the message. Outlook says it its own
    // way, and not always with 410 (provider facts A3).
    let cursor_gone = ["resyncRequired", "SyncStateNotFound", "SyncStateInvalid"].iter().any(|c| body.has(c));
    if status == StatusCode::GONE || cursor_gone || instruction(body).is_some() {
        return GraphErrorKind::Resync { instruction: instruction(body), location: location.map(Into::into) };
    }
    if THROTTLE_CODES.iter().any(|code| body.has(code)) {
        return GraphErrorKind::Throttled { retry_after: Duration::from_secs(1) };
    }
    match status.as_u16() {
        400 if on_link => GraphErrorKind::BadLink,
        401 => GraphErrorKind::Credential,
        403 => GraphErrorKind::Forbidden,
        404 => GraphErrorKind::NotFound,
        // Somebody else changed the same thing at the same moment.
        409 => GraphErrorKind::TryLater,
        423 => GraphErrorKind::Locked,
        429 | 509 => GraphErrorKind::Throttled { retry_after: Duration::from_secs(1) },
        408 | 425 | 500 | 502..=504 | 506 | 508 | 510.. => GraphErrorKind::Unavailable,
        _ => GraphErrorKind::Refused,
    }
}

#[cfg(test)]
mod tests;
