//! Messages and folders as Outlook sends them: every field optional, unknown ones ignored.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::folders::MailFolder;
use crate::page::{count, cut, instant, switch};

/// A person or group in a header line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct MailAddress {
    /// Name for people.
    pub name: Option<String>,
    /// Address.
    pub address: Option<String>,
}

/// An attachment without its content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    /// Id within the message.
    #[serde(default)]
    pub id: String,
    /// File name.
    pub name: Option<String>,
    /// MIME type.
    pub content_type: Option<String>,
    /// Bytes; Outlook counts its own wrapping too.
    #[serde(default, deserialize_with = "count")]
    pub size: Option<i64>,
    /// Shown inside the body.
    #[serde(default, deserialize_with = "switch")]
    pub is_inline: Option<bool>,
}

/// A message. What was not reported is `None` and keeps its stored value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailMessage {
    /// Immutable id.
    pub id: String,
    /// `deleted` or `changed` where the feed names it as gone.
    pub removed: Option<String>,
    /// Folder.
    pub folder_id: Option<String>,
    /// `Message-ID` of the mail itself.
    pub internet_message_id: Option<String>,
    /// Conversation.
    pub conversation_id: Option<String>,
    /// Subject.
    pub subject: Option<String>,
    /// Author.
    pub from: Option<MailAddress>,
    /// Who sent it for the author.
    pub sender: Option<MailAddress>,
    /// Recipients.
    pub to: Vec<MailAddress>,
    /// Copies.
    pub cc: Vec<MailAddress>,
    /// Blind copies.
    pub bcc: Vec<MailAddress>,
    /// First 255 characters.
    pub body_preview: Option<String>,
    /// `html` or `text`.
    pub body_type: Option<String>,
    /// Body, cut at the limit.
    pub body: Option<String>,
    /// There was more of it.
    pub body_truncated: bool,
    /// It has attachments that are not inline.
    pub has_attachments: Option<bool>,
    /// Their metadata, when asked for.
    pub attachments: Vec<Attachment>,
    /// Read.
    pub is_read: Option<bool>,
    /// Not sent yet.
    pub is_draft: Option<bool>,
    /// `low`, `normal`, `high`.
    pub importance: Option<String>,
    /// Categories.
    pub categories: Vec<String>,
    /// Version.
    pub e_tag: Option<String>,
    /// Arrival.
    pub received_at: Option<DateTime<Utc>>,
    /// Departure.
    pub sent_at: Option<DateTime<Utc>>,
    /// Creation.
    pub created_at: Option<DateTime<Utc>>,
    /// Last change.
    pub modified_at: Option<DateTime<Utc>>,
    /// Address for people.
    pub web_url: Option<String>,
    /// Recipients were reported: a report without them says nothing of them.
    pub lists_reported: bool,
}

#[derive(Deserialize)]
struct Recipient {
    #[serde(rename = "emailAddress")]
    address: Option<MailAddress>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    content_type: Option<String>,
    content: Option<String>,
}

#[derive(Deserialize)]
struct Removed {
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    id: Option<String>,
    #[serde(rename = "@removed")]
    removed: Option<Removed>,
    #[serde(rename = "@odata.etag")]
    e_tag: Option<String>,
    parent_folder_id: Option<String>,
    internet_message_id: Option<String>,
    conversation_id: Option<String>,
    subject: Option<String>,
    from: Option<Recipient>,
    sender: Option<Recipient>,
    to_recipients: Option<Vec<Recipient>>,
    cc_recipients: Option<Vec<Recipient>>,
    bcc_recipients: Option<Vec<Recipient>>,
    body_preview: Option<String>,
    body: Option<Body>,
    #[serde(default, deserialize_with = "switch")]
    has_attachments: Option<bool>,
    attachments: Option<Vec<Attachment>>,
    #[serde(default, deserialize_with = "switch")]
    is_read: Option<bool>,
    #[serde(default, deserialize_with = "switch")]
    is_draft: Option<bool>,
    importance: Option<String>,
    categories: Option<Vec<String>>,
    #[serde(default, deserialize_with = "instant")]
    received_date_time: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "instant")]
    sent_date_time: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "instant")]
    created_date_time: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "instant")]
    last_modified_date_time: Option<DateTime<Utc>>,
    web_link: Option<String>,
}

fn addresses(recipients: Option<Vec<Recipient>>) -> Vec<MailAddress> {
    recipients.unwrap_or_default().into_iter().filter_map(|r| r.address).collect()
}

