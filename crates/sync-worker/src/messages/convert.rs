//! Messages of the wire as rows.

use chrono::{DateTime, Utc};
use contracts::graph::v1 as pb;
use serde_json::{Value, json};
use store::messages::NewMessage;
use store::quarantine::NewQuarantine;

use crate::connector::moment;

/// Characters of a preview that is made here.
const PREVIEW: usize = 255;

/// A mail of a mailbox, as far as it was reported.
pub(super) fn mail(user_id: &str, wire: pb::MailMessage) -> NewMessage {
    let lists = wire.lists_reported;
    let sender = wire.from.or(wire.sender);
    NewMessage {
        provider_id: wire.id,
        user_id: Some(user_id.to_owned()),
        folder_id: wire.folder_id,
        internet_message_id: wire.internet_message_id,
        conversation_id: wire.conversation_id,
        subject: wire.subject,
        sender_name: sender.as_ref().map(|s| s.name.clone()),
        sender_address: sender.map(|s| s.address),
        recipients: lists.then(
            || json!({ "to": addresses(&wire.to), "cc": addresses(&wire.cc), "bcc": addresses(&wire.bcc) }),
        ),
        body_preview: wire.body_preview,
        body_type: wire.body_type,
        body: wire.body,
        body_truncated: wire.body_truncated,
        has_attachments: wire.has_attachments,
        attachments: Some(files(&wire.attachments)),
        importance: wire.importance,
        categories: lists.then_some(wire.categories),
        is_read: wire.is_read,
        is_draft: wire.is_draft,
        e_tag: wire.e_tag,
        web_url: wire.web_url,
        received_at: wire.received_at_us.and_then(moment),
        sent_at: wire.sent_at_us.and_then(moment),
        created_at: wire.created_at_us.and_then(moment),
        modified_at: wire.modified_at_us.and_then(moment),
        ..NewMessage::default()
    }
}

/// A message of a channel or chat.
pub(super) fn teams(wire: pb::TeamsMessage) -> NewMessage {
    let place = wire.place.unwrap_or_default();
    let some = |text: String| (!text.is_empty()).then_some(text);
    let preview = preview(&wire.body, &wire.body_type);
    NewMessage {
        provider_id: wire.id,
        conversation_id: some(wire.reply_to_id.clone()),
        reply_to_id: wire.reply_to_id,
        team_id: some(place.team_id),
        channel_id: some(place.channel_id),
        chat_id: some(place.chat_id),
        message_type: some(wire.message_type),
        subject: some(wire.subject),
        sender_name: some(wire.from_name),
        sender_user_id: some(wire.from_user_id),
        body_preview: some(preview),
        body_type: some(wire.body_type),
        body: Some(wire.body),
        body_truncated: wire.body_truncated,
        has_attachments: Some(!wire.attachments.is_empty()),
        attachments: Some(files(&wire.attachments)),
        importance: some(wire.importance),
        e_tag: some(wire.e_tag),
        web_url: some(wire.web_url),
        created_at: moment(wire.created_at_us),
        modified_at: wire.modified_at_us.and_then(moment),
        edited_at: wire.edited_at_us.and_then(moment),
        deleted_at: wire.deleted_at_us.and_then(moment),
        ..NewMessage::default()
    }
}

/// What could not be read, for quarantine.
pub(super) fn poison(source: &str, resource_id: &str, items: &[pb::PoisonItem]) -> Vec<NewQuarantine> {
    items
        .iter()
        .map(|p| NewQuarantine {
            source: source.to_owned(),
            resource_id: resource_id.to_owned(),
            item_id: p.item_id.clone(),
            code: "poison".to_owned(),
            reason: p.reason.clone(),
            raw: Some(p.raw_json.clone()),
        })
        .collect()
}

/// When the provider dates the change.
pub(super) fn changed_at(message: &NewMessage) -> Option<DateTime<Utc>> {
    message.deleted_at.or(message.modified_at).or(message.received_at).or(message.created_at)
}

fn addresses(list: &[pb::MailAddress]) -> Vec<Value> {
    list.iter().map(|a| json!({ "name": a.name, "address": a.address })).collect()
}

fn files(list: &[pb::MailAttachment]) -> Value {
    let one = |a: &pb::MailAttachment| {
        json!({ "id": a.id, "name": a.name, "content_type": a.content_type, "size": a.size,
            "is_inline": a.is_inline })
    };
    list.iter().map(one).collect()
}

/// The first characters of a body; of HTML without its tags.
fn preview(body: &str, body_type: &str) -> String {
    let html = body_type.eq_ignore_ascii_case("html");
    let mut inside = false;
    let text: String = body
        .chars()
        .filter_map(|c| match c {
            '<' if html => {
                inside = true;
                Some(' ')
            }
            '>' if html && inside => {
                inside = false;
                None
            }
            c => (!inside).then_some(c),
        })
        .take(PREVIEW * 4)
        .collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(PREVIEW).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn previews_are_text() {
        assert_eq!(preview("<p>Hello <b>you</b></p>\n<br/>there", "html"), "Hello you there");
        assert_eq!(preview("1 < 2", "text"), "1 < 2");
        assert_eq!(preview(&"ä".repeat(400), "text").chars().count(), PREVIEW);
    }

    #[test]
    fn a_partial_report_says_nothing_of_recipients() {
        let row = mail("u", pb::MailMessage { id: "1".into(), ..pb::MailMessage::default() });
        assert!(row.recipients.is_none() && row.categories.is_none() && row.subject.is_none());
    }
}
