//! What Google's errors mean for the next attempt, and the figures of its quotas.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Requests of one project in a minute.
pub const PROJECT_PER_MINUTE: u32 = 10_000;
/// Requests of one user of a project in a minute.
pub const USER_PER_MINUTE: u32 = 600;
/// How long an account rests after `quotaExceeded`: Google makes it read-only for hours.
pub const ACCOUNT_REST: Duration = Duration::from_hours(2);

/// What a call was refused for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Problem {
    /// 401: the access token is void; get a fresh one, once.
    Unauthorized,
    /// The grant lacks a scope or was revoked: the user has to consent again.
    Reauthorize,
    /// 403 or 429 `rateLimitExceeded`, `userRateLimitExceeded`: slow down.
    RateLimited,
    /// 403 `quotaExceeded`, `dailyLimitExceeded`: the account is read-only for hours.
    QuotaExceeded,
    /// 403 of another reason: this account may not do this to this event.
    Forbidden {
        /// Google's reason.
        reason: String,
        /// Google's message.
        message: String,
    },
    /// 404: not there, or not there yet.
    NotFound,
    /// 409 `duplicate`: the id is taken, possibly by a deleted event.
    Duplicate,
    /// 409 `conflict`: two parts of a batch met; try again.
    Conflict,
    /// 410 `deleted`: already deleted.
    Deleted,
    /// 410 `fullSyncRequired`, and 400 "Invalid sync token value." or "Invalid page token value.".
    FullSyncRequired,
    /// 410 `updatedMinTooLongAgo`.
    UpdatedMinTooLongAgo,
    /// 412, and 400 "Invalid sequence value.": somebody else was first; look and merge.
    ConditionNotMet,
    /// 400 `eventTypeRestriction`: this type of event cannot be changed so.
    EventType {
        /// Google's message.
        message: String,
    },
    /// The calendar cannot be watched; poll it.
    PushNotSupported,
    /// Another 4xx: the request is wrong, and sending it again stays wrong.
    Invalid {
        /// The status.
        status: u16,
        /// Google's reason, empty where it gave none.
        reason: String,
        /// Google's message.
        message: String,
    },
    /// 5xx: whether it took effect is unknown.
    Backend,
}

/// What to do after a refusal, apart from what it means for the event itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Refresh the access token and repeat; when it happens again, the user must consent.
    Refresh,
    /// Repeat after a growing, jittered delay, and slow down all calls of the account.
    Backoff,
    /// Let the whole account rest for [`ACCOUNT_REST`].
    ParkAccount,
    /// Park the connection until the user has consented.
    ParkConnection,
    /// Do not repeat; the event's own rules decide.
    Decide,
}

/// The reason and message of an error body in any of its shapes: `error.errors[].reason`,
/// `error.details[].reason` with `error.status`, and OAuth's flat `error`.
fn told(body: &Value) -> (&str, &str) {
    let error = &body["error"];
    if let Some(flat) = error.as_str() {
        return (flat, body["error_description"].as_str().unwrap_or_default());
    }
    let of =
        |list: &str| error[list].as_array().into_iter().flatten().find_map(|part| part["reason"].as_str());
    let reason = of("errors").or_else(|| of("details")).or_else(|| error["status"].as_str());
    let message = error["message"].as_str().or_else(|| error["errors"][0]["message"].as_str());
    (reason.unwrap_or_default(), message.unwrap_or_default())
}

