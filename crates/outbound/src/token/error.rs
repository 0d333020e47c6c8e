//! Why there is no access token, and what to do about it.

use std::time::Duration;

/// No access token. Texts carry no secret and no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The credential is not configured.
    #[error("the credential is not configured: set {}", .missing.join(", "))]
    NotConfigured {
        /// Variables to set.
        missing: Vec<String>,
    },
    /// The provider refused the credential; a person has to act.
    #[error("the identity provider refused the credential ({code}): {message}; {advice}")]
    Refused {
        /// Such as `AADSTS7000222`.
        code: String,
        /// First sentence of Entra's description.
        message: String,
        /// What to do.
        advice: String,
    },
    /// The grant of an account ended (revoked, expired): a person has to connect the account again.
    #[error("the provider ended the account's grant ({code}): {message}; connect the account again")]
    GrantEnded {
        /// Such as `invalid_grant`.
        code: String,
        /// The provider's words, or ours.
        message: String,
    },
    /// The identity provider asks for silence.
    #[error("the identity provider throttles, next attempt in {} s", .retry_after.as_secs())]
    Throttled {
        /// The earliest next attempt.
        retry_after: Duration,
    },
    /// No usable answer; trying again may help.
    #[error("the identity provider is not available: {reason}")]
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
            Self::Refused { code, .. } | Self::GrantEnded { code, .. } => code,
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
