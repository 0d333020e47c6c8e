//! The read side of messages.

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use serde_json::Value;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// A message as people see it.
#[derive(Debug, Clone)]
pub struct MessageRow {
    /// Id.
    pub id: i64,
    /// `mail`, `channel` or `chat`.
    pub source: String,
    /// Mailbox.
    pub user_id: Option<String>,
    /// Folder.
    pub folder_id: Option<String>,
    /// Team.
    pub team_id: Option<String>,
    /// Channel.
    pub channel_id: Option<String>,
    /// Chat.
    pub chat_id: Option<String>,
    /// Provider's id.
    pub provider_id: String,
    /// Root message of a reply, else empty.
    pub reply_to_id: String,
    /// RFC 5322 Message-ID.
    pub internet_message_id: Option<String>,
    /// Thread.
    pub conversation_id: Option<String>,
    /// Of Teams: `message`, ...
    pub message_type: Option<String>,
    /// Subject.
    pub subject: Option<String>,
    /// Sender's name.
    pub sender_name: Option<String>,
    /// Sender's address.
    pub sender_address: Option<String>,
    /// Sender's object id.
    pub sender_user_id: Option<String>,
    /// `{to, cc, bcc}`.
    pub recipients: Option<Value>,
    /// First characters.
    pub body_preview: Option<String>,
    /// `html` or `text`.
    pub body_type: Option<String>,
    /// Body; only of one message, and where policy keeps it.
    pub body: Option<String>,
    /// There was more of it.
    pub body_truncated: bool,
    /// It has some.
    pub has_attachments: bool,
    /// Metadata.
    pub attachments: Value,
    /// `low`, `normal`, `high`, `urgent`.
    pub importance: Option<String>,
    /// Categories.
    pub categories: Vec<String>,
    /// It was read.
    pub is_read: Option<bool>,
    /// It is a draft.
    pub is_draft: Option<bool>,
    /// Changes with every change.
    pub e_tag: Option<String>,
    /// For a browser.
    pub web_url: Option<String>,
    /// Received.
    pub received_at: Option<DateTime<Utc>>,
    /// Sent.
    pub sent_at: Option<DateTime<Utc>>,
    /// Last modified.
    pub modified_at: Option<DateTime<Utc>>,
    /// Text last edited.
    pub edited_at: Option<DateTime<Utc>>,
    /// Deleted.
    pub deleted_at: Option<DateTime<Utc>>,
    /// Order of listings.
    pub occurred_at: DateTime<Utc>,
}

/// Which messages to list.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    /// Only this source.
    pub source: Option<String>,
    /// Only this mailbox: user id or address.
    pub mailbox: Option<String>,
    /// Only this folder: id or well-known name.
    pub folder: Option<String>,
    /// Only this channel.
    pub channel: Option<String>,
    /// Only this chat.
    pub chat: Option<String>,
    /// Only what occurred since.
    pub since: Option<DateTime<Utc>>,
    /// Only what has this in subject, preview, sender's name or address, without case.
    pub q: Option<String>,
    /// Also deleted ones.
    pub deleted: bool,
    /// Before (occurred_at, id) of the previous page's last row.
    pub before: Option<(DateTime<Utc>, i64)>,
}

/// Messages of the company, newest first, without their bodies.
///
/// # Errors
/// As every statement.
pub async fn list(
    tx: &mut Tx,
    company: CompanyId,
    filter: &MessageFilter,
    limit: i64,
) -> Result<Vec<MessageRow>> {
    let (at, id) = filter.before.unzip();
    sqlx::query_as!(
        MessageRow,
        r#"SELECT id, source, user_id, folder_id, team_id, channel_id, chat_id, provider_id, reply_to_id,
               internet_message_id, conversation_id, message_type, subject, sender_name, sender_address,
               sender_user_id, recipients, body_preview, body_type, NULL::text AS body, body_truncated,
               has_attachments, attachments, importance, categories, is_read, is_draft, e_tag, web_url, received_at,
               sent_at, modified_at, edited_at, deleted_at, occurred_at
           FROM messages m
           WHERE company_id = $1 AND ($2::text IS NULL OR source = $2)
               AND ($3::text IS NULL OR user_id = $3 OR user_id IN (SELECT b.user_id FROM mailboxes b
                   WHERE b.company_id = $1 AND lower(b.address) = lower($3)))
               AND ($4::text IS NULL OR folder_id = $4 OR EXISTS (SELECT FROM mail_folders f WHERE f.company_id = $1
                   AND f.user_id = m.user_id AND f.folder_id = m.folder_id AND f.well_known_name = lower($4)))
               AND ($5::text IS NULL OR channel_id = $5) AND ($6::text IS NULL OR chat_id = $6)
               AND ($7::timestamptz IS NULL OR occurred_at >= $7)
               AND ($8::text IS NULL OR strpos(lower(concat_ws(' ', subject, body_preview, sender_name,
                   sender_address)), lower($8)) > 0)
               AND ($9 OR deleted_at IS NULL)
               AND ($10::timestamptz IS NULL OR (occurred_at, id) < ($10, $11::bigint))
           ORDER BY occurred_at DESC, id DESC LIMIT $12"#,
        company.uuid(),
        filter.source,
        filter.mailbox,
        filter.folder,
        filter.channel,
        filter.chat,
        filter.since,
        filter.q,
        filter.deleted,
        at,
        id,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing messages")
}

/// One message with its body.
///
/// # Errors
/// As every statement.
pub async fn get(tx: &mut Tx, company: CompanyId, id: i64) -> Result<Option<MessageRow>> {
    sqlx::query_as!(
        MessageRow,
        "SELECT id, source, user_id, folder_id, team_id, channel_id, chat_id, provider_id, reply_to_id,
             internet_message_id, conversation_id, message_type, subject, sender_name, sender_address, sender_user_id,
             recipients, body_preview, body_type, body, body_truncated, has_attachments, attachments, importance,
             categories, is_read, is_draft, e_tag, web_url, received_at, sent_at, modified_at, edited_at, deleted_at,
             occurred_at
         FROM messages WHERE company_id = $1 AND id = $2",
        company.uuid(),
        id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading a message")
}
