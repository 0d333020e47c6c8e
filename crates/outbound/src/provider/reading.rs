//! What an answer means for the policy: each provider says it its own way.

use crate::http::Response;

/// What the policy makes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Something for the caller.
    Answer,
    /// The provider asks for silence; the request was not carried out.
    Throttled,
    /// The token was refused.
    Unauthorized,
    /// The provider failed; a write may have landed.
    ServerFault {
        /// Another attempt may help.
        again: bool,
    },
}

impl Reading {
    /// Microsoft Graph (provider facts A8).
    pub fn microsoft(response: &Response) -> Self {
        match response.status.as_u16() {
            429 | 509 => Self::Throttled,
            503 if response.header("retry-after").is_some() => Self::Throttled,
            401 => Self::Unauthorized,
            // These say the same next time.
            501 | 505 | 507 => Self::ServerFault { again: false },
            408 | 500.. => Self::ServerFault { again: true },
            _ => Self::Answer,
        }
    }
}
