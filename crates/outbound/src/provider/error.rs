//! Why a call has no answer that is worth reading.

use std::time::Duration;

use crate::http::{HttpError, Response};
use crate::token::TokenError;

/// A call that the policy gave up.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The provider, or our own fence, asks for a silence that is longer than a call waits.
    #[error("throttled, next call in {} ms", .retry_after.as_millis())]
    Throttled {
        /// The earliest next attempt.
        retry_after: Duration,
        /// The provider's answer, when this call met it.
        response: Option<Box<Response>>,
    },
    /// The circuit breaker is open.
    #[error("circuit breaker of {service} is open, next probe in {} s", .retry_after.as_secs())]
    BreakerOpen {
        /// Service that the breaker guards.
        service: &'static str,
        /// The earliest next attempt.
        retry_after: Duration,
    },
    /// There is no access token.
    #[error("no access token")]
    Token(#[source] TokenError),
    /// No complete answer, after all attempts.
    #[error("no answer from the provider")]
    Transport(#[source] HttpError),
}
