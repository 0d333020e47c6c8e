//! Chat messages as Teams sends them (chatMessage, Graph v1.0).

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use crate::mail::Attachment;
use crate::page::{cut, instant};

/// Where a message stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TeamsPlace {
    /// A channel of a team.
    Channel {
        /// Team.
        team: String,
        /// Channel.
        channel: String,
    },
    /// A chat.
    Chat(String),
}

/// A message. A deleted one stays, without a body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TeamsMessage {
    /// Id, unique in its place.
    pub id: String,
    /// Root message that this replies to.
    pub reply_to_id: Option<String>,
    /// `message`, `systemEventMessage`, or a word that is newer than this code.
    pub message_type: String,
    /// Subject.
    pub subject: Option<String>,
    /// `html` or `text`.
    pub body_type: String,
    /// Body, cut at the limit.
    pub body: String,
    /// There was more of it.
    pub body_truncated: bool,
    /// Author, when it is a person.
    pub from_user_id: Option<String>,
    /// Author's name, of a person, application or device.
    pub from_name: Option<String>,
    /// `normal`, `high`, `urgent`.
    pub importance: Option<String>,
    /// Files and cards, without their content.
    pub attachments: Vec<Attachment>,
    /// Version.
    pub e_tag: Option<String>,
    /// Creation.
    pub created_at: Option<DateTime<Utc>>,
    /// Last change of any kind, reactions too.
    pub modified_at: Option<DateTime<Utc>>,
    /// Last change of the text.
    pub edited_at: Option<DateTime<Utc>>,
    /// Deletion.
    pub deleted_at: Option<DateTime<Utc>>,
    /// Address for people.
    pub web_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    id: Option<String>,
    reply_to_id: Option<String>,
    message_type: Option<String>,
    subject: Option<String>,
    body: Option<Body>,
    from: Option<Value>,
    importance: Option<String>,
    attachments: Option<Vec<Attachment>>,
    etag: Option<String>,
    #[serde(default, deserialize_with = "instant")]
    created_date_time: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "instant")]
    last_modified_date_time: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "instant")]
    last_edited_date_time: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "instant")]
    deleted_date_time: Option<DateTime<Utc>>,
    web_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    content_type: Option<String>,
    content: Option<String>,
}

/// Reads one message; its body is cut at `body_limit` bytes.
///
/// # Errors
/// Why it cannot be read: it has no id, or a field of the wrong type.
pub fn read_teams_message(raw: &str, body_limit: usize) -> Result<TeamsMessage, String> {
    let shape: Shape = serde_json::from_str(raw).map_err(|e| e.to_string())?;
    let id = shape.id.filter(|id| !id.is_empty()).ok_or("the message has no id")?;
    let (body_type, body) = shape.body.map_or((None, None), |b| (b.content_type, b.content));
    let mut body = body.unwrap_or_default();
    let body_truncated = cut(&mut body, body_limit);
    // One of application, device, conversation and user is set, the others are null.
    let from = shape.from.unwrap_or_default();
    let name = ["user", "application", "device", "conversation"]
        .iter()
        .find_map(|kind| from.get(kind)?.get("displayName")?.as_str().map(str::to_owned));
    let user_id = from.get("user").and_then(|user| user.get("id")?.as_str().map(str::to_owned));
    Ok(TeamsMessage {
        id,
        reply_to_id: shape.reply_to_id.filter(|id| !id.is_empty()),
        message_type: shape.message_type.unwrap_or_else(|| "message".to_owned()),
        subject: shape.subject,
        body_type: body_type.unwrap_or_default().to_ascii_lowercase(),
        body,
        body_truncated,
        from_user_id: user_id,
        from_name: name,
        importance: shape.importance,
        attachments: shape.attachments.unwrap_or_default(),
        e_tag: shape.etag,
        created_at: shape.created_date_time,
        modified_at: shape.last_modified_date_time,
        edited_at: shape.last_edited_date_time,
        deleted_at: shape.deleted_date_time,
        web_url: shape.web_url,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authors_of_all_kinds() {
        let raw =
            r#"{"id":"1","from":{"application":null,"user":{"id":"u","displayName":"Robin"}},"etag":"9"}"#;
        let read = read_teams_message(raw, 10).expect("a message");
        assert_eq!((read.from_user_id.as_deref(), read.from_name.as_deref()), (Some("u"), Some("Robin")));
        let raw =
            r#"{"id":"1","from":{"application":{"displayName":"Bot"},"user":null},"messageType":"newKind"}"#;
        let read = read_teams_message(raw, 10).expect("a message");
        assert_eq!((read.from_user_id, read.from_name.as_deref()), (None, Some("Bot")));
        assert_eq!(read.message_type, "newKind");
        assert!(read_teams_message(r#"{"id":"1","from":null,"body":null}"#, 10).is_ok());
        assert!(read_teams_message(r#"{"body":{}}"#, 10).is_err());
    }
}
