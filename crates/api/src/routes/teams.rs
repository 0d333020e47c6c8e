//! `/api/teams/channels`, `/api/teams/chats`

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use contracts::jobs::{SyncMode, Trigger};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::jobs::enqueue_many;
use store::{subscriptions, teams};
use utoipa::ToSchema;
use web::auth::{Admin, Viewer};
use web::json::Json;
use web::page::{Page, PageQuery};
use web::path::Path;
use web::problem::{FieldError, Problem};
use web::query::Query;

use crate::actor::Actor;
use crate::error::Answer;
use crate::routes::sync::{channel_job, chat_job};
use crate::state::ApiState;

/// A channel whose messages are synchronised.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChannelBody {
    team_id: String,
    channel_id: String,
    name: String,
    enabled: bool,
    /// When everything that notifications may have missed was read last; at most once a day by itself.
    last_repair_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl From<teams::Channel> for ChannelBody {
    fn from(c: teams::Channel) -> Self {
        Self {
            team_id: c.team_id,
            channel_id: c.channel_id,
            name: c.name,
            enabled: c.enabled,
            last_repair_at: c.last_repair_at,
            created_at: c.created_at,
        }
    }
}

/// A chat whose messages are synchronised.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatBody {
    chat_id: String,
    /// Whose chat it was found as, or empty.
    user_id: String,
    topic: String,
    enabled: bool,
    /// When everything that notifications may have missed was read last; at most once a day by itself.
    last_repair_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl From<teams::Chat> for ChatBody {
    fn from(c: teams::Chat) -> Self {
        Self {
            chat_id: c.chat_id,
            user_id: c.user_id,
            topic: c.topic,
            enabled: c.enabled,
            last_repair_at: c.last_repair_at,
            created_at: c.created_at,
        }
    }
}

/// Channels that are synchronised, by team and id
#[utoipa::path(get, path = "/api/teams/channels", tag = "messages", params(PageQuery), responses(
    (status = 200, description = "A page of channels", body = Page<ChannelBody>),
))]
pub async fn channels(
    State(state): State<ApiState>,
    Viewer(claims): Viewer,
    Query(page): Query<PageQuery>,
) -> Answer<Json<Page<ChannelBody>>> {
    let after: Option<(String, String)> = page.after()?;
    let (mut tx, company) = state.tenant(&claims).await?;
    let rows = teams::channels(&mut tx, company, None, after, page.fetch()).await?;
    let page = Page::cut(&page, rows, |c| (c.team_id.clone(), c.channel_id.clone()));
    Ok(Json(page.map(ChannelBody::from)))
}

/// Chats that are synchronised, by id
#[utoipa::path(get, path = "/api/teams/chats", tag = "messages", params(PageQuery), responses(
    (status = 200, description = "A page of chats", body = Page<ChatBody>),
))]
pub async fn chats(
    State(state): State<ApiState>,
    Viewer(claims): Viewer,
    Query(page): Query<PageQuery>,
) -> Answer<Json<Page<ChatBody>>> {
    let after: Option<String> = page.after()?;
    let (mut tx, company) = state.tenant(&claims).await?;
    let rows = teams::chats(&mut tx, company, None, after.as_deref(), page.fetch()).await?;
    Ok(Json(Page::cut(&page, rows, |c| c.chat_id.clone()).map(ChatBody::from)))
}

/// What to write; absent fields keep what is stored.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutPlace {
    /// Name of a channel, topic of a chat.
    name: Option<String>,
    /// A new one is enabled.
    enabled: Option<bool>,
}

fn id(field: &str, text: &str) -> Result<(), Problem> {
    if text.is_empty()
        || text.len() > 200
        || text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '/')
    {
        let message = "has 1 to 200 bytes, no spaces, slashes or control characters";
        return Err(Problem::unprocessable(vec![FieldError::new(field, message)]));
    }
    Ok(())
}

/// Registers a channel, or switches it on or off. An enabled one is read and subscribed to at once
#[utoipa::path(put, path = "/api/teams/channels/{teamId}/{channelId}", tag = "messages",
    params(("teamId" = String, Path), ("channelId" = String, Path)), request_body = PutPlace, responses(
        (status = 200, description = "It was changed", body = ChannelBody),
        (status = 201, description = "It was registered", body = ChannelBody),
    ))]
pub async fn put_channel(
    State(state): State<ApiState>,
    Admin(claims): Admin,
    Path((team, channel)): Path<(String, String)>,
    actor: Actor,
    Json(body): Json<PutPlace>,
) -> Answer<Response> {
    id("teamId", &team)?;
    id("channelId", &channel)?;
    let (mut tx, company) = state.tenant(&claims).await?;
    let name = body.name.as_deref().unwrap_or_default();
    let new = teams::put_channel(&mut tx, company, (&team, &channel), name, body.enabled).await?;
    let stored = teams::channels(&mut tx, company, Some((&team, &channel)), None, 1).await?;
    let stored = stored.into_iter().next().ok_or_else(Problem::defect)?;
    let place = format!("{team}/{channel}");
    if stored.enabled {
        let watch = vec![("channel".to_owned(), place.clone())];
        let mut jobs = subscriptions::ensure_jobs(company, &watch, &claims.sub, 8)?;
        jobs.push(channel_job(company, &team, &channel, SyncMode::Delta, &claims.sub, Trigger::Sweep)?);
        enqueue_many(&mut tx, jobs).await?;
    }
    let details = json!({ "enabled": stored.enabled, "new": new });
    let reason = actor.reason(None)?;
    actor.record(&mut tx, company, "channel.put", format!("channel:{place}"), reason, details).await?;
    tx.commit().await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(ChannelBody::from(stored))).into_response())
}

/// Registers a chat, or switches it on or off. An enabled one is read and subscribed to at once
#[utoipa::path(put, path = "/api/teams/chats/{chatId}", tag = "messages", params(("chatId" = String, Path)),
    request_body = PutPlace, responses(
        (status = 200, description = "It was changed", body = ChatBody),
        (status = 201, description = "It was registered", body = ChatBody),
    ))]
pub async fn put_chat(
    State(state): State<ApiState>,
    Admin(claims): Admin,
    Path(chat): Path<String>,
    actor: Actor,
    Json(body): Json<PutPlace>,
) -> Answer<Response> {
    id("chatId", &chat)?;
    let (mut tx, company) = state.tenant(&claims).await?;
    let topic = body.name.as_deref().unwrap_or_default();
    let new = teams::put_chat(&mut tx, company, &chat, ("", topic), body.enabled).await?;
    let stored = teams::chats(&mut tx, company, Some(&chat), None, 1).await?;
    let stored = stored.into_iter().next().ok_or_else(Problem::defect)?;
    if stored.enabled {
        let watch = vec![("chat".to_owned(), chat.clone())];
        let mut jobs = subscriptions::ensure_jobs(company, &watch, &claims.sub, 8)?;
        jobs.push(chat_job(company, &chat, SyncMode::Delta, &claims.sub, Trigger::Sweep)?);
        enqueue_many(&mut tx, jobs).await?;
    }
    let details = json!({ "enabled": stored.enabled, "new": new });
    let reason = actor.reason(None)?;
    actor.record(&mut tx, company, "chat.put", format!("chat:{chat}"), reason, details).await?;
    tx.commit().await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(ChatBody::from(stored))).into_response())
}
