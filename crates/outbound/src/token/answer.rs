//! Answers of the token endpoint.

use std::time::Duration;

use chassis::secret::Secret;
use chrono::{DateTime, Utc};
use domain::retry::RetryAfter;
use serde::Deserialize;

use super::TokenError;
use super::error::advice;
use crate::http::Response;

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default, deserialize_with = "lenient_seconds")]
    expires_in: Option<u64>,
}

/// v1 endpoints send the number as a string.
fn lenient_seconds<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<u64>, D::Error> {
    Ok(match serde_json::Value::deserialize(d)? {
        serde_json::Value::Number(n) => n.as_u64(),
        serde_json::Value::String(s) => s.parse().ok(),
        _ => None,
    })
}

/// Entra's error shape, which differs from Graph's.
#[derive(Deserialize)]
struct Denied {
    error: String,
    #[serde(default)]
    error_description: String,
    #[serde(default)]
    error_codes: Vec<u64>,
}

/// Life that is assumed when the answer names none; the shortest that Entra issues is 60 minutes.
const DEFAULT_LIFE: Duration = Duration::from_secs(3_599);

/// Reads the answer: token and life, or why not.
pub(super) fn read(response: &Response, now: DateTime<Utc>) -> Result<(Secret, Duration), TokenError> {
    let status = response.status;
    if status.is_success() {
        let granted: Granted = serde_json::from_slice(&response.body)
            .map_err(|_| TokenError::Unavailable { reason: "the answer carries no access_token".into() })?;
        let life = granted.expires_in.map_or(DEFAULT_LIFE, Duration::from_secs);
        return Ok((Secret::from(granted.access_token), life));
    }
    if matches!(status.as_u16(), 429 | 503) {
        let asked = response.header("retry-after").and_then(|v| RetryAfter::parse(v, now));
        if let Some(retry_after) = asked {
            return Err(TokenError::Throttled { retry_after });
        }
    }
    if status.is_server_error() || matches!(status.as_u16(), 408 | 429) {
        return Err(TokenError::Unavailable { reason: format!("status {status}") });
    }
    let Ok(denied) = serde_json::from_slice::<Denied>(&response.body) else {
        return Err(TokenError::Unavailable {
            reason: format!("status {status} without Entra's error body"),
        });
    };
    if denied.error == "temporarily_unavailable" {
        return Err(TokenError::Unavailable { reason: denied.error });
    }
    let code = code_of(&denied);
    let message = denied.error_description.split([';', '\r', '\n']).next().unwrap_or_default();
    let message = message.split(" Trace ID:").next().unwrap_or_default();
    let message: String = message.chars().take(300).collect();
    Err(TokenError::Refused { advice: advice(&code).to_owned(), code, message })
}

fn code_of(denied: &Denied) -> String {
    if let Some(code) = denied.error_codes.first() {
        return format!("AADSTS{code}");
    }
    let described = denied.error_description.split("AADSTS").nth(1).unwrap_or_default();
    let digits: String = described.chars().take_while(char::is_ascii_digit).collect();
    if digits.is_empty() { denied.error.clone() } else { format!("AADSTS{digits}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::{HeaderMap, StatusCode};

    fn answer(status: u16, body: &str) -> Result<(Secret, Duration), TokenError> {
        let response = Response {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::new(),
            body: body.as_bytes().to_vec().into(),
            place: String::new(),
        };
        read(&response, DateTime::UNIX_EPOCH)
    }

    #[test]
    fn granted() {
        let (token, life) =
            answer(200, r#"{"access_token":"t","expires_in":"3599","x":1}"#).expect("granted");
        assert_eq!((token.expose(), life.as_secs()), ("t", 3_599));
        assert_eq!(answer(200, r#"{"access_token":"t"}"#).expect("granted").1, DEFAULT_LIFE);
        assert!(matches!(answer(200, "{}"), Err(TokenError::Unavailable { .. })));
    }

    #[test]
    fn denied() {
        let body = r#"{"error":"invalid_client","error_description":"AADSTS7000222: The provided client secret keys for app 'x' are expired. Visit... Trace ID: 1","error_codes":[7000222]}"#;
        let error = answer(401, body).expect_err("denied");
        assert!(error.secret_refused());
        assert!(error.to_string().contains("create a new one"), "{error}");
        assert!(!error.to_string().contains("Trace ID"));
        let body = r#"{"error":"invalid_request","error_description":"AADSTS90002: Tenant 'x' not found."}"#;
        assert_eq!(answer(400, body).expect_err("denied").code(), "AADSTS90002");
        assert_eq!(answer(400, r#"{"error":"invalid_scope"}"#).expect_err("denied").code(), "invalid_scope");
        assert!(matches!(answer(503, ""), Err(TokenError::Unavailable { .. })));
        assert!(matches!(answer(400, "<html>"), Err(TokenError::Unavailable { .. })));
    }
}
