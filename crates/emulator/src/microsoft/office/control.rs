//! The control side of mail: people, what they receive and do, switches, permissions, secrets.

use std::collections::BTreeSet;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use serde::Deserialize;
use serde_json::{Value, json};

use super::generate;
use super::ids;
use super::mailbox::{INBOX, Mailbox};
use super::message::{Message, Person};
use super::model::Office;
use super::permissions;
use super::switches::Switches;
use crate::control::{Control, Refusal, blocking};
use crate::microsoft::errors::GraphError;

/// Most mails of one call.
const MAX_GENERATED: u32 = 1_000_000;

pub(crate) type Outcome = Result<Json<Value>, Refusal>;

impl From<GraphError> for Refusal {
    fn from(error: GraphError) -> Self {
        let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
        Self(status, format!("{}: {}", error.code, error.message))
    }
}

/// Routes below `/microsoft` that concern people and mail.
pub(crate) fn router() -> Router<Control> {
    Router::new()
        .route("/microsoft/switches", get(switches).put(set_switches))
        .route("/microsoft/permissions", get(show_permissions).put(set_permissions))
        .route("/microsoft/secrets", put(secrets))
        .route("/microsoft/users", get(users).post(add_user))
        .route("/microsoft/mail", post(mail))
        .route("/microsoft/mail/move", post(move_mail))
        .route("/microsoft/mail/delete", post(delete_mail))
        .route("/microsoft/mail/read", post(read_mail))
        .route("/microsoft/mail/generate", post(generate_mail))
        .route("/microsoft/mail/void-tokens", post(void_tokens))
        .route("/microsoft/mail/folders", post(add_folder))
        .route("/microsoft/events/void-tokens", post(void_event_tokens))
        .route("/microsoft/outgoing", get(outgoing))
        .route("/microsoft/usage", get(usage))
}

/// Runs a change under the lock and rings the bell.
pub(crate) fn with_office<T>(
    control: &Control,
    change: impl FnOnce(&mut Office, i64) -> Result<T, GraphError>,
) -> Result<T, Refusal> {
    let now = control.world.clock.now_ms();
    let mut office = control.world.office.office();
    let outcome = change(&mut office, now);
    if office.has_changes() {
        control.world.dirty.bell.notify_one();
    }
    outcome.map_err(Refusal::from)
}

async fn switches(State(control): State<Control>) -> Json<Switches> {
    Json(control.world.office.office().switches.clone())
}

