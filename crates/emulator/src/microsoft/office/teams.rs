//! Teams, channels and chats: threads of messages, and what people do in them.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use super::ids::uuid_of;
use super::mailbox::TEAMS;
use super::message::{Message, Person};
use super::model::{Office, Topic};
use crate::microsoft::errors::GraphError;
use crate::rng::hash_str;

/// A message of a channel or a chat.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    /// Milliseconds of its creation, made unique within the thread.
    pub(crate) id: i64,
    pub(crate) reply_to: Option<i64>,
    pub(crate) modified_ms: i64,
    pub(crate) edited_ms: Option<i64>,
    pub(crate) deleted_ms: Option<i64>,
    pub(crate) author: (String, String),
    pub(crate) subject: Option<String>,
    pub(crate) html: bool,
    pub(crate) body: String,
    /// Number of its last change in the thread.
    pub(crate) seq: u64,
}

/// Messages in one place.
#[derive(Debug, Clone, Default)]
pub(crate) struct Thread {
    pub(crate) posts: BTreeMap<i64, Post>,
    pub(crate) seq: u64,
    /// Delta links of another number are void.
    pub(crate) epoch: u32,
}

/// A channel of a team.
#[derive(Debug, Clone)]
pub(crate) struct Channel {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) created_ms: i64,
    pub(crate) thread: Thread,
}

/// A team.
#[derive(Debug, Clone)]
pub(crate) struct Team {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) created_ms: i64,
    pub(crate) channels: BTreeMap<String, Channel>,
}

/// A chat.
#[derive(Debug, Clone)]
pub(crate) struct Chat {
    pub(crate) id: String,
    pub(crate) topic: Option<String>,
    pub(crate) created_ms: i64,
    /// Ids of the people in it.
    pub(crate) members: Vec<String>,
    pub(crate) thread: Thread,
}

/// Where a message is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Channel { team: String, channel: String },
    Chat { chat: String },
}

/// A new message of somebody.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewPost {
    pub(crate) author: String,
    pub(crate) subject: Option<String>,
    pub(crate) body: String,
    pub(crate) html: bool,
    pub(crate) reply_to: Option<i64>,
}

/// A date as Teams writes it.
pub(crate) fn millis(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}

pub(crate) fn missing(what: &str) -> GraphError {
    GraphError::new(404, "NotFound", format!("{what} was not found."))
}

impl Post {
    /// The message as Graph shows it.
    pub(crate) fn json(&self, place: &Place) -> Value {
        let gone = self.deleted_ms.is_some();
        let (chat, identity) = match place {
            Place::Channel { team, channel } => (Value::Null, json!({"teamId": team, "channelId": channel})),
            Place::Chat { chat } => (json!(chat), Value::Null),
        };
        json!({
            "@odata.type": "#microsoft.graph.chatMessage",
            "id": self.id.to_string(),
            "replyToId": self.reply_to.map(|id| id.to_string()),
            "etag": self.modified_ms.to_string(),
            "messageType": "message",
            "createdDateTime": millis(self.id),
            "lastModifiedDateTime": millis(self.modified_ms),
            "lastEditedDateTime": self.edited_ms.map(millis),
            "deletedDateTime": self.deleted_ms.map(millis),
            "subject": if gone { None } else { self.subject.clone() },
            "summary": null,
            "chatId": chat,
            "importance": "normal",
            "locale": "en-us",
            "webUrl": null,
            "policyViolation": null,
            "eventDetail": null,
            "from": {
                "application": null,
                "device": null,
                "user": {"id": self.author.0, "displayName": self.author.1, "userIdentityType": "aadUser"},
            },
            "body": {
                "contentType": if self.html { "html" } else { "text" },
                "content": if gone { "" } else { self.body.as_str() },
            },
            "channelIdentity": identity,
            "attachments": [],
            "mentions": [],
            "reactions": [],
        })
    }
}

impl Office {
    /// Adds a team without channels.
    pub(crate) fn add_team(&mut self, name: &str, now: i64) -> String {
        let id = uuid_of(&format!("team {name}"));
        let team = Team { id: id.clone(), name: name.to_owned(), created_ms: now, channels: BTreeMap::new() };
        self.teams.entry(id.clone()).or_insert(team);
        id
    }

    /// Adds a channel; `None` when there is no such team.
    pub(crate) fn add_channel(&mut self, team: &str, name: &str, now: i64) -> Option<String> {
        let id = format!("19:{:016x}{:016x}@thread.tacv2", hash_str(team), hash_str(name));
        let channel =
            Channel { id: id.clone(), name: name.to_owned(), created_ms: now, thread: Thread::default() };
        self.teams.get_mut(team)?.channels.entry(id.clone()).or_insert(channel);
        Some(id)
    }

