//! `GET /api/messages`, `GET /api/messages/{id}`

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::messages::{self, MessageFilter, MessageRow};
use utoipa::{IntoParams, ToSchema};
use web::auth::Viewer;
use web::json::Json;
use web::page::Page;
use web::path::Path;
use web::problem::{FieldError, Problem};
use web::query::Query;

use crate::error::Answer;
use crate::state::ApiState;

const SOURCES: [&str; 3] = ["mail", "channel", "chat"];

/// A mail, or a message of a Teams channel or chat.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageBody {
    id: i64,
    /// `mail`, `channel` or `chat`
    source: String,
    /// Mailbox, of a mail.
    user_id: Option<String>,
    folder_id: Option<String>,
    team_id: Option<String>,
    channel_id: Option<String>,
    chat_id: Option<String>,
    /// The provider's id; of a mail the immutable one.
    provider_id: String,
    /// Root message of a reply in a channel.
    reply_to_id: Option<String>,
    internet_message_id: Option<String>,
    conversation_id: Option<String>,
    /// Of Teams: `message`, `systemEventMessage`, ...
    message_type: Option<String>,
    subject: Option<String>,
    sender_name: Option<String>,
    sender_address: Option<String>,
    sender_user_id: Option<String>,
    /// `{to, cc, bcc: [{name, address}]}`
    #[schema(value_type = Object)]
    recipients: Option<Value>,
    body_preview: Option<String>,
    /// `html` or `text`
    body_type: Option<String>,
    /// Of one message, where the mailbox's policy keeps bodies; null in lists.
    body: Option<String>,
    body_truncated: bool,
    has_attachments: bool,
    /// `[{id, name, content_type, size, is_inline}]`
    #[schema(value_type = Vec<Object>)]
    attachments: Value,
    importance: Option<String>,
    categories: Vec<String>,
    is_read: Option<bool>,
    is_draft: Option<bool>,
    e_tag: Option<String>,
    web_url: Option<String>,
    received_at: Option<DateTime<Utc>>,
    sent_at: Option<DateTime<Utc>>,
    modified_at: Option<DateTime<Utc>>,
    edited_at: Option<DateTime<Utc>>,
    deleted_at: Option<DateTime<Utc>>,
    /// Received, else created at the provider: the order of lists.
    occurred_at: DateTime<Utc>,
}

impl From<MessageRow> for MessageBody {
    fn from(m: MessageRow) -> Self {
        Self {
            id: m.id,
            source: m.source,
            user_id: m.user_id,
            folder_id: m.folder_id,
            team_id: m.team_id,
            channel_id: m.channel_id,
            chat_id: m.chat_id,
            provider_id: m.provider_id,
            reply_to_id: Some(m.reply_to_id).filter(|id| !id.is_empty()),
            internet_message_id: m.internet_message_id,
            conversation_id: m.conversation_id,
            message_type: m.message_type,
            subject: m.subject,
            sender_name: m.sender_name,
            sender_address: m.sender_address,
            sender_user_id: m.sender_user_id,
            recipients: m.recipients,
            body_preview: m.body_preview,
            body_type: m.body_type,
            body: m.body,
            body_truncated: m.body_truncated,
            has_attachments: m.has_attachments,
            attachments: m.attachments,
            importance: m.importance,
            categories: m.categories,
            is_read: m.is_read,
            is_draft: m.is_draft,
            e_tag: m.e_tag,
            web_url: m.web_url,
            received_at: m.received_at,
            sent_at: m.sent_at,
            modified_at: m.modified_at,
            edited_at: m.edited_at,
            deleted_at: m.deleted_at,
            occurred_at: m.occurred_at,
        }
    }
}

/// Which messages to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MessageQuery {
    /// Only `mail`, `channel` or `chat`.
    source: Option<String>,
    /// Only this mailbox: user id or address.
    mailbox: Option<String>,
    /// Only this folder: id or well-known name, such as `inbox`.
    folder: Option<String>,
    /// Only this channel.
    channel: Option<String>,
    /// Only this chat.
    chat: Option<String>,
    /// Only what occurred since.
    since: Option<DateTime<Utc>>,
    /// Only what has this in subject, preview, sender's name or address, without case.
    q: Option<String>,
    /// Also deleted ones (false).
    #[serde(default)]
    deleted: bool,
    /// Items on the page, 1 to 200 (50).
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Messages, newest first, without their bodies
#[utoipa::path(get, path = "/api/messages", tag = "messages", params(MessageQuery), responses(
    (status = 200, description = "A page of messages", body = Page<MessageBody>),
))]
pub async fn list(
    State(state): State<ApiState>,
    Viewer(claims): Viewer,
    Query(query): Query<MessageQuery>,
) -> Answer<Json<Page<MessageBody>>> {
    if query.source.as_deref().is_some_and(|source| !SOURCES.contains(&source)) {
        let message = format!("is one of {}", SOURCES.join(", "));
        return Err(Problem::unprocessable(vec![FieldError::new("source", message)]).into());
    }
    let page = crate::routes::page(query.limit, query.cursor)?;
    let filter = MessageFilter {
        source: query.source,
        mailbox: query.mailbox,
        folder: query.folder,
        channel: query.channel,
        chat: query.chat,
        since: query.since,
        q: query.q.filter(|q| !q.is_empty()),
        deleted: query.deleted,
        before: page.after()?,
    };
    let (mut tx, company) = state.tenant(&claims).await?;
    let rows = messages::list(&mut tx, company, &filter, page.fetch()).await?;
    Ok(Json(Page::cut(&page, rows, |m| (m.occurred_at, m.id)).map(MessageBody::from)))
}

/// One message, with its body where policy keeps it
#[utoipa::path(get, path = "/api/messages/{id}", tag = "messages", params(("id" = i64, Path)), responses(
    (status = 200, description = "The message", body = MessageBody),
    (status = 404, description = "No such message", body = web::problem::ProblemBody),
))]
pub async fn get(
    State(state): State<ApiState>,
    Viewer(claims): Viewer,
    Path(id): Path<i64>,
) -> Answer<Json<MessageBody>> {
    let (mut tx, company) = state.tenant(&claims).await?;
    let row = messages::get(&mut tx, company, id).await?;
    let row = row.ok_or_else(|| Problem::not_found(format!("there is no message {id}")))?;
    Ok(Json(MessageBody::from(row)))
}
