//! Google's errors, classified by reason (provider facts A7).

use std::time::Duration;

use outbound::http::Response;
use outbound::provider::CallError;
use outbound::token::TokenError;

mod body;

pub use body::{ErrorBody, parse_error};

/// Kept of an answer's body.
const BODY_LIMIT: usize = 8 * 1024;

/// What was asked for: the same answer means different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A read.
    Read,
    /// A read that carries a sync token or a page token.
    Cursor,
    /// A write.
    Write,
}

/// What an error means for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GcalErrorKind {
    /// Come back no earlier than this.
    Throttled {
        /// The earliest next attempt.
        retry_after: Duration,
    },
    /// `quotaExceeded`: the account takes no writes for hours.
    QuotaExceeded,
    /// A read has no usable answer; try again with backoff.
    Unavailable,
    /// A write has no usable answer: it may have landed. Look, do not repeat.
    Ambiguous,
    /// The circuit breaker is open.
    BreakerOpen {
        /// The earliest next attempt.
        retry_after: Duration,
    },
    /// The sync token (or page token) is gone or not one: enumerate anew.
    FullSync,
    /// `updatedMin` lies too far back: not about the token.
    UpdatedMinTooOld,
    /// 410 of a thing: it was deleted before.
    Deleted,
    /// No such thing (or not yet: creations are eventually consistent).
    NotFound,
    /// 409: the identifier is taken, perhaps by something deleted.
    Duplicate,
    /// 412, or a stale sequence: somebody changed it since.
    Precondition,
    /// Somebody else changed the same thing at the same moment; come back later.
    TryLater,
    /// A person must change a permission, or the thing is not ours to change.
    Forbidden,
    /// The grant lacks a scope: a person must consent again.
    InsufficientScopes,
    /// The grant ended: a person must connect the account again.
    GrantEnded,
    /// The access token was refused, or the client's own credential.
    Credential,
    /// The credential is not configured.
    NotConfigured {
        /// Variables to set.
        missing: Vec<String>,
    },
    /// This calendar cannot be watched.
    PushNotSupported,
    /// The channel's id was used before.
    ChannelIdTaken,
    /// The webhook's address is refused (not https, domain not verified).
    WebhookRefused,
    /// Trying again does not help.
    Refused,
}

/// A call to Google that did not give what was asked for.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {reason}: {message}")]
pub struct GcalError {
    /// What was called.
    pub operation: &'static str,
    /// What it means.
    pub kind: GcalErrorKind,
    /// Status, when there was an answer.
    pub status: Option<u16>,
    /// The most specific reason, else the status.
    pub reason: Box<str>,
    /// The provider's words, shortened. Never a base for decisions.
    pub message: String,
    /// The answer's body, at most 8 KiB of it.
    pub body: Box<str>,
    /// The call that failed, when there was no answer.
    #[source]
    pub source: Option<Box<CallError>>,
}

impl GcalError {
    /// Classifies an answer that is not a success.
    pub fn from_response(operation: &'static str, asked: Asked, response: &Response) -> Self {
        let body = parse_error(&response.body);
        let status = response.status.as_u16();
        let kind = classify(status, &body, asked);
        let reason = body.reason().map_or_else(|| status.to_string().into(), Into::into);
        let message = if body.message.is_empty() {
            format!("status {} without a message", response.status)
        } else {
            body.message
        };
        let end = response.body.len().min(BODY_LIMIT);
        let kept = String::from_utf8_lossy(&response.body[..end]).into_owned().into_boxed_str();
        Self { operation, kind, status: Some(status), reason, message, body: kept, source: None }
    }

    /// Carries on a call that the policy gave up.
    pub fn from_call(operation: &'static str, asked: Asked, error: CallError) -> Self {
        let (kind, reason) = match &error {
            CallError::Throttled { retry_after, response } => {
                let kind = GcalErrorKind::Throttled { retry_after: *retry_after };
                let Some(response) = response else {
                    return Self::own(operation, kind, "throttled", error.to_string());
                };
                return Self { kind, ..Self::from_response(operation, asked, response) };
            }
            CallError::BreakerOpen { retry_after, .. } => {
                (GcalErrorKind::BreakerOpen { retry_after: *retry_after }, "circuitBreakerOpen".to_owned())
            }
            CallError::Token(token) => (token_kind(token), token.code().to_owned()),
            CallError::Transport(fault) if asked == Asked::Write && !fault.certainly_not_processed() => {
                (GcalErrorKind::Ambiguous, "transport".to_owned())
            }
            CallError::Transport(_) => (GcalErrorKind::Unavailable, "transport".to_owned()),
        };
        let message = match &error {
            CallError::Token(token) => token.to_string(),
            CallError::Transport(transport) => transport.to_string(),
            _ => error.to_string(),
        };
        Self { source: Some(Box::new(error)), ..Self::own(operation, kind, &reason, message) }
    }

