//! Writing messages, a page at a time.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::Place;
use crate::error::{Doing, Result, StoreError};
use crate::pool::Tx;

/// A message as the provider reported it; what it left out keeps its stored value.
#[derive(Debug, Clone, Default, Serialize)]
pub struct NewMessage {
    /// Provider's id.
    pub provider_id: String,
    /// Root message of a reply in a channel, else empty.
    pub reply_to_id: String,
    /// Mailbox.
    pub user_id: Option<String>,
    /// Folder of a mailbox.
    pub folder_id: Option<String>,
    /// Team of a channel.
    pub team_id: Option<String>,
    /// Channel.
    pub channel_id: Option<String>,
    /// Chat.
    pub chat_id: Option<String>,
    /// RFC 5322 Message-ID.
    pub internet_message_id: Option<String>,
    /// Thread.
    pub conversation_id: Option<String>,
    /// Of Teams: `message`, `systemEventMessage`, ...
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
    /// First characters of the body.
    pub body_preview: Option<String>,
    /// `html` or `text`.
    pub body_type: Option<String>,
    /// Body.
    pub body: Option<String>,
    /// There was more of it.
    pub body_truncated: bool,
    /// It has some.
    pub has_attachments: Option<bool>,
    /// Metadata.
    pub attachments: Option<Value>,
    /// `low`, `normal`, `high`, `urgent`.
    pub importance: Option<String>,
    /// Categories.
    pub categories: Option<Vec<String>>,
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
    /// Created at the provider.
    #[serde(rename = "born_at")]
    pub created_at: Option<DateTime<Utc>>,
    /// Last modified.
    pub modified_at: Option<DateTime<Utc>>,
    /// Text last edited.
    pub edited_at: Option<DateTime<Utc>>,
    /// Deleted: it stays as a tombstone without a body.
    pub deleted_at: Option<DateTime<Utc>>,
}

/// What policy keeps of a message.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// Bodies.
    pub bodies: bool,
    /// Metadata of attachments.
    pub attachments: bool,
}

/// What a page did.
#[derive(Debug, Clone, Copy, Default)]
pub struct PageEffect {
    /// Rows that are new.
    pub added: i64,
    /// Rows that changed.
    pub updated: i64,
    /// Rows that became tombstones.
    pub deleted: i64,
    /// Rows that were written at all, for their generation or otherwise.
    pub written: i64,
}

