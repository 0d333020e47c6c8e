//! The control side of Teams: places, and what people write in them.

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use serde::Deserialize;
use serde_json::{Value, json};

use super::control::{Outcome, with_office};
use super::teams::{NewPost, Place, missing};
use crate::control::{Control, Refusal};

/// Routes below `/microsoft` that concern Teams.
pub(crate) fn router() -> Router<Control> {
    Router::new()
        .route("/microsoft/teams", get(teams).post(add_team))
        .route("/microsoft/channels", post(add_channel))
        .route("/microsoft/chats", get(chats).post(add_chat))
        .route("/microsoft/channel-message", post(write).patch(edit).delete(remove))
        .route("/microsoft/chat-message", post(write).patch(edit).delete(remove))
        .route("/microsoft/teams/void-tokens", post(void_tokens))
        .route("/microsoft/workflows/{name}", put(put_workflow))
        .route("/microsoft/cards", get(cards))
}

async fn teams(State(control): State<Control>) -> Json<Value> {
    let office = control.world.office.office();
    let items: Vec<Value> = office
        .teams
        .values()
        .map(|team| {
            let channels: Vec<Value> = team
                .channels
                .values()
                .map(|one| json!({"id": one.id, "name": one.name, "messages": one.thread.posts.len()}))
                .collect();
            json!({"id": team.id, "name": team.name, "channels": channels})
        })
        .collect();
    Json(json!({"items": items}))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTeam {
    name: String,
}

async fn add_team(State(control): State<Control>, Json(new): Json<NewTeam>) -> Outcome {
    with_office(&control, |office, now| {
        let team = office.add_team(&new.name, now);
        let general = office.add_channel(&team, "General", now);
        Ok(json!({"id": team, "general": general}))
    })
    .map(Json)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewChannel {
    team: String,
    name: String,
}

async fn add_channel(State(control): State<Control>, Json(new): Json<NewChannel>) -> Outcome {
    with_office(&control, |office, now| {
        let id = office.add_channel(&new.team, &new.name, now).ok_or_else(|| missing("The team"))?;
        Ok(json!({"id": id}))
    })
    .map(Json)
}

async fn chats(State(control): State<Control>) -> Json<Value> {
    let office = control.world.office.office();
    let items: Vec<Value> = office
        .chats
        .values()
        .map(|one| json!({"id": one.id, "topic": one.topic, "members": one.members, "messages": one.thread.posts.len()}))
        .collect();
    Json(json!({"items": items}))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewChat {
    members: Vec<String>,
    #[serde(default)]
    topic: String,
}

async fn add_chat(State(control): State<Control>, Json(new): Json<NewChat>) -> Outcome {
    with_office(&control, |office, now| {
        let members: Vec<&str> = new.members.iter().map(String::as_str).collect();
        Ok(json!({"id": office.add_chat(&new.topic, &members, now)}))
    })
    .map(Json)
}

/// Where: `team` and `channel`, or `chat`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    team: Option<String>,
    #[serde(default)]
    channel: Option<String>,
    #[serde(default)]
    chat: Option<String>,
    #[serde(default)]
    reply_to: Option<String>,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    html: bool,
    /// The message that is edited or deleted.
    #[serde(default)]
    id: Option<String>,
}

impl Written {
    fn place(&self) -> Result<Place, Refusal> {
        match (&self.team, &self.channel, &self.chat) {
            (Some(team), Some(channel), None) => {
                Ok(Place::Channel { team: team.clone(), channel: channel.clone() })
            }
            (None, None, Some(chat)) => Ok(Place::Chat { chat: chat.clone() }),
            _ => Err(Refusal::invalid("expected team and channel, or chat")),
        }
    }

    fn number(text: Option<&String>, name: &str) -> Result<i64, Refusal> {
        text.and_then(|text| text.parse().ok())
            .ok_or_else(|| Refusal::invalid(format!("{name}: expected an id")))
    }
}

async fn write(State(control): State<Control>, Json(written): Json<Written>) -> Outcome {
    let place = written.place()?;
    let reply_to = match &written.reply_to {
        None => None,
        some => Some(Written::number(some.as_ref(), "reply_to")?),
    };
    let new = NewPost {
        author: written.from.unwrap_or_else(|| "ada@example.org".into()),
        subject: written.subject,
        body: written.body.unwrap_or_default(),
        html: written.html,
        reply_to,
    };
    let id = with_office(&control, |office, now| office.post(&place, new, now))?;
    Ok(Json(json!({"id": id.to_string()})))
}

async fn edit(State(control): State<Control>, Json(written): Json<Written>) -> Result<StatusCode, Refusal> {
    let (place, id) = (written.place()?, Written::number(written.id.as_ref(), "id")?);
    let body = written.body.unwrap_or_default();
    with_office(&control, |office, now| office.rewrite(&place, id, Some(body), now))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove(State(control): State<Control>, Json(written): Json<Written>) -> Result<StatusCode, Refusal> {
    let (place, id) = (written.place()?, Written::number(written.id.as_ref(), "id")?);
    with_office(&control, |office, now| office.rewrite(&place, id, None, now))?;
    Ok(StatusCode::NO_CONTENT)
}

/// All delta links of a channel are 410 from now on.
async fn void_tokens(
    State(control): State<Control>,
    Json(written): Json<Written>,
) -> Result<StatusCode, Refusal> {
    let place = written.place()?;
    with_office(&control, |office, _| {
        office.thread_mut(&place)?.epoch += 1;
        Ok(StatusCode::NO_CONTENT)
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewWorkflow {
    sig: String,
}

async fn put_workflow(
    State(control): State<Control>,
    Path(name): Path<String>,
    Json(new): Json<NewWorkflow>,
) -> StatusCode {
    control.world.office.office().workflows.put(&name, &new.sig);
    StatusCode::NO_CONTENT
}

/// All cards that were taken.
async fn cards(State(control): State<Control>) -> Json<Value> {
    Json(json!({"items": control.world.office.office().workflows.cards()}))
}
