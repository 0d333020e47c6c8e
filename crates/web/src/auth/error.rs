//! Why a caller is not let in.

use http::HeaderValue;
use http::header::WWW_AUTHENTICATE;

use crate::problem::{IntoProblem, Problem};

/// Why a token was not accepted. Never contains the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No `Authorization` header.
    #[error("a bearer token is required")]
    Missing,
    /// The header is there, but not a single `Bearer` token of bearable size.
    #[error("the Authorization header is not `Bearer <token>`")]
    Malformed,
    /// The validity is over.
    #[error("the token has expired")]
    Expired,
    /// The validity has not begun.
    #[error("the token is not valid yet")]
    NotYet,
    /// Another issuer, audience, key or algorithm, a wrong signature, or claims that are missing.
    #[error("the token is not acceptable: {0}")]
    Refused(&'static str),
    /// The issuer's keys cannot be fetched, so nothing can be said about the token.
    #[error("the issuer's keys are not available")]
    KeysUnavailable,
}

impl IntoProblem for AuthError {
    fn into_problem(self) -> Problem {
        match &self {
            Self::KeysUnavailable => Problem::unavailable(self.to_string()),
            Self::Missing => Problem::unauthorized(self.to_string()),
            Self::Malformed | Self::Expired | Self::NotYet | Self::Refused(_) => {
                let challenge = HeaderValue::from_static(r#"Bearer realm="syncline", error="invalid_token""#);
                Problem::unauthorized(self.to_string()).header(WWW_AUTHENTICATE, challenge)
            }
        }
    }
}
