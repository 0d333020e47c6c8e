//! What a subscription can be about: the resource of a request, its limits, and the changes it is told of.

use super::errors::GraphError;
use super::office::model::{Office, Topic};
use super::office::teams::missing;
use super::office::{ids, segments};

/// A resource that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Watched {
    Drive(String),
    Mail { user: String, folder: Option<u32> },
    Events { user: String },
    Channel { team: String, channel: String },
    Chat { chat: String },
    AllChannels,
    AllChats,
}

impl Watched {
    /// Reads a resource; mailboxes, teams and chats must exist, drives are looked up by the caller.
    pub(crate) fn parse(office: &Office, resource: &str) -> Result<Self, GraphError> {
        let path = resource.split('?').next().unwrap_or_default();
        let parts = segments::parse(path);
        let names: Vec<&str> = parts.iter().map(String::as_str).collect();
        match names.as_slice() {
            ["drives", id, "root"] => Ok(Self::Drive((*id).to_owned())),
            ["users", who, "messages"] => Ok(Self::Mail { user: office.user_id(who)?, folder: None }),
            ["users", who, "mailFolders", folder, "messages"] => {
                let user = office.user(who)?;
                Ok(Self::Mail { user: user.id.clone(), folder: Some(user.mailbox.folder(folder)?) })
            }
            ["users", who, "events"] => Ok(Self::Events { user: office.user_id(who)? }),
            ["teams", "getAllMessages"] => Ok(Self::AllChannels),
            ["chats", "getAllMessages"] => Ok(Self::AllChats),
            ["teams", team, "channels", channel, "messages"] => {
                let found = office.teams.get(*team).ok_or_else(|| missing("The team"))?;
                found.channels.get(*channel).ok_or_else(|| missing("The channel"))?;
                Ok(Self::Channel { team: (*team).to_owned(), channel: (*channel).to_owned() })
            }
            ["chats", chat, "messages"] => {
                office.chats.get(*chat).ok_or_else(|| missing("The chat"))?;
                Ok(Self::Chat { chat: (*chat).to_owned() })
            }
            _ => Err(GraphError::new(
                400,
                "InvalidRequest",
                format!("Resource '{resource}' is not supported for subscriptions."),
            )),
        }
    }

    /// Name in the switch `max_minutes`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Drive(_) => "drive",
            Self::Mail { .. } => "mail",
            Self::Events { .. } => "events",
            Self::Channel { .. } | Self::AllChannels => "channel",
            Self::Chat { .. } | Self::AllChats => "chat",
        }
    }

    /// Longest lifetime in minutes (change-notifications-subscription-lifetime).
    pub(crate) fn max_minutes(&self, office: &Office) -> i64 {
        let documented = match self {
            Self::Drive(_) => 42_300,
            Self::Mail { .. } | Self::Events { .. } => 4230,
            Self::Channel { .. } | Self::Chat { .. } | Self::AllChannels | Self::AllChats => 4320,
        };
        office.switches.max_minutes.get(self.kind()).copied().unwrap_or(documented)
    }

    pub(crate) fn is_teams(&self) -> bool {
        matches!(self.kind(), "channel" | "chat")
    }

    /// Whether it may ask for these changes: drives tell of updates only.
    pub(crate) fn allows(&self, change_type: &str) -> bool {
        let legal: &[&str] =
            if matches!(self, Self::Drive(_)) { &["updated"] } else { &["created", "updated", "deleted"] };
        change_type.split(',').all(|one| legal.contains(&one.trim()))
    }

    /// How many of one application there may be, and whether all applications count together.
    pub(crate) fn quota(&self) -> usize {
        match self {
            Self::Mail { .. } | Self::Events { .. } => 1000,
            Self::Channel { .. } | Self::Chat { .. } | Self::AllChannels | Self::AllChats => 1,
            Self::Drive(_) => usize::MAX,
        }
    }

    /// Whether another subscription counts against the same quota.
    pub(crate) fn shares(&self, other: &Self) -> bool {
        let mailbox = |one: &Self| match one {
            Self::Mail { user, .. } | Self::Events { user } => Some(user.clone()),
            _ => None,
        };
        match mailbox(self) {
            Some(user) => mailbox(other) == Some(user),
            None => self == other,
        }
    }

    /// Whether it is told of this change.
    pub(crate) fn sees(&self, topic: &Topic) -> bool {
        match (self, topic) {
            (Self::Mail { user, folder }, Topic::Mail { user: whose, folder: place, .. }) => {
                user == whose && folder.is_none_or(|folder| folder == *place)
            }
            (Self::Events { user }, Topic::Event { user: whose, .. }) => user == whose,
            (Self::Channel { team, channel }, Topic::Channel { team: in_team, channel: place, .. }) => {
                team == in_team && channel == place
            }
            (Self::Chat { chat }, Topic::Chat { chat: place, .. }) => chat == place,
            (Self::AllChannels, Topic::Channel { .. }) | (Self::AllChats, Topic::Chat { .. }) => true,
            _ => false,
        }
    }
}

/// Address, type and id of what changed, as notifications name them.
pub(crate) fn named(office: &Office, topic: &Topic, immutable: bool) -> (String, &'static str, String) {
    match topic {
        Topic::Mail { user, key, moves, .. } => {
            let salt = office.users.get(user).map(|user| user.mailbox.salt).unwrap_or_default();
            let id = ids::message(salt, *key, *moves, immutable);
            (format!("Users/{user}/Messages/{id}"), "#Microsoft.Graph.Message", id)
        }
        Topic::Event { user, id } => {
            (format!("Users/{user}/Events/{id}"), "#Microsoft.Graph.Event", id.clone())
        }
        Topic::Channel { team, channel, root, reply } => {
            let at = format!("teams('{team}')/channels('{channel}')/messages('{root}')");
            match reply {
                Some(reply) => {
                    (format!("{at}/replies('{reply}')"), "#Microsoft.Graph.chatMessage", reply.clone())
                }
                None => (at, "#Microsoft.Graph.chatMessage", root.clone()),
            }
        }
        Topic::Chat { chat, message } => (
            format!("chats('{chat}')/messages('{message}')"),
            "#Microsoft.Graph.chatMessage",
            message.clone(),
        ),
    }
}

/// The resource itself, for notifications with data; `None` when it is gone.
pub(crate) fn content(office: &Office, topic: &Topic, immutable: bool) -> Option<serde_json::Value> {
    use super::office::teams::Place;
    match topic {
        Topic::Mail { user, key, .. } => {
            let mailbox = &office.users.get(user)?.mailbox;
            let message = mailbox.messages.get(key)?;
            Some(serde_json::Value::Object(message.json(mailbox.salt, immutable, false)))
        }
        Topic::Event { user, id } => {
            let mut live = office.users.get(user)?.calendar.live();
            live.find(|shown| shown["id"] == *id).cloned().map(serde_json::Value::Object)
        }
        Topic::Channel { team, channel, root, reply } => {
            let place = Place::Channel { team: team.clone(), channel: channel.clone() };
            let id = reply.as_ref().unwrap_or(root).parse().ok()?;
            Some(office.thread(&place).ok()?.posts.get(&id)?.json(&place))
        }
        Topic::Chat { chat, message } => {
            let place = Place::Chat { chat: chat.clone() };
            Some(office.thread(&place).ok()?.posts.get(&message.parse().ok()?)?.json(&place))
        }
    }
}
