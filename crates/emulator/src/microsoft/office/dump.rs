//! The canonical dump of mail and Teams, to compare with a database.

use serde_json::{Value, json};

use super::model::Office;
use super::teams::{Post, Thread, millis};

fn posts(thread: &Thread) -> Vec<Value> {
    let record = |post: &Post| {
        json!({
            "id": post.id.to_string(),
            "reply_to": post.reply_to.map(|id| id.to_string()),
            "author": post.author.0,
            "subject": post.subject,
            "body": post.body,
            "created_at": millis(post.id),
            "modified_at": millis(post.modified_ms),
            "edited": post.edited_ms.is_some(),
            "deleted": post.deleted_ms.is_some(),
        })
    };
    thread.posts.values().map(record).collect()
}

/// Everything, sorted by id.
pub(crate) fn all(office: &Office) -> Value {
    let users = office.users.values().map(|user| {
        let mut messages: Vec<Value> =
            user.mailbox.messages.values().map(|message| user.mailbox.record(message)).collect();
        messages.sort_unstable_by(|left, right| left["id"].as_str().cmp(&right["id"].as_str()));
        let folders: Vec<Value> =
            user.mailbox.all_folders().filter_map(|folder| user.mailbox.folder_json(folder.key)).collect();
        json!({"id": user.id, "upn": user.upn, "name": user.name, "folders": folders, "messages": messages,
            "events": user.calendar.live().collect::<Vec<_>>()})
    });
    let teams = office.teams.values().map(|team| {
        let channels: Vec<Value> = team
            .channels
            .values()
            .map(
                |channel| json!({"id": channel.id, "name": channel.name, "messages": posts(&channel.thread)}),
            )
            .collect();
        json!({"id": team.id, "name": team.name, "channels": channels})
    });
    let chats = office.chats.values().map(|chat| {
        json!({"id": chat.id, "topic": chat.topic, "members": chat.members, "messages": posts(&chat.thread)})
    });
    json!({
        "users": users.collect::<Vec<_>>(),
        "teams": teams.collect::<Vec<_>>(),
        "chats": chats.collect::<Vec<_>>(),
    })
}
