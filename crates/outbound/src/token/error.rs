//! Why there is no access token, and what to do about it.

use std::time::Duration;

/// No access token. Texts carry no secret and no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The credential is not configured.
    #[error("Microsoft credential is not configured: set {}", .missing.join(", "))]
    NotConfigured {
        /// Variables to set.
        missing: Vec<String>,
    },
    /// Entra refused the credential; a person has to act.
    #[error("Microsoft identity refused the credential ({code}): {message}; {advice}")]
    Refused {
        /// Such as `AADSTS7000222`.
        code: String,
        /// First sentence of Entra's description.
        message: String,
        /// What to do.
        advice: String,
    },
    /// Entra asks for silence.
    #[error("Microsoft identity throttles, next attempt in {} s", .retry_after.as_secs())]
    Throttled {
        /// The earliest next attempt.
        retry_after: Duration,
    },
    /// No usable answer; trying again may help.
    #[error("Microsoft identity is not available: {reason}")]
    Unavailable {
        /// What happened.
        reason: String,
    },
}

impl TokenError {
    /// The error's code for operators: AADSTS code or a word.
    pub fn code(&self) -> &str {
        match self {
            Self::NotConfigured { .. } => "notConfigured",
            Self::Refused { code, .. } => code,
            Self::Throttled { .. } => "tokenThrottled",
            Self::Unavailable { .. } => "tokenUnavailable",
        }
    }

    /// True when the secret itself was refused, so that another secret may help.
    pub(super) fn secret_refused(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "AADSTS7000215" || code == "AADSTS7000222")
    }
}

/// What to do about an AADSTS code (Entra error code reference).
pub(super) fn advice(code: &str) -> &'static str {
    match code {
        "AADSTS7000215" => "put the secret's value (not its id) into AZURE_CLIENT_SECRET",
        "AADSTS7000222" => {
            "the secret has expired: create a new one in the app registration and put it into AZURE_CLIENT_SECRET"
        }
        "AADSTS700016" => "check AZURE_CLIENT_ID: the tenant has no such application",
        "AADSTS90002" | "AADSTS900023" | "AADSTS900021" => "check AZURE_TENANT_ID: there is no such tenant",
        "AADSTS7000112" => "the application is disabled: enable it under Enterprise applications",
        "AADSTS65001" | "AADSTS650051" | "AADSTS650052" => {
            "an administrator has to consent to the application"
        }
        "AADSTS53003" | "AADSTS53000" => "a Conditional Access policy blocks the application",
        _ => "look the code up at https://login.microsoftonline.com/error",
    }
}
