//! The stand-in for Microsoft identity: client credentials, several secrets per application,
//! Entra's error shapes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use crate::config::App;
use crate::http::{Call, Reply, query_pairs};
use crate::microsoft::errors::GraphError;

/// Prefix that makes a configured secret an expired one.
const EXPIRED: &str = "expired:";

/// The claims that a continuous-access challenge asks for, before base64.
const CLAIMS: &str = r#"{"access_token":{"nbf":{"essential":true,"value":"1"}}}"#;

#[derive(Clone)]
struct Grant {
    account: String,
    expires_ms: i64,
    with_claims: bool,
}

#[derive(Default)]
struct State {
    apps: BTreeMap<String, App>,
    tokens: HashMap<String, Grant>,
    claims_required: bool,
    lifetime_seconds: i64,
}

/// Applications and the tokens they hold.
pub(crate) struct Identity {
    state: Mutex<State>,
}

impl std::fmt::Debug for Identity {
    /// Nothing of it: it is secrets and tokens.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Identity {
    pub(crate) fn new(apps: &[App], lifetime_seconds: i64) -> Self {
        let apps = apps.iter().map(|app| (app.client_id.clone(), app.clone())).collect();
        Self { state: Mutex::new(State { apps, lifetime_seconds, ..State::default() }) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an application or replaces its secrets.
    pub(crate) fn put_app(&self, app: App) {
        self.state().apps.insert(app.client_id.clone(), app);
    }

    /// Adds, expires and revokes secrets; the number that is left, `None` without such an application.
    pub(crate) fn change_secrets(
        &self,
        client: &str,
        add: &[String],
        expire: &[String],
        revoke: &[String],
    ) -> Option<usize> {
        let mut state = self.state();
        let app = state.apps.get_mut(client)?;
        app.secrets.retain(|known| !revoke.contains(known));
        for known in app.secrets.iter_mut().filter(|known| expire.contains(*known)) {
            *known = format!("{EXPIRED}{known}");
        }
        for new in add {
            if !app.secrets.contains(new) {
                app.secrets.push(new.clone());
            }
        }
        Some(app.secrets.len())
    }

    pub(crate) fn set_lifetime(&self, seconds: i64) {
        self.state().lifetime_seconds = seconds;
    }

    /// Makes every token bad; with `claims` also asks for a continuous-access claim from now on.
    pub(crate) fn revoke(&self, claims: bool) {
        let mut state = self.state();
        state.tokens.clear();
        state.claims_required = claims;
    }

    /// Mints a token without a request.
    pub(crate) fn mint(&self, account: &str, now: DateTime<Utc>, with_claims: bool) -> (String, i64) {
        let mut state = self.state();
        let lifetime = state.lifetime_seconds;
        let now_ms = now.timestamp_millis();
        state.tokens.retain(|_, grant| grant.expires_ms > now_ms);
        let tenant = state.apps.get(account).map(|app| app.tenant.clone()).unwrap_or_default();
        let token = jwt(&tenant, account, now.timestamp(), lifetime);
        let grant = Grant { account: account.into(), expires_ms: now_ms + lifetime * 1000, with_claims };
        state.tokens.insert(token.clone(), grant);
        (token, lifetime)
    }

    /// The account of the request's bearer token, or the 401 that Graph answers.
    pub(crate) fn check(&self, call: &Call, now: DateTime<Utc>) -> Result<String, Box<Reply>> {
        let token = call.header("authorization").and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        let state = self.state();
        let grant = token.and_then(|token| state.tokens.get(token));
        match grant {
            Some(grant) if grant.expires_ms > now.timestamp_millis() => {
                if state.claims_required && !grant.with_claims {
                    return Err(Box::new(claims_challenge()));
                }
                Ok(grant.account.clone())
            }
            // A token of before the revocation is unknown by now; the challenge says how to go on.
            None if token.is_some() && state.claims_required => Err(Box::new(claims_challenge())),
            _ => Err(Box::new(Reply::error(GraphError::token())
                .with(WWW_AUTHENTICATE, "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", client_id=\"00000003-0000-0000-c000-000000000000\""))),
        }
    }

    /// `POST /{tenant}/oauth2/v2.0/token` with client credentials.
    pub(crate) fn token_endpoint(&self, tenant: &str, call: &Call, now: DateTime<Utc>) -> Reply {
        let body = String::from_utf8_lossy(&call.body);
        let form: HashMap<String, String> = query_pairs(&body).collect();
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let refuse =
            |status: u16, error: &str, code: u32, text: &str| entra(status, error, code, text, call, now);
        if field("grant_type").is_empty() {
            return refuse(
                400,
                "invalid_request",
                900_144,
                "The request body must contain the following parameter: 'grant_type'.",
            );
        }
        if field("grant_type") != "client_credentials" {
            return refuse(
                400,
                "unsupported_grant_type",
                70003,
                "The app requested an unsupported grant type.",
            );
        }
        let account = field("client_id");
        let verdict = {
            let state = self.state();
            if !state.apps.values().any(|app| app.tenant.eq_ignore_ascii_case(tenant)) {
                Err((
                    400,
                    "invalid_request",
                    90002,
                    format!(
                        "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant."
                    ),
                ))
            } else if let Some(app) =
                state.apps.get(account).filter(|app| app.tenant.eq_ignore_ascii_case(tenant))
            {
                judge_secret(app, field("client_secret"))
            } else {
                Err((
                    400,
                    "unauthorized_client",
                    700_016,
                    format!(
                        "Application with identifier '{account}' was not found in the directory '{tenant}'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant."
                    ),
                ))
            }
        };
        if let Err((status, error, code, text)) = verdict {
            return refuse(status, error, code, &text);
        }
        let scope = field("scope");
        if !scope.ends_with("/.default") {
            return refuse(
                400,
                "invalid_scope",
                1_002_012,
                &format!(
                    "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI)."
                ),
            );
        }
        let (token, lifetime) = self.mint(account, now, !field("claims").is_empty());
        let answer = json!({
            "token_type": "Bearer",
            "expires_in": lifetime,
            "ext_expires_in": lifetime,
            "access_token": token,
        });
        plain_json(200, &answer)
    }
}

fn judge_secret(app: &App, secret: &str) -> Result<(), (u16, &'static str, u32, String)> {
    if secret.is_empty() {
        return Err((
            401,
            "invalid_client",
            7_000_218,
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
                .into(),
        ));
    }
    if app.secrets.iter().any(|known| known == secret && !known.starts_with(EXPIRED)) {
        return Ok(());
    }
    if app.secrets.iter().any(|known| known.strip_prefix(EXPIRED) == Some(secret)) {
        return Err((
            401,
            "invalid_client",
            7_000_222,
            format!(
                "The provided client secret keys for app '{}' are expired. Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: https://aka.ms/certCreds.",
                app.client_id
            ),
        ));
    }
    Err((
        401,
        "invalid_client",
        7_000_215,
        format!(
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{}'.",
            app.client_id
        ),
    ))
}

fn claims_challenge() -> Reply {
    let claims = STANDARD.encode(CLAIMS);
    let challenge = format!(
        "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", \
         client_id=\"00000003-0000-0000-c000-000000000000\", error=\"insufficient_claims\", claims=\"{claims}\""
    );
    let error = GraphError::new(
        401,
        "InvalidAuthenticationToken",
        "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: TokenIssuedBeforeRevocationTimestamp",
    );
    Reply::error(error).with(WWW_AUTHENTICATE, &challenge)
}

fn plain_json(status: u16, value: &Value) -> Reply {
    Reply::json(status, value)
        .with(CONTENT_TYPE, "application/json; charset=utf-8")
        .with(CACHE_CONTROL, "no-store, no-cache")
}

/// An error of the token endpoint: OAuth's fields and Entra's numbers.
fn entra(status: u16, error: &str, code: u32, text: &str, call: &Call, now: DateTime<Utc>) -> Reply {
    let trace = chassis::ids::new_id().to_string();
    let correlation = call
        .header("client-request-id")
        .map_or_else(|| chassis::ids::new_id().to_string(), ToOwned::to_owned);
    let stamp = now.format("%Y-%m-%d %H:%M:%SZ").to_string();
    let body = json!({
        "error": error,
        "error_description": format!(
            "AADSTS{code}: {text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}"
        ),
        "error_codes": [code],
        "timestamp": stamp,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
    });
    plain_json(status, &body)
}

/// A token in the shape of a JWT (clients look inside), signed with random bytes: the table decides.
fn jwt(tenant: &str, account: &str, now: i64, lifetime: i64) -> String {
    let header = json!({"typ": "JWT", "alg": "RS256", "kid": "emulator"});
    let payload = json!({
        "aud": "https://graph.microsoft.com",
        "iss": format!("https://sts.windows.net/{tenant}/"),
        "iat": now, "nbf": now, "exp": now + lifetime,
        "appid": account, "tid": tenant, "ver": "1.0", "idtyp": "app",
        "roles": ["Files.ReadWrite.All", "Sites.Read.All"],
    });
    let signature: [u8; 32] = chassis::ids::random_bytes();
    format!(
        "{}.{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(payload.to_string()),
        URL_SAFE_NO_PAD.encode(signature)
    )
}
