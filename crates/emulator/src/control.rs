//! The control side: faults, the ledger of calls, tokens, time.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use chrono::DateTime;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::App;
use crate::faults::FaultSpec;
use crate::google;
use crate::microsoft::control_drives;
use crate::microsoft::control_subscriptions;
use crate::microsoft::notify::Deliveries;
use crate::microsoft::office;
use crate::microsoft::state_dump;
use crate::usage;
use crate::world::World;

/// Largest body: mails may carry files.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// What the control handlers share.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    pub(crate) world: Arc<World>,
    pub(crate) deliveries: Arc<Deliveries>,
}

/// A refusal: status and what is wrong.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) StatusCode, pub(crate) String);

impl Refusal {
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self(StatusCode::UNPROCESSABLE_ENTITY, detail.into())
    }

    pub(crate) fn missing(detail: impl Into<String>) -> Self {
        Self(StatusCode::NOT_FOUND, detail.into())
    }
}

impl From<std::io::Error> for Refusal {
    fn from(fault: std::io::Error) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, fault.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"detail": self.1}))).into_response()
    }
}

/// All routes of the control side.
pub(crate) fn router(control: Control) -> Router {
    Router::new()
        .route("/faults", post(add_fault).get(list_faults).delete(clear_faults))
        .route("/faults/{id}", delete(remove_fault))
        .route("/calls", get(calls).delete(clear_calls))
        .route("/tokens", post(mint))
        .route("/tokens/revoke", post(revoke))
        .route("/apps", put(put_app))
        .route("/notifications", get(notifications))
        .route("/subscriptions", get(subscriptions))
        .route("/reset", post(reset))
        .route("/state", get(state_dump::dump))
        .route("/clock", post(advance).get(clock))
        .route("/usage", get(usage_now))
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(|| async { "ok" }))
        .merge(control_drives::router())
        .merge(google::router())
        .merge(control_subscriptions::router())
        .merge(office::control::router())
        .merge(office::control_teams::router())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(control)
}

async fn add_fault(State(control): State<Control>, Json(spec): Json<FaultSpec>) -> Result<Response, Refusal> {
    let id = control.world.faults.add(spec).map_err(Refusal::invalid)?;
    Ok((StatusCode::CREATED, Json(json!({"id": id}))).into_response())
}

async fn list_faults(State(control): State<Control>) -> Json<Value> {
    Json(control.world.faults.list())
}

async fn clear_faults(State(control): State<Control>) -> StatusCode {
    control.world.faults.clear();
    StatusCode::NO_CONTENT
}

async fn remove_fault(State(control): State<Control>, Path(id): Path<String>) -> Result<StatusCode, Refusal> {
    if control.world.faults.remove(&id) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Refusal::missing(format!("there is no fault {id}")))
    }
}

#[derive(Debug, Deserialize)]
struct CallsQuery {
    since: Option<String>,
    provider: Option<String>,
    limit: Option<usize>,
}

/// `since` is the `last` of an earlier answer, or an RFC 3339 time.
async fn calls(
    State(control): State<Control>,
    Query(query): Query<CallsQuery>,
) -> Result<Json<Value>, Refusal> {
    let (since, by_time) = match query.since.as_deref() {
        None | Some("") => (0, false),
        Some(text) => match text.parse::<i64>() {
            Ok(number) => (number, false),
            Err(_) => DateTime::parse_from_rfc3339(text)
                .map(|time| (time.timestamp_millis(), true))
                .map_err(|_| Refusal::invalid("since: expected a sequence number or an RFC 3339 time"))?,
        },
    };
    let limit = query.limit.unwrap_or(usize::MAX);
    let (items, last) = control.world.ledger.since(since, by_time, query.provider.as_deref(), limit);
    Ok(Json(json!({"items": items, "last": last})))
}

async fn clear_calls(State(control): State<Control>) -> StatusCode {
    control.world.ledger.clear();
    StatusCode::NO_CONTENT
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mint {
    #[serde(default)]
    provider: Option<String>,
    #[serde(default)]
    account: Option<String>,
    /// Google: the OAuth client; the first registered one without it.
    #[serde(default)]
    client_id: Option<String>,
    /// Google: the scopes; all of the calendar without them.
    #[serde(default)]
    scopes: Option<Vec<String>>,
}

async fn mint(State(control): State<Control>, Json(request): Json<Mint>) -> Result<Json<Value>, Refusal> {
    match request.provider.as_deref() {
        None | Some("microsoft") => {}
        Some("google") => {
            let asked = google::Mint {
                account: request.account,
                client_id: request.client_id,
                scopes: request.scopes,
            };
            return google::mint(&control.world, asked).map(Json);
        }
        Some(other) => {
            return Err(Refusal::invalid(format!("provider: expected microsoft or google, got {other:?}")));
        }
    }
    let world = &control.world;
    let first = world.config.apps.first().map(|app| app.client_id.clone()).unwrap_or_default();
    let account = request.account.unwrap_or(first);
    let (token, lifetime) = world.identity.mint(&account, world.clock.now(), true);
    Ok(Json(
        json!({"access_token": token, "refresh_token": null, "expires_in": lifetime, "token_type": "Bearer"}),
    ))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Revoke {
    /// `google` ends access tokens of the Google side; refresh tokens stay.
    provider: Option<String>,
    /// Ask for a claim from now on, as continuous access evaluation does.
    claims_challenge: bool,
    /// Lifetime of tokens from now on, in seconds.
    lifetime_seconds: Option<u32>,
}

async fn revoke(State(control): State<Control>, Json(request): Json<Revoke>) -> StatusCode {
    if request.provider.as_deref() == Some("google") {
        let mut oauth = control.world.google.oauth();
        oauth.expire_access();
        if let Some(seconds) = request.lifetime_seconds {
            oauth.set_lifetime(i64::from(seconds));
        }
        return StatusCode::NO_CONTENT;
    }
    control.world.identity.revoke(request.claims_challenge);
    if let Some(seconds) = request.lifetime_seconds {
        control.world.identity.set_lifetime(i64::from(seconds));
    }
    StatusCode::NO_CONTENT
}

async fn put_app(State(control): State<Control>, Json(app): Json<App>) -> StatusCode {
    control.world.identity.put_app(app);
    StatusCode::NO_CONTENT
}

async fn notifications(State(control): State<Control>) -> Json<Value> {
    Json(json!({"items": control.deliveries.list()}))
}

async fn subscriptions(State(control): State<Control>) -> Json<Value> {
    let world = &control.world;
    let items: Vec<Value> =
        world.subscriptions.list(world.clock.now()).iter().map(|one| one.json("control", false)).collect();
    Json(json!({"items": items}))
}

async fn reset(State(control): State<Control>) -> Result<StatusCode, Refusal> {
    let world = control.world;
    blocking(move || world.reset()).await??;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_seconds: i64,
}

async fn advance(State(control): State<Control>, Json(request): Json<Advance>) -> Json<Value> {
    control.world.clock.advance(request.advance_seconds);
    clock(State(control)).await
}

async fn clock(State(control): State<Control>) -> Json<Value> {
    Json(json!({"now": control.world.clock.now().to_rfc3339()}))
}

async fn usage_now() -> Result<Json<usage::Usage>, Refusal> {
    Ok(Json(usage::read()?))
}

/// Runs what blocks on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|fault| Refusal(StatusCode::INTERNAL_SERVER_ERROR, format!("the work broke off: {fault}")))
}
