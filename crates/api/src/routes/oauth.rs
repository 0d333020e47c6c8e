//! `GET /api/oauth/google/start`, `GET /api/oauth/google/callback`
//!
//! The consent is bound to the browser that begins it by a cookie, whose digest the connector keeps; a caller with a
//! token may end it without the cookie, if he is the one who began.

use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::ids::random_bytes;
use chrono::{DateTime, Utc};
use contracts::gcal::v1::{BeginConsentRequest, CompleteConsentReply, CompleteConsentRequest};
use domain::ids::CompanyId;
use http::header::{ACCEPT, COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use store::audit::{AuditEntry, record};
use utoipa::{IntoParams, ToSchema};
use web::auth::{Admin, Viewer};
use web::json::Json;
use web::kit::RequestIds;
use web::problem::Problem;
use web::query::Query;

use super::micros;
use crate::error::Answer;
use crate::google::{context, problem};
use crate::state::ApiState;

const COOKIE_NAME: &str = "syncline_oauth";
const COOKIE_PATH: &str = "/api/oauth/google";
const COOKIE_SECONDS: u32 = 600;

/// What to connect.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct StartQuery {
    /// Calendar; the account's primary one when absent.
    #[serde(default)]
    calendar_id: String,
    /// `both`, `to_google` or `from_google`; `both` when absent.
    #[serde(default)]
    sync_direction: String,
    /// Account that the person is expected to choose.
    #[serde(default)]
    login_hint: String,
}

/// Where to send the person.
#[derive(Debug, Serialize, ToSchema)]
pub struct StartBody {
    authorization_url: String,
    /// The consent has to be given until then.
    expires_at: Option<DateTime<Utc>>,
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accepts = |kind: &str| {
        headers.get_all(ACCEPT).iter().any(|value| value.to_str().is_ok_and(|text| text.contains(kind)))
    };
    accepts("application/json") && !accepts("text/html")
}

/// Only the callback sees it, only over the way that it came, and no script.
fn cookie(headers: &HeaderMap, value: &str, seconds: u32) -> Result<HeaderValue, Problem> {
    let https = headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
    let secure = if https { "; Secure" } else { "" };
    let text = format!(
        "{COOKIE_NAME}={value}; Path={COOKIE_PATH}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
    );
    HeaderValue::from_str(&text).map_err(|error| Problem::internal(&error))
}

fn session_digest(headers: &HeaderMap) -> Vec<u8> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let found = pairs.find(|(name, _)| *name == COOKIE_NAME);
    found.map(|(_, secret)| Sha256::digest(secret.as_bytes()).to_vec()).unwrap_or_default()
}

/// Begins to connect a Google calendar: sends the person to Google, or answers where to send them (`Accept:
/// application/json`). The answer's cookie binds the consent to this session
#[utoipa::path(get, path = "/api/oauth/google/start", tag = "providers", params(StartQuery), responses(
    (status = 200, description = "Where to send the person", body = StartBody),
    (status = 302, description = "To Google's consent page"),
    (status = 503, description = "GOOGLE_* is not configured, or the connector is away",
        body = web::problem::ProblemBody),
))]
pub async fn start(
    State(state): State<ApiState>,
    Admin(claims): Admin,
    headers: HeaderMap,
    Query(query): Query<StartQuery>,
) -> Answer<Response> {
    let secret = URL_SAFE_NO_PAD.encode(random_bytes::<32>());
    let request = BeginConsentRequest {
        context: Some(context(claims.org)),
        user_id: claims.sub,
        session_sha256: Sha256::digest(secret.as_bytes()).to_vec(),
        calendar_id: query.calendar_id,
        sync_direction: query.sync_direction,
        login_hint: query.login_hint,
    };
    let begun = state.google.begin_consent(request).await.map_err(problem)?;
    let cookie = cookie(&headers, &secret, COOKIE_SECONDS)?;
    let mut response = if wants_json(&headers) {
        let expires_at = micros(Some(begun.expires_at_us));
        Json(StartBody { authorization_url: begun.authorization_url, expires_at }).into_response()
    } else {
        let location = HeaderValue::from_str(&begun.authorization_url).map_err(|e| Problem::internal(&e))?;
        (StatusCode::FOUND, [(LOCATION, location)]).into_response()
    };
    response.headers_mut().insert(SET_COOKIE, cookie);
    Ok(response)
}

