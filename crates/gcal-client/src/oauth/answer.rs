//! Answers of the identity endpoints.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::secret::Secret;
use outbound::http::Response;
use outbound::token::TokenError;
use serde::Deserialize;
use serde_json::Value;

use crate::error::parse_error;

/// Life that is assumed when the answer names none.
const DEFAULT_LIFE: u64 = 3_599;

/// What an exchange brought.
#[derive(Debug)]
pub struct Tokens {
    /// Bearer token.
    pub access_token: Secret,
    /// Its life.
    pub life: Duration,
    /// With a consent; a refresh brings none.
    pub refresh_token: Option<Secret>,
    /// Time-based access: life of the grant.
    pub refresh_life: Option<Duration>,
    /// Granted scopes; empty when the answer does not say.
    pub scopes: Vec<String>,
    /// Whose it is, when the answer says so itself.
    pub identity: Option<Identity>,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Stable name.
    pub subject: String,
    /// Address.
    pub email: Option<String>,
}

#[derive(Deserialize)]
struct TokensBody {
    access_token: String,
    expires_in: Option<u64>,
    refresh_token: Option<String>,
    refresh_token_expires_in: Option<u64>,
    #[serde(default)]
    scope: String,
    id_token: Option<String>,
}

pub(super) fn tokens(response: &Response) -> Result<Tokens, TokenError> {
    if !response.status.is_success() {
        return Err(refusal(response));
    }
    let body: TokensBody = serde_json::from_slice(&response.body)
        .map_err(|_| TokenError::Unavailable { reason: "the answer carries no access_token".to_owned() })?;
    Ok(Tokens {
        access_token: Secret::from(body.access_token),
        life: Duration::from_secs(body.expires_in.unwrap_or(DEFAULT_LIFE)),
        refresh_token: body.refresh_token.filter(|token| !token.is_empty()).map(Secret::from),
        refresh_life: body.refresh_token_expires_in.map(Duration::from_secs),
        scopes: body.scope.split_whitespace().map(str::to_owned).collect(),
        identity: body.id_token.as_deref().and_then(claims),
    })
}

/// The claims of an id token that came straight from the token endpoint: then its signature need not be checked
/// (OpenID Connect Core 1.0, section 3.1.3.7, rule 6).
fn claims(id_token: &str) -> Option<Identity> {
    let payload = id_token.split('.').nth(1)?;
    let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    read_identity(&serde_json::from_slice(&bytes).ok()?)
}

fn read_identity(value: &Value) -> Option<Identity> {
    let text = |name: &str| value[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let subject = text("sub").or_else(|| text("user_id"))?;
    Some(Identity { subject, email: text("email") })
}

pub(super) fn identity(response: &Response) -> Result<Identity, TokenError> {
    if !response.status.is_success() {
        return Err(refusal(response));
    }
    let value: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    read_identity(&value)
        .ok_or_else(|| TokenError::Unavailable { reason: "the answer names no account".to_owned() })
}

/// 200, or 400 `invalid_token` for one that ended before.
pub(super) fn revoked(response: &Response) -> Result<(), TokenError> {
    let body = parse_error(&response.body);
    let over = response.status.as_u16() == 400 && (body.has("invalid_token") || body.has("invalid_grant"));
    if response.status.is_success() || over { Ok(()) } else { Err(refusal(response)) }
}

fn refusal(response: &Response) -> TokenError {
    let status = response.status;
    let body = parse_error(&response.body);
    let code = body.reason().unwrap_or_default().to_owned();
    if status.is_server_error()
        || matches!(status.as_u16(), 408 | 429)
        || code.is_empty()
        || code == "temporarily_unavailable"
    {
        return TokenError::Unavailable { reason: format!("status {status} {code}").trim().to_owned() };
    }
    if matches!(code.as_str(), "invalid_grant" | "admin_policy_enforced") {
        return TokenError::GrantEnded { code, message: body.message };
    }
    let advice = match code.as_str() {
        "invalid_client" | "unauthorized_client" => "check GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET",
        "redirect_uri_mismatch" => "register GOOGLE_REDIRECT_URI with the OAuth client, letter for letter",
        _ => "look the code up in Google's OAuth 2.0 documentation",
    };
    TokenError::Refused { code, message: body.message, advice: advice.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use outbound::{HeaderMap, StatusCode};

    fn answer(status: u16, body: &str) -> Response {
        Response {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::new(),
            body: body.as_bytes().to_vec().into(),
            place: String::new(),
        }
    }

    #[test]
    fn granted() {
        let id = URL_SAFE_NO_PAD.encode(r#"{"sub":"117","email":"a@example.com"}"#);
        let body = format!(
            r#"{{"access_token":"a","expires_in":3599,"refresh_token":"r","scope":"x y","id_token":"h.{id}.s"}}"#
        );
        let tokens = tokens(&answer(200, &body)).expect("tokens");
        assert_eq!((tokens.access_token.expose(), tokens.life.as_secs()), ("a", 3_599));
        assert_eq!(tokens.refresh_token.expect("one").expose(), "r");
        assert_eq!(tokens.scopes, ["x", "y"]);
        let identity = tokens.identity.expect("claims");
        assert_eq!((identity.subject.as_str(), identity.email.as_deref()), ("117", Some("a@example.com")));
        let shown = format!("{:?}", super::tokens(&answer(200, &body)).expect("tokens"));
        assert!(!shown.contains("\"r\"") && shown.contains("[redacted]"), "{shown}");
    }

    #[test]
    fn refused() {
        let ended = r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#;
        let error = tokens(&answer(400, ended)).expect_err("refused");
        assert!(matches!(&error, TokenError::GrantEnded { code, .. } if code == "invalid_grant"), "{error}");
        let error = tokens(&answer(401, r#"{"error":"invalid_client"}"#)).expect_err("refused");
        assert!(error.to_string().contains("GOOGLE_CLIENT_SECRET"), "{error}");
        assert!(matches!(tokens(&answer(503, "")), Err(TokenError::Unavailable { .. })));
        assert!(matches!(tokens(&answer(400, "<html>")), Err(TokenError::Unavailable { .. })));
        assert!(matches!(tokens(&answer(200, "{}")), Err(TokenError::Unavailable { .. })));
    }

    #[test]
    fn a_grant_that_ended_before_is_revoked() {
        revoked(&answer(200, "{}")).expect("revoked");
        revoked(&answer(400, r#"{"error":"invalid_token"}"#)).expect("over");
        revoked(&answer(503, "")).expect_err("not confirmed");
    }
}