impl Problem {
    /// Classifies an error answer by status and reason; a status alone never decides where it has more
    /// than one meaning.
    pub fn of(status: u16, body: &Value) -> Self {
        let (reason, message) = told(body);
        let owned = || (reason.to_owned(), message.to_owned());
        match (status, reason) {
            (
                _,
                "rateLimitExceeded" | "userRateLimitExceeded" | "RATE_LIMIT_EXCEEDED" | "RESOURCE_EXHAUSTED",
            )
            | (429, _) => Self::RateLimited,
            (403, "quotaExceeded" | "dailyLimitExceeded") => Self::QuotaExceeded,
            (
                _,
                "insufficientPermissions"
                | "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
                | "invalid_grant"
                | "admin_policy_enforced",
            ) => Self::Reauthorize,
            (_, "pushNotSupportedForRequestedResource") => Self::PushNotSupported,
            (401, told) if told != "push.webhookUrlUnauthorized" => Self::Unauthorized,
            (401 | 403, _) => {
                let (reason, message) = owned();
                Self::Forbidden { reason, message }
            }
            (404, _) => Self::NotFound,
            (409, "conflict") => Self::Conflict,
            (409, _) => Self::Duplicate,
            (410, "fullSyncRequired") => Self::FullSyncRequired,
            (410, "updatedMinTooLongAgo") => Self::UpdatedMinTooLongAgo,
            (410, _) => Self::Deleted,
            (412, _) => Self::ConditionNotMet,
            // A page token outlives neither the run that it belongs to nor the provider's memory of it.
            (400, _) if message.starts_with("Invalid sync token value") => Self::FullSyncRequired,
            (400, _) if message.starts_with("Invalid page token value") => Self::FullSyncRequired,
            (400, _) if message.starts_with("Invalid sequence value") => Self::ConditionNotMet,
            (400, "eventTypeRestriction") => Self::EventType { message: message.to_owned() },
            (500..=599, _) => Self::Backend,
            _ => {
                let (reason, message) = owned();
                Self::Invalid { status, reason, message }
            }
        }
    }

    /// What the caller does, whatever the call was about.
    pub fn reaction(&self) -> Reaction {
        match self {
            Self::Unauthorized => Reaction::Refresh,
            Self::RateLimited | Self::Conflict | Self::Backend => Reaction::Backoff,
            Self::QuotaExceeded => Reaction::ParkAccount,
            Self::Reauthorize => Reaction::ParkConnection,
            _ => Reaction::Decide,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(name: &str, problem: &Problem) -> bool {
        match name {
            "authError" => *problem == Problem::Unauthorized,
            "userRateLimitExceeded" | "rateLimitExceeded403" | "rateLimitExceeded429" => {
                *problem == Problem::RateLimited
            }
            "quotaExceeded" => *problem == Problem::QuotaExceeded,
            "notFound" => *problem == Problem::NotFound,
            "duplicate" => *problem == Problem::Duplicate,
            "conflict_batch" => *problem == Problem::Conflict,
            "fullSyncRequired" | "invalid_sync_token" => *problem == Problem::FullSyncRequired,
            "updatedMinTooLongAgo" => *problem == Problem::UpdatedMinTooLongAgo,
            "deleted" => *problem == Problem::Deleted,
            "conditionNotMet" | "invalid_sequence" => *problem == Problem::ConditionNotMet,
            "backendError" => *problem == Problem::Backend,
            "eventTypeRestriction" | "birthday_private_props" => matches!(problem, Problem::EventType { .. }),
            "pushNotSupported" => *problem == Problem::PushNotSupported,
            "oauth_invalid_grant" => *problem == Problem::Reauthorize,
            "forbiddenForNonOrganizer" | "webhookUrlUnauthorized" | "data_owner" => {
                matches!(problem, Problem::Forbidden { .. })
            }
            _ => matches!(problem, Problem::Invalid { .. }),
        }
    }

    #[test]
    fn every_published_body_is_classified() {
        let Some(fixture) = crate::fixture::read("gcal/google-errors.json") else { return };
        let mut seen = 0;
        for group in ["documented", "observed_in_the_field"] {
            for (name, case) in fixture[group].as_object().expect("object") {
                let status = u16::try_from(case["http_status"].as_u64().expect("status")).expect("status");
                let problem = Problem::of(status, &case["body"]);
                assert!(of(name, &problem), "{name}: {problem:?}");
                seen += 1;
            }
        }
        assert!(seen >= 24, "{seen} bodies");
    }

    #[test]
    fn the_newer_shape_is_read_too() {
        let body = json!({"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "m",
            "details": [{"@type": "x"}, {"reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}]}});
        assert_eq!(Problem::of(403, &body), Problem::Reauthorize);
        let body = json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "m"}});
        assert_eq!(Problem::of(429, &body).reaction(), Reaction::Backoff);
        assert_eq!(Problem::of(503, &Value::Null), Problem::Backend);
        assert_eq!(Problem::of(410, &Value::Null), Problem::Deleted);
        assert!(matches!(Problem::of(400, &Value::Null), Problem::Invalid { status: 400, .. }));
    }
}