    /// Adds a chat of these people; those who are not here are left out.
    pub(crate) fn add_chat(&mut self, topic: &str, members: &[&str], now: i64) -> String {
        let members: Vec<String> = members.iter().filter_map(|who| self.user_id(who).ok()).collect();
        let id = format!("19:{:016x}{:016x}@thread.v2", hash_str(topic), hash_str(&members.join(" ")));
        let topic = (!topic.is_empty()).then(|| topic.to_owned());
        let chat = Chat { id: id.clone(), topic, created_ms: now, members, thread: Thread::default() };
        self.chats.entry(id.clone()).or_insert(chat);
        id
    }

    pub(crate) fn thread(&self, place: &Place) -> Result<&Thread, GraphError> {
        match place {
            Place::Channel { team, channel } => {
                let team = self.teams.get(team).ok_or_else(|| missing("The team"))?;
                team.channels.get(channel).map(|one| &one.thread).ok_or_else(|| missing("The channel"))
            }
            Place::Chat { chat } => {
                self.chats.get(chat).map(|one| &one.thread).ok_or_else(|| missing("The chat"))
            }
        }
    }

    pub(crate) fn thread_mut(&mut self, place: &Place) -> Result<&mut Thread, GraphError> {
        match place {
            Place::Channel { team, channel } => {
                let team = self.teams.get_mut(team).ok_or_else(|| missing("The team"))?;
                let found = team.channels.get_mut(channel).map(|one| &mut one.thread);
                found.ok_or_else(|| missing("The channel"))
            }
            Place::Chat { chat } => {
                self.chats.get_mut(chat).map(|one| &mut one.thread).ok_or_else(|| missing("The chat"))
            }
        }
    }

    fn post_topic(place: &Place, post: &Post) -> Topic {
        match place {
            Place::Channel { team, channel } => Topic::Channel {
                team: team.clone(),
                channel: channel.clone(),
                root: post.reply_to.unwrap_or(post.id).to_string(),
                reply: post.reply_to.map(|_| post.id.to_string()),
            },
            Place::Chat { chat } => Topic::Chat { chat: chat.clone(), message: post.id.to_string() },
        }
    }

    /// Somebody writes a message.
    pub(crate) fn post(&mut self, place: &Place, new: NewPost, now: i64) -> Result<i64, GraphError> {
        let author = self.user(&new.author).map(|user| (user.id.clone(), user.name.clone()))?;
        let im = self.switches.im_messages.then(|| new.body.clone());
        let thread = self.thread_mut(place)?;
        if let Some(root) = new.reply_to
            && thread.posts.get(&root).is_none_or(|post| post.reply_to.is_some())
        {
            return Err(missing("The message to reply to"));
        }
        // Ids are times; two messages of one millisecond are a millisecond apart.
        let last = thread.posts.keys().next_back().copied().unwrap_or_default();
        let id = now.max(last + 1);
        thread.seq += 1;
        let post = Post {
            id,
            reply_to: new.reply_to,
            modified_ms: id,
            edited_ms: None,
            deleted_ms: None,
            author,
            subject: new.subject,
            html: new.html,
            body: new.body,
            seq: thread.seq,
        };
        let topic = Self::post_topic(place, &post);
        thread.posts.insert(id, post);
        self.emit(topic, "created");
        if let (Some(body), Place::Chat { chat }) = (im, place) {
            self.record_im(chat, &body, now);
        }
        Ok(id)
    }

    /// The known issue: a chat message is in the mailboxes of its people, with the subject "IM".
    fn record_im(&mut self, chat: &str, body: &str, now: i64) {
        let members = self.chats.get(chat).map(|chat| chat.members.clone()).unwrap_or_default();
        for member in members {
            let Some(user) = self.users.get_mut(&member) else { continue };
            let mut message = Message::draft(&Person::of(&user.upn), now);
            (message.is_draft, message.subject, message.body) = (false, "IM".into(), body.to_owned());
            user.mailbox.put(TEAMS, message);
        }
    }

    /// Somebody edits (`body`) or deletes (`None`) a message.
    pub(crate) fn rewrite(
        &mut self,
        place: &Place,
        id: i64,
        body: Option<String>,
        now: i64,
    ) -> Result<(), GraphError> {
        let thread = self.thread_mut(place)?;
        let seq = thread.seq + 1;
        let post = thread.posts.get_mut(&id).ok_or_else(|| missing("The message"))?;
        let kind = if body.is_some() { "updated" } else { "deleted" };
        // A change is later than what it changes, whatever the clock says.
        let at = now.max(post.modified_ms + 1);
        (post.seq, post.modified_ms) = (seq, at);
        match body {
            Some(body) => (post.body, post.edited_ms) = (body, Some(at)),
            None => post.deleted_ms = Some(at),
        }
        let topic = Self::post_topic(place, post);
        thread.seq = seq;
        self.emit(topic, kind);
        Ok(())
    }
}
