//! Mail from the client's words to the contract's, and back.

use chrono::{DateTime, Utc};
use contracts::graph::v1 as proto;
use graph_client::{Attachment, MailAddress, MailFolder, MailMessage, NewDraft, Window};

use crate::convert::micros;

fn address(address: MailAddress) -> proto::MailAddress {
    proto::MailAddress {
        name: address.name.unwrap_or_default(),
        address: address.address.unwrap_or_default(),
    }
}

fn addresses(list: Vec<MailAddress>) -> Vec<proto::MailAddress> {
    list.into_iter().map(address).collect()
}

pub(crate) fn attachment(attachment: Attachment) -> proto::MailAttachment {
    proto::MailAttachment {
        id: attachment.id,
        name: attachment.name.unwrap_or_default(),
        content_type: attachment.content_type.unwrap_or_default(),
        size: attachment.size.unwrap_or_default(),
        is_inline: attachment.is_inline.unwrap_or_default(),
    }
}

pub(crate) fn message(message: MailMessage) -> proto::MailMessage {
    proto::MailMessage {
        id: message.id,
        removed: message.removed.unwrap_or_default(),
        folder_id: message.folder_id,
        internet_message_id: message.internet_message_id,
        conversation_id: message.conversation_id,
        subject: message.subject,
        from: message.from.map(address),
        sender: message.sender.map(address),
        to: addresses(message.to),
        cc: addresses(message.cc),
        bcc: addresses(message.bcc),
        body_preview: message.body_preview,
        body_type: message.body_type,
        body: message.body,
        body_truncated: message.body_truncated,
        has_attachments: message.has_attachments,
        attachments: message.attachments.into_iter().map(attachment).collect(),
        is_read: message.is_read,
        is_draft: message.is_draft,
        importance: message.importance,
        categories: message.categories,
        e_tag: message.e_tag,
        received_at_us: message.received_at.map(micros),
        sent_at_us: message.sent_at.map(micros),
        created_at_us: message.created_at.map(micros),
        modified_at_us: message.modified_at.map(micros),
        web_url: message.web_url,
        lists_reported: message.lists_reported,
    }
}

pub(crate) fn messages(list: Vec<MailMessage>) -> Vec<proto::MailMessage> {
    list.into_iter().map(message).collect()
}

pub(crate) fn folder(folder: MailFolder) -> proto::MailFolder {
    proto::MailFolder {
        id: folder.id,
        removed: folder.removed,
        parent_id: folder.parent_id,
        name: folder.name,
        total_item_count: folder.total_item_count,
        unread_item_count: folder.unread_item_count,
        child_folder_count: folder.child_folder_count,
        well_known_name: folder.well_known_name,
        is_hidden: folder.is_hidden,
    }
}

/// Zero is open; an instant that does not exist is open too.
pub(crate) fn instant(micros: i64) -> Option<DateTime<Utc>> {
    if micros == 0 { None } else { DateTime::from_timestamp_micros(micros) }
}

pub(crate) fn window(from_us: i64, to_us: i64) -> Window {
    Window { from: instant(from_us), to: instant(to_us) }
}

fn given(list: Vec<proto::MailAddress>) -> Vec<MailAddress> {
    let one = |a: proto::MailAddress| MailAddress { name: Some(a.name), address: Some(a.address) };
    list.into_iter().filter(|a| !a.address.is_empty()).map(one).collect()
}

pub(crate) fn draft(request: proto::EnsureDraftRequest) -> NewDraft {
    NewDraft {
        outbox_id: request.outbox_id,
        subject: request.subject,
        html: request.body_type.eq_ignore_ascii_case("html"),
        body: request.body,
        to: given(request.to),
        cc: given(request.cc),
        bcc: given(request.bcc),
        reply_to: given(request.reply_to),
        importance: request.importance,
    }
}
