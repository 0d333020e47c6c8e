//! `/token`, `/revoke`, `/tokeninfo` and `/oauth2/v3/userinfo`.

use std::collections::{BTreeSet, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde_json::{Value, json};

use super::oauth::{Given, OAuthError};
use crate::http::{Call, Reply, query_pairs};
use crate::rng::hash_str;
use crate::world::World;

fn json_reply(status: u16, body: &Value) -> Reply {
    Reply::json(status, body)
        .with(CONTENT_TYPE, "application/json; charset=utf-8")
        .with(CACHE_CONTROL, "no-cache, no-store, max-age=0, must-revalidate")
}

fn refuse(error: &OAuthError) -> Reply {
    json_reply(error.status, &json!({"error": error.error, "error_description": error.description}))
}

/// Fields of the body, or of the query.
fn form(call: &Call) -> HashMap<String, String> {
    let body = String::from_utf8_lossy(&call.body);
    query_pairs(&call.query).chain(query_pairs(&body)).collect()
}

/// Client id and secret from the body or from `Authorization: Basic`.
fn client(call: &Call, form: &HashMap<String, String>) -> (String, String) {
    let basic = call
        .header("authorization")
        .and_then(|value| value.strip_prefix("Basic "))
        .and_then(|text| STANDARD.decode(text).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    if let Some((id, secret)) = basic.as_deref().and_then(|pair| pair.split_once(':')) {
        return (crate::http::decode(id), crate::http::decode(secret));
    }
    let field = |name: &str| form.get(name).cloned().unwrap_or_default();
    (field("client_id"), field("client_secret"))
}

/// A stable number of an account, as `sub` has it.
pub(crate) fn subject(account: &str) -> String {
    format!("1{:020}", hash_str(account))
}

fn wants_identity(scopes: &BTreeSet<String>) -> bool {
    scopes.iter().any(|scope| {
        matches!(scope.as_str(), "openid" | "email" | "https://www.googleapis.com/auth/userinfo.email")
    })
}

/// In the shape of a JWT; nobody has signed it.
fn id_token(given: &Given, now: i64) -> String {
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": "emulator"});
    let payload = json!({
        "iss": "https://accounts.google.com", "aud": given.client_id, "azp": given.client_id,
        "sub": subject(&given.account), "email": given.account, "email_verified": true,
        "iat": now, "exp": now + given.expires_in,
    });
    let signature: [u8; 32] = chassis::ids::random_bytes();
    format!(
        "{}.{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(payload.to_string()),
        URL_SAFE_NO_PAD.encode(signature)
    )
}

/// `POST /token`
pub(crate) fn token(world: &World, call: &Call) -> Reply {
    let form = form(call);
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let now = world.clock.now();
    let (client_id, secret) = client(call, &form);
    let switches = world.google.model().switches().clone();
    let mut oauth = world.google.oauth();
    let outcome = oauth.check_client(&client_id, &secret).and_then(|()| match field("grant_type") {
        "authorization_code" => oauth.exchange(
            &client_id,
            field("code"),
            field("redirect_uri"),
            field("code_verifier"),
            &switches,
            now,
        ),
        "refresh_token" => {
            let scopes = field("scope").split_whitespace().map(ToOwned::to_owned).collect();
            oauth.refresh(&client_id, field("refresh_token"), &scopes, now)
        }
        "" => Err(OAuthError::new(400, "invalid_request", "Required parameter is missing: grant_type")),
        other => Err(OAuthError::new(400, "unsupported_grant_type", format!("Invalid grant_type: {other}"))),
    });
    match outcome {
        Err(error) => refuse(&error),
        Ok(given) => {
            let scopes: Vec<&str> = given.scopes.iter().map(String::as_str).collect();
            let mut body = json!({
                "access_token": given.access_token,
                "expires_in": given.expires_in,
                "scope": scopes.join(" "),
                "token_type": "Bearer",
            });
            if let Some(token) = &given.refresh_token {
                body["refresh_token"] = json!(token);
            }
            if let Some(seconds) = given.refresh_seconds {
                body["refresh_token_expires_in"] = json!(seconds);
            }
            if given.scopes.contains("openid") {
                body["id_token"] = json!(id_token(&given, now.timestamp()));
            }
            json_reply(200, &body)
        }
    }
}

/// `POST /revoke`
pub(crate) fn revoke(world: &World, call: &Call) -> Reply {
    let form = form(call);
    let known = form.get("token").is_some_and(|token| world.google.oauth().revoke(token));
    if known {
        json_reply(200, &json!({}))
    } else {
        refuse(&OAuthError::new(400, "invalid_token", "Token expired or revoked"))
    }
}

/// `/tokeninfo`
pub(crate) fn info(world: &World, call: &Call) -> Reply {
    let form = form(call);
    let bearer = super::access::bearer(call);
    let token = form.get("access_token").map(String::as_str).or(bearer).unwrap_or_default();
    let now = world.clock.now();
    let oauth = world.google.oauth();
    let Some(access) = oauth.access(token, now) else {
        return refuse(&OAuthError::new(400, "invalid_token", "Invalid Value"));
    };
    let scopes: Vec<&str> = access.scopes.iter().map(String::as_str).collect();
    let mut body = json!({
        "azp": access.client_id,
        "aud": access.client_id,
        "scope": scopes.join(" "),
        "exp": (access.expires_ms / 1000).to_string(),
        "expires_in": ((access.expires_ms - now.timestamp_millis()) / 1000).to_string(),
        "access_type": if access.offline { "offline" } else { "online" },
    });
    if wants_identity(&access.scopes) {
        body["sub"] = json!(subject(&access.account));
        body["email"] = json!(access.account);
        body["email_verified"] = json!("true");
    }
    json_reply(200, &body)
}

/// `/oauth2/v3/userinfo`
pub(crate) fn user(world: &World, call: &Call) -> Reply {
    let oauth = world.google.oauth();
    let access =
        super::access::bearer(call).and_then(|token| oauth.access(token, world.clock.now()).cloned());
    match access.filter(|access| wants_identity(&access.scopes)) {
        Some(access) => json_reply(
            200,
            &json!({"sub": subject(&access.account), "email": access.account, "email_verified": true}),
        ),
        None => refuse(&OAuthError::new(401, "invalid_request", "Invalid Credentials")),
    }
}