    /// A fault that we find ourselves.
    pub fn own(operation: &'static str, kind: GcalErrorKind, reason: &str, message: String) -> Self {
        let reason = reason.into();
        Self { operation, kind, status: None, reason, message, body: "".into(), source: None }
    }
}

fn token_kind(error: &TokenError) -> GcalErrorKind {
    match error {
        TokenError::NotConfigured { missing } => GcalErrorKind::NotConfigured { missing: missing.clone() },
        TokenError::GrantEnded { .. } => GcalErrorKind::GrantEnded,
        TokenError::Refused { .. } => GcalErrorKind::Credential,
        TokenError::Throttled { retry_after } => GcalErrorKind::Throttled { retry_after: *retry_after },
        // The token comes before the call: a write was not sent.
        TokenError::Unavailable { .. } => GcalErrorKind::Unavailable,
    }
}

const RATE_REASONS: [&str; 3] = ["rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED"];
const QUOTA_REASONS: [&str; 3] = ["quotaExceeded", "dailyLimitExceeded", "dailyLimitExceededUnreg"];
const SCOPE_REASONS: [&str; 3] =
    ["insufficientPermissions", "insufficientScopes", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"];

/// What a status and the reasons beside it mean. Reasons decide before the status: 403 is a rate limit as often as
/// a permission, 410 has three meanings.
pub fn classify(status: u16, body: &ErrorBody, asked: Asked) -> GcalErrorKind {
    let any = |reasons: &[&str]| reasons.iter().any(|reason| body.has(reason));
    let throttled = GcalErrorKind::Throttled { retry_after: Duration::from_secs(1) };
    match status {
        429 => throttled,
        403 if any(&RATE_REASONS) => throttled,
        403 if any(&QUOTA_REASONS) => GcalErrorKind::QuotaExceeded,
        403 if any(&SCOPE_REASONS) => GcalErrorKind::InsufficientScopes,
        403 => GcalErrorKind::Forbidden,
        401 if body.has("push.webhookUrlUnauthorized") => GcalErrorKind::WebhookRefused,
        401 => GcalErrorKind::Credential,
        410 if body.has("deleted") => GcalErrorKind::Deleted,
        410 if body.has("updatedMinTooLongAgo") => GcalErrorKind::UpdatedMinTooOld,
        // Without a known reason the request decides: a cursor is gone, or a thing.
        410 if body.has("fullSyncRequired") || asked == Asked::Cursor => GcalErrorKind::FullSync,
        410 => GcalErrorKind::Deleted,
        400 if body.has("channelIdNotUnique") => GcalErrorKind::ChannelIdTaken,
        400 if body.has("pushNotSupportedForRequestedResource") => GcalErrorKind::PushNotSupported,
        400 if body.has("push.webhookUrlNotHttps") => GcalErrorKind::WebhookRefused,
        400 if body.has("updatedMinTooLongAgo") => GcalErrorKind::UpdatedMinTooOld,
        // Only the message tells a stale sequence from other invalid values (provider facts A4).
        400 if asked == Asked::Write && body.message.starts_with("Invalid sequence value") => {
            GcalErrorKind::Precondition
        }
        // A malformed or foreign token. Every other parameter of ours is fixed.
        400 if asked == Asked::Cursor => GcalErrorKind::FullSync,
        404 => GcalErrorKind::NotFound,
        409 if body.has("conflict") && !body.has("duplicate") => GcalErrorKind::TryLater,
        409 => GcalErrorKind::Duplicate,
        412 => GcalErrorKind::Precondition,
        408 | 500.. if asked == Asked::Write => GcalErrorKind::Ambiguous,
        408 | 500.. => GcalErrorKind::Unavailable,
        _ => GcalErrorKind::Refused,
    }
}

#[cfg(test)]
mod tests;