/// Stores folded messages (each at most once). A row that says the same is written once an enumeration. An older report
/// than what is stored (by modification) leaves it alone, and so does one without the deletion of a tombstone of Teams.
///
/// # Errors
/// As every statement.
pub async fn apply(
    tx: &mut Tx,
    place: &Place,
    generation: i64,
    kept: Kept,
    messages: &[NewMessage],
) -> Result<PageEffect> {
    if messages.is_empty() {
        return Ok(PageEffect::default());
    }
    let rows = storable(
        serde_json::to_value(messages)
            .map_err(|e| StoreError::Malformed { what: "messages", value: e.to_string() })?,
    );
    sqlx::query_as!(
        PageEffect,
        r#"WITH written AS (
            INSERT INTO messages AS cur (company_id, source, place, provider_id, reply_to_id, user_id, folder_id,
                team_id, channel_id, chat_id, internet_message_id, conversation_id, message_type, subject, sender_name,
                sender_address, sender_user_id, recipients, body_preview, body_type, body, body_truncated,
                has_attachments, attachments, importance, categories, is_read, is_draft, e_tag, web_url, received_at,
                sent_at, modified_at, edited_at, deleted_at, occurred_at, generation)
            SELECT $1, $2, $3, t.provider_id, t.reply_to_id, t.user_id, t.folder_id, t.team_id, t.channel_id,
                t.chat_id, t.internet_message_id, t.conversation_id, t.message_type, t.subject, t.sender_name,
                t.sender_address, t.sender_user_id, t.recipients, t.body_preview, t.body_type,
                CASE WHEN $5 AND t.deleted_at IS NULL THEN t.body END, t.body_truncated,
                coalesce(t.has_attachments, false),
                CASE WHEN $6 THEN coalesce(t.attachments, '[]') ELSE '[]' END, t.importance,
                coalesce(t.categories, '{}'), t.is_read, t.is_draft, t.e_tag, t.web_url, t.received_at, t.sent_at,
                t.modified_at, t.edited_at, t.deleted_at,
                coalesce(t.received_at, t.born_at, t.sent_at, t.modified_at, clock_timestamp()), $4
            FROM jsonb_to_recordset($7) AS t (provider_id text, reply_to_id text, user_id text, folder_id text,
                team_id text, channel_id text, chat_id text, internet_message_id text, conversation_id text,
                message_type text, subject text, sender_name text, sender_address text, sender_user_id text,
                recipients jsonb, body_preview text, body_type text, body text, body_truncated boolean,
                has_attachments boolean, attachments jsonb, importance text, categories text[], is_read boolean,
                is_draft boolean, e_tag text, web_url text, received_at timestamptz, sent_at timestamptz,
                born_at timestamptz, modified_at timestamptz, edited_at timestamptz, deleted_at timestamptz)
            ON CONFLICT (company_id, source, place, reply_to_id, provider_id) DO UPDATE SET
                folder_id = coalesce(excluded.folder_id, cur.folder_id),
                internet_message_id = coalesce(excluded.internet_message_id, cur.internet_message_id),
                conversation_id = coalesce(excluded.conversation_id, cur.conversation_id),
                message_type = coalesce(excluded.message_type, cur.message_type),
                subject = coalesce(excluded.subject, cur.subject),
                sender_name = coalesce(excluded.sender_name, cur.sender_name),
                sender_address = coalesce(excluded.sender_address, cur.sender_address),
                sender_user_id = coalesce(excluded.sender_user_id, cur.sender_user_id),
                recipients = coalesce(excluded.recipients, cur.recipients),
                body_preview = CASE WHEN excluded.deleted_at IS NULL
                    THEN coalesce(excluded.body_preview, cur.body_preview) END,
                body_type = coalesce(excluded.body_type, cur.body_type),
                body = CASE WHEN $5 AND excluded.deleted_at IS NULL THEN coalesce(excluded.body, cur.body) END,
                body_truncated = CASE WHEN excluded.body IS NULL THEN cur.body_truncated ELSE excluded.body_truncated END,
                has_attachments = excluded.has_attachments OR (excluded.e_tag IS NULL AND cur.has_attachments),
                attachments = CASE WHEN NOT $6 THEN '[]' WHEN excluded.e_tag IS NULL THEN cur.attachments
                    ELSE excluded.attachments END,
                importance = coalesce(excluded.importance, cur.importance),
                categories = CASE WHEN excluded.recipients IS NULL AND cur.source = 'mail' THEN cur.categories
                    ELSE excluded.categories END,
                is_read = coalesce(excluded.is_read, cur.is_read),
                is_draft = coalesce(excluded.is_draft, cur.is_draft),
                e_tag = coalesce(excluded.e_tag, cur.e_tag), web_url = coalesce(excluded.web_url, cur.web_url),
                received_at = coalesce(excluded.received_at, cur.received_at),
                sent_at = coalesce(excluded.sent_at, cur.sent_at),
                modified_at = coalesce(excluded.modified_at, cur.modified_at),
                edited_at = coalesce(excluded.edited_at, cur.edited_at),
                deleted_at = excluded.deleted_at,
                occurred_at = coalesce(excluded.received_at, cur.occurred_at),
                generation = greatest(cur.generation, excluded.generation), suspect = 0,
                updated_at = CASE WHEN
                    (cur.e_tag, cur.folder_id, cur.modified_at, cur.is_read, cur.subject, cur.edited_at, cur.deleted_at)
                    IS DISTINCT FROM
                    (coalesce(excluded.e_tag, cur.e_tag), coalesce(excluded.folder_id, cur.folder_id),
                     coalesce(excluded.modified_at, cur.modified_at), coalesce(excluded.is_read, cur.is_read),
                     coalesce(excluded.subject, cur.subject), coalesce(excluded.edited_at, cur.edited_at),
                     excluded.deleted_at)
                    THEN clock_timestamp() ELSE cur.updated_at END
            WHERE (cur.modified_at IS NULL OR excluded.modified_at IS NULL OR excluded.modified_at >= cur.modified_at
                    OR cur.source = 'mail')
                AND (cur.source = 'mail' OR cur.deleted_at IS NULL OR excluded.deleted_at IS NOT NULL)
                AND (cur.generation < excluded.generation OR cur.suspect <> 0 OR cur.deleted_at IS NOT NULL
                    OR ($5 AND cur.body IS NULL AND excluded.body IS NOT NULL) OR (NOT $5 AND cur.body IS NOT NULL)
                    OR (cur.e_tag, cur.folder_id, cur.modified_at, cur.is_read, cur.subject, cur.edited_at,
                        cur.deleted_at)
                    IS DISTINCT FROM
                    (coalesce(excluded.e_tag, cur.e_tag), coalesce(excluded.folder_id, cur.folder_id),
                     coalesce(excluded.modified_at, cur.modified_at), coalesce(excluded.is_read, cur.is_read),
                     coalesce(excluded.subject, cur.subject), coalesce(excluded.edited_at, cur.edited_at),
                     excluded.deleted_at))
            RETURNING xmax = 0 AS novel, deleted_at IS NOT NULL AS gone, updated_at >= transaction_timestamp() AS changed
        )
        SELECT count(*) FILTER (WHERE novel AND NOT gone) AS "added!",
            count(*) FILTER (WHERE NOT novel AND changed AND NOT gone) AS "updated!",
            count(*) FILTER (WHERE changed AND gone) AS "deleted!", count(*) AS "written!" FROM written"#,
        place.company.uuid(),
        place.source,
        place.id,
        generation,
        kept.bodies,
        kept.attachments,
        rows,
    )
    .fetch_one(tx.conn())
    .await
    .doing("storing messages")
}

/// PostgreSQL's text has no NUL.
fn storable(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains('\0') => Value::String(text.replace('\0', "\u{fffd}")),
        Value::Array(items) => Value::Array(items.into_iter().map(storable).collect()),
        Value::Object(fields) => Value::Object(fields.into_iter().map(|(k, v)| (k, storable(v))).collect()),
        other => other,
    }
}
