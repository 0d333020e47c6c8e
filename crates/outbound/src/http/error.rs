//! Why an exchange produced no complete answer.

use std::time::Duration;

/// An HTTP exchange that produced no complete answer. Texts never contain a query string.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The client could not be built (TLS set-up).
    #[error("HTTP client could not be built")]
    Build(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No connection: the request was certainly not processed.
    #[error("no connection to {place}")]
    Connect {
        /// Redacted address.
        place: String,
        /// What the transport said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The deadline passed; the request may have been processed.
    #[error("no complete answer from {place} within {limit:?}")]
    Timeout {
        /// Redacted address.
        place: String,
        /// The deadline.
        limit: Duration,
    },
    /// The connection broke; the request may have been processed.
    #[error("connection to {place} broke")]
    Broken {
        /// Redacted address.
        place: String,
        /// What the transport said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer is larger than the client accepts.
    #[error("answer of {place} is larger than {limit} bytes")]
    TooLarge {
        /// Redacted address.
        place: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// The answer is not the JSON that was asked for.
    #[error("answer of {place} (status {status}) is not the expected JSON")]
    NotJson {
        /// Redacted address.
        place: String,
        /// Status of the answer.
        status: u16,
        /// Where decoding stopped.
        #[source]
        source: serde_json::Error,
    },
    /// A status other than 2xx where JSON was expected ([`super::HttpClient::get_json`]).
    #[error("{place} answered {status}")]
    Status {
        /// Redacted address.
        place: String,
        /// Status of the answer.
        status: u16,
    },
    /// The request itself is not valid (header value, body encoding).
    #[error("request to {place} is not valid: {reason}")]
    Invalid {
        /// Redacted address.
        place: String,
        /// What is wrong.
        reason: String,
    },
}

impl HttpError {
    /// True when the provider cannot have processed the request, so that even a write may be sent again.
    pub fn certainly_not_processed(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Build(_) | Self::Invalid { .. })
    }

    /// A short name of the fault, for traces.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Build(_) => "build",
            Self::Connect { .. } => "connect",
            Self::Timeout { .. } => "timeout",
            Self::Broken { .. } => "broken",
            Self::TooLarge { .. } => "too_large",
            Self::NotJson { .. } => "not_json",
            Self::Status { .. } => "status",
            Self::Invalid { .. } => "invalid",
        }
    }

    /// True when trying again may help.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. } | Self::Timeout { .. } | Self::Broken { .. } | Self::NotJson { .. }
        )
    }
}
