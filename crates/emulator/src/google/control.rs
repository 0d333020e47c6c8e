//! The control side of Google: switches, accounts, calendars, grants, and what was sent.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::model::{ApiError, Caller, Role, Switches};
use super::oauth::GoogleApp;
use crate::control::{Control, Refusal};
use crate::world::World;

/// What a minted grant covers when nobody says.
const SCOPES: [&str; 3] = ["https://www.googleapis.com/auth/calendar", "openid", "email"];

type Outcome = Result<Json<Value>, Refusal>;

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
        Self(status, error.to_string())
    }
}

/// Routes below `/google`.
pub(crate) fn router() -> Router<Control> {
    Router::new()
        .route("/google/switches", get(switches).put(set_switches))
        .route("/google/accounts", get(accounts).post(add_account))
        .route("/google/calendars", post(add_calendar))
        .route("/google/share", post(share))
        .route("/google/expire-tokens", post(expire))
        .route("/google/forget-tombstones", post(forget))
        .route("/google/read-only", post(read_only))
        .route("/google/lock", post(lock))
        .route("/google/apps", put(put_app))
        .route("/google/grants", get(grants))
        .route("/google/grants/revoke", post(revoke))
        .route("/google/grants/restrict", post(restrict))
        .route("/google/mails", get(mails))
        .route("/google/channels", get(channels))
        .route("/google/notifications", get(notifications))
}

/// `POST /tokens` for Google.
#[derive(Debug)]
pub(crate) struct Mint {
    pub(crate) account: Option<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) scopes: Option<Vec<String>>,
}

/// A grant without a consent page; an unknown account is made.
pub(crate) fn mint(world: &World, asked: Mint) -> Result<Value, Refusal> {
    let (account, switches) = {
        let mut model = world.google.model();
        let account = asked.account.or_else(|| model.accounts().next().map(ToOwned::to_owned));
        let account = account.ok_or_else(|| Refusal::invalid("account: there is none yet; name one"))?;
        model.create_account(&account, "UTC")?;
        (account, model.switches().clone())
    };
    let mut oauth = world.google.oauth();
    let client = asked.client_id.or_else(|| oauth.first_app().map(|app| app.client_id.clone()));
    let client = client.ok_or_else(|| Refusal::invalid("client_id: no application is registered"))?;
    let scopes = match asked.scopes {
        Some(scopes) => scopes.into_iter().collect(),
        None => SCOPES.into_iter().map(ToOwned::to_owned).collect(),
    };
    let given = oauth.mint(&account, &client, &scopes, &switches, world.clock.now());
    Ok(json!({
        "access_token": given.access_token,
        "refresh_token": given.refresh_token,
        "expires_in": given.expires_in,
        "token_type": "Bearer",
        "account": account,
        "client_id": client,
    }))
}

/// `GET /state?provider=google`, all calendars or one.
pub(crate) fn state(world: &World, calendar: Option<&str>) -> Value {
    let mut dump = world.google.model().dump();
    if let (Some(wanted), Some(calendars)) = (calendar, dump["calendars"].as_array_mut()) {
        calendars.retain(|one| one["id"] == json!(wanted));
    }
    dump
}

async fn switches(State(control): State<Control>) -> Outcome {
    let switches = control.world.google.model().switches().clone();
    serde_json::to_value(switches)
        .map(Json)
        .map_err(|fault| Refusal(StatusCode::INTERNAL_SERVER_ERROR, fault.to_string()))
}

/// What is not named goes back to its default.
async fn set_switches(State(control): State<Control>, Json(switches): Json<Switches>) -> StatusCode {
    control.world.google.model().set_switches(switches);
    StatusCode::NO_CONTENT
}