/// What Google sends back; it adds members of its own.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub struct CallbackQuery {
    #[serde(default)]
    state: String,
    #[serde(default)]
    code: String,
    /// Such as `access_denied`.
    #[serde(default)]
    error: String,
}

/// A calendar that was connected.
#[derive(Debug, Serialize, ToSchema)]
pub struct Connected {
    /// Id of the connection.
    id: String,
    /// `google`
    provider: &'static str,
    account: String,
    calendar_id: String,
    /// `active`
    state: &'static str,
    sync_direction: String,
}

const PAGE: &str = "<!doctype html><meta charset=utf-8><title>Calendar connected</title>\
    <p>The calendar is connected. You can close this window.</p>";

/// Where Google sends the person back to. No token is needed: the one-time state and the session's cookie, or the
/// token of whoever began, decide
#[utoipa::path(get, path = "/api/oauth/google/callback", tag = "providers", params(CallbackQuery), responses(
    (status = 200, description = "The calendar is connected; a page for browsers", body = Connected),
    (status = 400, description = "The state is unknown or used, the consent was denied or too narrow",
        body = web::problem::ProblemBody),
    (status = 403, description = "Begun in another session", body = web::problem::ProblemBody),
    (status = 409, description = "The calendar is connected elsewhere", body = web::problem::ProblemBody),
))]
pub async fn callback(
    State(state): State<ApiState>,
    caller: Result<Viewer, Problem>,
    ids: RequestIds,
    headers: HeaderMap,
    Query(query): Query<CallbackQuery>,
) -> Answer<Response> {
    let (user_id, company_id) =
        caller.map(|Viewer(claims)| (claims.sub, claims.org.to_string())).unwrap_or_default();
    let request = CompleteConsentRequest {
        state: query.state,
        code: query.code,
        error: query.error,
        session_sha256: session_digest(&headers),
        user_id,
        company_id,
    };
    let done = state.google.complete_consent(request).await.map_err(problem)?;
    note(&state, &ids, &done).await;
    let forget = cookie(&headers, "", 0)?;
    let mut response =
        if headers.get(ACCEPT).is_some_and(|v| v.to_str().is_ok_and(|t| t.contains("text/html"))) {
            Html(PAGE).into_response()
        } else {
            Json(Connected {
                id: done.connection_id,
                provider: "google",
                account: done.account,
                calendar_id: done.calendar_id,
                state: "active",
                sync_direction: done.sync_direction,
            })
            .into_response()
        };
    response.headers_mut().insert(SET_COOKIE, forget);
    Ok(response)
}

/// The audit record of a consent. The connection stands already: a record that fails is logged, not the answer.
async fn note(state: &ApiState, ids: &RequestIds, done: &CompleteConsentReply) {
    let Ok(company) = done.company_id.parse().map(CompanyId) else { return };
    let entry = AuditEntry {
        actor: done.account.clone(),
        role: "consent".to_owned(),
        action: "connection.connect".to_owned(),
        resource: format!("connection:{}", done.connection_id),
        reason: None,
        request_id: Some(ids.request_id.clone()),
        trace_id: Some(ids.trace_id.clone()),
        details: json!({ "calendar_id": done.calendar_id, "sync_direction": done.sync_direction }),
    };
    let written = async {
        let mut tx = state.store.tenant(company).await?;
        record(&mut tx, Some(company), &entry).await?;
        tx.commit().await
    };
    if let Err(error) = written.await {
        tracing::error!(error = chassis::telemetry::chain(&error), "a consent has no audit record");
    }
}