/// Reads one message; its body is cut at `body_limit` bytes.
///
/// # Errors
/// Why it cannot be read: it has no id, or a field of the wrong type.
pub fn read_message(raw: &str, body_limit: usize) -> Result<MailMessage, String> {
    let shape: Shape = serde_json::from_str(raw).map_err(|e| e.to_string())?;
    let id = shape.id.filter(|id| !id.is_empty()).ok_or("the message has no id")?;
    let (body_type, mut body) = shape.body.map_or((None, None), |b| (b.content_type, b.content));
    let body_truncated = body.as_mut().is_some_and(|body| cut(body, body_limit));
    Ok(MailMessage {
        id,
        removed: shape.removed.map(|removed| removed.reason.unwrap_or_else(|| "deleted".to_owned())),
        folder_id: shape.parent_folder_id,
        internet_message_id: shape.internet_message_id,
        conversation_id: shape.conversation_id,
        subject: shape.subject,
        from: shape.from.and_then(|r| r.address),
        sender: shape.sender.and_then(|r| r.address),
        lists_reported: shape.to_recipients.is_some(),
        to: addresses(shape.to_recipients),
        cc: addresses(shape.cc_recipients),
        bcc: addresses(shape.bcc_recipients),
        body_preview: shape.body_preview,
        body_type: body_type.map(|kind| kind.to_ascii_lowercase()),
        body,
        body_truncated,
        has_attachments: shape.has_attachments,
        attachments: shape.attachments.unwrap_or_default(),
        is_read: shape.is_read,
        is_draft: shape.is_draft,
        importance: shape.importance,
        categories: shape.categories.unwrap_or_default(),
        e_tag: shape.e_tag,
        received_at: shape.received_date_time,
        sent_at: shape.sent_date_time,
        created_at: shape.created_date_time,
        modified_at: shape.last_modified_date_time,
        web_url: shape.web_link,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FolderShape {
    id: Option<String>,
    #[serde(rename = "@removed")]
    removed: Option<Removed>,
    parent_folder_id: Option<String>,
    display_name: Option<String>,
    #[serde(default, deserialize_with = "count")]
    total_item_count: Option<i64>,
    #[serde(default, deserialize_with = "count")]
    unread_item_count: Option<i64>,
    #[serde(default, deserialize_with = "count")]
    child_folder_count: Option<i64>,
    well_known_name: Option<String>,
    #[serde(default, deserialize_with = "switch")]
    is_hidden: Option<bool>,
}

/// Reads one folder.
///
/// # Errors
/// Why it cannot be read.
pub fn read_folder(raw: &str) -> Result<MailFolder, String> {
    let shape: FolderShape = serde_json::from_str(raw).map_err(|e| e.to_string())?;
    let id = shape.id.filter(|id| !id.is_empty()).ok_or("the folder has no id")?;
    Ok(MailFolder {
        id,
        removed: shape.removed.is_some(),
        parent_id: shape.parent_folder_id,
        name: shape.display_name,
        total_item_count: shape.total_item_count,
        unread_item_count: shape.unread_item_count,
        child_folder_count: shape.child_folder_count,
        well_known_name: shape.well_known_name,
        is_hidden: shape.is_hidden,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reports_are_partial() {
        let raw = r#"{"id":"m","@odata.etag":"W/\"1\"","isRead":"true","subject":"S","newMember":{"x":1}}"#;
        let read = read_message(raw, 10).expect("a message");
        assert_eq!(
            (read.is_read, read.subject.as_deref(), read.lists_reported),
            (Some(true), Some("S"), false)
        );
        let gone = read_message(r#"{"id":"m","@removed":{"reason":"changed"}}"#, 10).expect("a message");
        assert_eq!(gone.removed.as_deref(), Some("changed"));
        assert!(read_message(r#"{"subject":"no id"}"#, 10).is_err());
        assert!(read_message(r#"{"id":"m","subject":{}}"#, 10).is_err());
    }

    #[test]
    fn bodies_are_cut_at_a_character() {
        let raw = r#"{"id":"m","body":{"contentType":"HTML","content":"aé€"},"toRecipients":[{}]}"#;
        let read = read_message(raw, 4).expect("a message");
        assert_eq!((read.body.as_deref(), read.body_truncated), (Some("aé"), true));
        assert_eq!((read.body_type.as_deref(), read.lists_reported), (Some("html"), true));
        assert!(!read_message(raw, 6).expect("a message").body_truncated);
    }

    proptest! {
        #[test]
        fn reading_never_panics(raw in "\\PC{0,200}") {
            let _ = read_message(&raw, 8);
            let _ = read_folder(&raw);
        }
    }
}