async fn accounts(State(control): State<Control>) -> Json<Value> {
    let model = control.world.google.model();
    Json(json!({"items": model.accounts().collect::<Vec<_>>()}))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAccount {
    email: String,
    #[serde(default)]
    time_zone: Option<String>,
}

async fn add_account(State(control): State<Control>, Json(new): Json<NewAccount>) -> Outcome {
    let zone = new.time_zone.as_deref().unwrap_or("UTC");
    control.world.google.model().create_account(&new.email, zone)?;
    Ok(Json(json!({"email": new.email, "calendar": new.email})))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCalendar {
    owner: String,
    id: String,
    #[serde(default)]
    summary: Option<String>,
    #[serde(default)]
    time_zone: Option<String>,
    /// False for a calendar that cannot be watched.
    #[serde(default)]
    push: Option<bool>,
}

async fn add_calendar(State(control): State<Control>, Json(new): Json<NewCalendar>) -> Outcome {
    let mut model = control.world.google.model();
    let (summary, zone) = (new.summary.as_deref().unwrap_or(&new.id), new.time_zone.as_deref());
    model.create_calendar(&new.owner, &new.id, summary, zone.unwrap_or("UTC"))?;
    model.set_push(&new.id, new.push.unwrap_or(true))?;
    ring(&control.world, model.owes_messages());
    Ok(Json(json!({"id": new.id})))
}

fn ring(world: &World, owed: bool) {
    if owed {
        world.google.bell.notify_one();
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Share {
    calendar: String,
    account: String,
    role: String,
}

async fn share(State(control): State<Control>, Json(share): Json<Share>) -> Outcome {
    let role = Role::parse(&share.role)
        .ok_or_else(|| Refusal::invalid("role: expected none, freeBusyReader, reader, writer or owner"))?;
    let mut model = control.world.google.model();
    let owner = model.owner_of(&share.calendar)?;
    let caller = Caller { account: &owner, client: "control", now: control.world.clock.now() };
    let granted = model.share(&caller, &share.calendar, &share.account, role)?;
    ring(&control.world, model.owes_messages());
    Ok(Json(granted))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expire {
    calendar: String,
    /// The list call for this page (from 0) is 410, once; without it all tokens are at once.
    #[serde(default)]
    page: Option<u32>,
}

async fn expire(State(control): State<Control>, Json(expire): Json<Expire>) -> Result<StatusCode, Refusal> {
    let mut model = control.world.google.model();
    match expire.page {
        Some(page) => model.gone_at_page(&expire.calendar, page)?,
        None => model.expire_tokens(&expire.calendar)?,
    }
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Forget {
    calendar: String,
    older_than_seconds: i64,
}

async fn forget(State(control): State<Control>, Json(forget): Json<Forget>) -> Outcome {
    let before = control.world.clock.now_ms() - forget.older_than_seconds.saturating_mul(1000);
    let count = control.world.google.model().forget_tombstones(&forget.calendar, before)?;
    Ok(Json(json!({"forgotten": count})))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadOnly {
    account: String,
    seconds: i64,
}

async fn read_only(State(control): State<Control>, Json(asked): Json<ReadOnly>) -> StatusCode {
    let until = control.world.clock.now_ms() + asked.seconds.saturating_mul(1000);
    control.world.google.model().set_read_only(&asked.account, until);
    StatusCode::NO_CONTENT
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lock {
    calendar: String,
    event: String,
    locked: bool,
}

async fn lock(State(control): State<Control>, Json(lock): Json<Lock>) -> Result<StatusCode, Refusal> {
    control.world.google.model().set_locked(&lock.calendar, &lock.event, lock.locked)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn put_app(State(control): State<Control>, Json(app): Json<GoogleApp>) -> StatusCode {
    control.world.google.oauth().put_app(app);
    StatusCode::NO_CONTENT
}

#[derive(Debug, Deserialize)]
struct GrantsQuery {
    account: String,
}

async fn grants(State(control): State<Control>, Query(query): Query<GrantsQuery>) -> Json<Value> {
    let (count, oldest) = control.world.google.oauth().refresh_tokens(&query.account);
    Json(json!({"account": query.account, "refresh_tokens": count, "oldest_issued_ms": oldest}))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Revoke {
    account: String,
    #[serde(default)]
    client_id: Option<String>,
}

async fn revoke(State(control): State<Control>, Json(revoke): Json<Revoke>) -> StatusCode {
    control.world.google.oauth().revoke_grant(&revoke.account, revoke.client_id.as_deref());
    StatusCode::NO_CONTENT
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Restrict {
    account: String,
    restricted: bool,
}

async fn restrict(State(control): State<Control>, Json(restrict): Json<Restrict>) -> StatusCode {
    control.world.google.oauth().restrict(&restrict.account, restrict.restricted);
    StatusCode::NO_CONTENT
}

async fn mails(State(control): State<Control>) -> Json<Value> {
    Json(json!({"items": control.world.google.model().mails()}))
}

async fn channels(State(control): State<Control>) -> Json<Value> {
    let now = control.world.clock.now_ms();
    Json(json!({"items": control.world.google.model().channels(now)}))
}

async fn notifications(State(control): State<Control>) -> Json<Value> {
    Json(json!({"items": control.world.google.deliveries.list()}))
}