/// What is not named goes back to its default.
async fn set_switches(State(control): State<Control>, Json(switches): Json<Switches>) -> StatusCode {
    control.world.office.office().switches = switches;
    StatusCode::NO_CONTENT
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Permissions {
    denied: BTreeSet<String>,
}

async fn show_permissions(State(control): State<Control>) -> Json<Value> {
    let denied = control.world.office.office().denied.clone();
    Json(json!({"all": permissions::ALL, "denied": denied}))
}

async fn set_permissions(State(control): State<Control>, Json(asked): Json<Permissions>) -> Outcome {
    if let Some(unknown) = asked.denied.iter().find(|name| !permissions::ALL.contains(&name.as_str())) {
        return Err(Refusal::invalid(format!("denied: there is no permission {unknown}")));
    }
    control.world.office.office().denied = asked.denied;
    Ok(show_permissions(State(control)).await)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Secrets {
    client_id: Option<String>,
    add: Vec<String>,
    expire: Vec<String>,
    revoke: Vec<String>,
}

/// Adds, expires and revokes secrets; several are good at once. Tokens already given out stay good.
async fn secrets(State(control): State<Control>, Json(asked): Json<Secrets>) -> Outcome {
    let first = control.world.config.apps.first().map(|app| app.client_id.clone()).unwrap_or_default();
    let client = asked.client_id.unwrap_or(first);
    let count = control.world.identity.change_secrets(&client, &asked.add, &asked.expire, &asked.revoke);
    let count = count.ok_or_else(|| Refusal::missing(format!("there is no application {client}")))?;
    Ok(Json(json!({"client_id": client, "secrets": count})))
}

async fn users(State(control): State<Control>) -> Json<Value> {
    let office = control.world.office.office();
    let items: Vec<Value> = office
        .users
        .values()
        .map(|user| json!({"id": user.id, "upn": user.upn, "name": user.name}))
        .collect();
    Json(json!({"items": items}))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUser {
    upn: String,
    #[serde(default)]
    name: Option<String>,
}

async fn add_user(State(control): State<Control>, Json(new): Json<NewUser>) -> Result<Response, Refusal> {
    let name = new.name.unwrap_or_else(|| Person::of(&new.upn).name);
    let id = with_office(&control, |office, _| Ok(office.add_user(&new.upn, &name)))?;
    Ok((StatusCode::CREATED, Json(json!({"id": id, "upn": new.upn}))).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewMail {
    user: String,
    #[serde(default)]
    folder: Option<String>,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    html: bool,
    /// As Graph takes them: `name`, `contentType`, `contentBytes`.
    #[serde(default)]
    attachments: Vec<Value>,
    /// Milliseconds since the epoch; now without it.
    #[serde(default)]
    received_ms: Option<i64>,
}

/// A mail arrives.
async fn mail(State(control): State<Control>, Json(new): Json<NewMail>) -> Result<Response, Refusal> {
    let answer = with_office(&control, |office, now| {
        let user = office.user_id(&new.user)?;
        let mailbox = &office.user(&user)?.mailbox;
        let folder = new.folder.as_deref().map_or(Ok(INBOX), |name| mailbox.folder(name))?;
        let at = new.received_ms.unwrap_or(now);
        let mut message = Message::draft(&mailbox.owner, at);
        message.apply(&json!({"attachments": new.attachments}), now)?;
        message.from = Some(Person::of(new.from.as_deref().unwrap_or("someone@partner.example")));
        message.to = vec![mailbox.owner.clone()];
        (message.subject, message.body, message.html) = (new.subject, new.body, new.html);
        (message.is_draft, message.is_read) = (false, false);
        let key = office.put_mail(&user, folder, message)?;
        let mailbox = &office.user(&user)?.mailbox;
        Ok(mailbox.record(&mailbox.messages[&key]))
    })?;
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OneMail {
    user: String,
    id: String,
    #[serde(default)]
    folder: Option<String>,
    #[serde(default)]
    forever: bool,
    #[serde(default)]
    read: Option<bool>,
}

fn record(office: &Office, user: &str, key: u64) -> Result<Value, GraphError> {
    let mailbox: &Mailbox = &office.user(user)?.mailbox;
    Ok(mailbox.messages.get(&key).map_or(Value::Null, |message| mailbox.record(message)))
}

async fn move_mail(State(control): State<Control>, Json(asked): Json<OneMail>) -> Outcome {
    let folder = asked.folder.ok_or_else(|| Refusal::invalid("folder: is required"))?;
    with_office(&control, |office, now| {
        let user = office.user_id(&asked.user)?;
        let mailbox = &office.user(&user)?.mailbox;
        let (key, to) = (mailbox.find(&asked.id)?, mailbox.folder(&folder)?);
        office.move_mail(&user, key, to, now)?;
        record(office, &user, key)
    })
    .map(Json)
}

async fn delete_mail(State(control): State<Control>, Json(asked): Json<OneMail>) -> Outcome {
    with_office(&control, |office, now| {
        let user = office.user_id(&asked.user)?;
        let key = office.user(&user)?.mailbox.find(&asked.id)?;
        office.delete_mail(&user, key, asked.forever, now)?;
        record(office, &user, key)
    })
    .map(Json)
}

async fn read_mail(State(control): State<Control>, Json(asked): Json<OneMail>) -> Outcome {
    with_office(&control, |office, now| {
        let user = office.user_id(&asked.user)?;
        let key = office.user(&user)?.mailbox.find(&asked.id)?;
        office.change_mail(&user, key, now, |message| {
            message.is_read = asked.read.unwrap_or(true);
            Ok(())
        })?;
        record(office, &user, key)
    })
    .map(Json)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bulk {
    user: String,
    count: u32,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    folder: Option<String>,
}

async fn generate_mail(State(control): State<Control>, Json(asked): Json<Bulk>) -> Outcome {
    if asked.count > MAX_GENERATED {
        return Err(Refusal::invalid(format!("count: at most {MAX_GENERATED}")));
    }
    blocking(move || {
        with_office(&control, |office, now| {
            let mailbox = &mut office.user_mut(&asked.user)?.mailbox;
            let folder = asked.folder.as_deref().map_or(Ok(INBOX), |name| mailbox.folder(name))?;
            generate::fill(mailbox, folder, asked.count, asked.seed, now);
            Ok(json!({"folder": ids::folder(mailbox.salt, folder), "messages": mailbox.messages.len()}))
        })
    })
    .await?
    .map(Json)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Void {
    user: String,
    /// All folders and the folder tree without it.
    #[serde(default)]
    folder: Option<String>,
    /// `SyncStateNotFound`, `SyncStateInvalid` or `ResyncRequired`.
    #[serde(default)]
    code: Option<String>,
}

async fn void_tokens(State(control): State<Control>, Json(asked): Json<Void>) -> Result<StatusCode, Refusal> {
    with_office(&control, |office, _| {
        let mailbox = &mut office.user_mut(&asked.user)?.mailbox;
        let folder = asked.folder.as_deref().map(|name| mailbox.folder(name)).transpose()?;
        mailbox.void_tokens(folder, asked.code.as_deref().unwrap_or("SyncStateNotFound"));
        Ok(StatusCode::NO_CONTENT)
    })
}

/// Delta links of the calendar view are 410 from now on.
async fn void_event_tokens(
    State(control): State<Control>,
    Json(asked): Json<Void>,
) -> Result<StatusCode, Refusal> {
    with_office(&control, |office, _| {
        office.user_mut(&asked.user)?.calendar.void_tokens();
        Ok(StatusCode::NO_CONTENT)
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewFolder {
    user: String,
    name: String,
    #[serde(default)]
    parent: Option<String>,
    #[serde(default)]
    hidden: bool,
}

async fn add_folder(State(control): State<Control>, Json(new): Json<NewFolder>) -> Outcome {
    with_office(&control, |office, _| {
        let mailbox = &mut office.user_mut(&new.user)?.mailbox;
        let parent = mailbox.folder(new.parent.as_deref().unwrap_or("msgfolderroot"))?;
        let key = mailbox.add_folder(parent, &new.name, new.hidden)?;
        Ok(json!({"id": ids::folder(mailbox.salt, key), "name": new.name}))
    })
    .map(Json)
}

/// All mails that ever left.
async fn outgoing(State(control): State<Control>) -> Json<Value> {
    Json(json!({"items": control.world.office.office().outgoing}))
}

async fn usage(State(control): State<Control>) -> Json<Value> {
    Json(control.world.office.office().usage.json())
}
