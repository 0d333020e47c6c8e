//! What can be watched: its resource, its door, its kinds of change, its longest life.

use contracts::graph::v1::SubscribedResource;

/// Kind of a watched resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Drive,
    Mailbox,
    Events,
    Channel,
    Chat,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Drive => "drive",
            Self::Mailbox => "mailbox",
            Self::Events => "events",
            Self::Channel => "channel",
            Self::Chat => "chat",
        }
    }

    /// Drives know only `updated` (change-notifications-supported-resources).
    pub fn changes(self) -> &'static str {
        match self {
            Self::Drive => "updated",
            _ => "created,updated,deleted",
        }
    }

    /// Longest life in minutes as documented (change-notifications-subscription-lifetime), until an error teaches
    /// another.
    pub fn documented_minutes(self) -> i64 {
        match self {
            Self::Drive => 42_300,
            Self::Mailbox | Self::Events => 4_230,
            Self::Channel | Self::Chat => 4_320,
        }
    }

    /// What a refused subscription lacks (subscription-post-subscriptions, permissions).
    pub fn permission(self) -> &'static str {
        match self {
            Self::Drive => crate::permissions::FILES_READ_WRITE,
            Self::Mailbox => crate::permissions::MAIL_READ,
            Self::Events => crate::permissions::CALENDARS_READ,
            Self::Channel => crate::permissions::CHANNEL_MESSAGES_READ,
            Self::Chat => crate::permissions::CHATS_READ,
        }
    }
}

/// A resource to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Watched {
    pub kind: Kind,
    path: String,
}

impl Watched {
    /// A drive's root: the only folder that Business drives let be watched.
    pub fn drive(id: &str) -> Self {
        Self { kind: Kind::Drive, path: format!("/drives/{id}/root") }
    }

    /// What a request names.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(resource: SubscribedResource, id: &str) -> Result<Self, &'static str> {
        if id.is_empty() {
            return Err("resource_id is empty");
        }
        // Ids stand in the resource as they are; nothing in one may lead elsewhere.
        if id.contains(['?', '#', '\\']) || id.contains(char::is_whitespace) || id.contains("..") {
            return Err("resource_id has characters that no id has");
        }
        if id.contains('/') && resource != SubscribedResource::Channel {
            return Err("resource_id has a slash");
        }
        let of = |kind, path| Ok(Self { kind, path });
        match resource {
            SubscribedResource::Unspecified => Err("resource is not named"),
            SubscribedResource::Drive => Ok(Self::drive(id)),
            SubscribedResource::Mailbox => of(Kind::Mailbox, format!("/users/{id}/messages")),
            SubscribedResource::Events => of(Kind::Events, format!("/users/{id}/events")),
            SubscribedResource::Chat => of(Kind::Chat, format!("/chats/{id}/messages")),
            SubscribedResource::Channel => {
                let team_and_channel =
                    id.split_once('/').filter(|(t, c)| !t.is_empty() && !c.is_empty() && !c.contains('/'));
                let (team, channel) = team_and_channel.ok_or("resource_id of a channel is team/channel")?;
                of(Kind::Channel, format!("/teams/{team}/channels/{channel}/messages"))
            }
        }
    }

    /// The door that takes its notifications.
    pub fn door(&self) -> &'static str {
        match self.kind {
            Kind::Drive => "/api/webhooks/onedrive",
            Kind::Mailbox | Kind::Events => "/api/webhooks/outlook",
            Kind::Channel | Kind::Chat => "/api/webhooks/teams",
        }
    }

    /// The resource to subscribe to. Outlook sends the changed thing only with a `$select`
    /// (change-notifications-with-resource-data).
    pub fn resource(&self, rich: bool) -> String {
        let select = match self.kind {
            Kind::Mailbox if rich => "?$select=id,parentFolderId,subject,internetMessageId,receivedDateTime",
            Kind::Events if rich => "?$select=id,subject,start,end,lastModifiedDateTime",
            _ => "",
        };
        format!("{}{select}", self.path)
    }

    /// Whether a subscription's resource is this one; Graph answers with or without the leading slash, in any case.
    pub fn is(&self, resource: &str) -> bool {
        let plain = |text: &str| {
            text.split('?')
                .next()
                .unwrap_or_default()
                .trim_matches('/')
                .replace("%40", "@")
                .replace("%3a", ":")
                .replace("%3A", ":")
                .to_ascii_lowercase()
        };
        plain(resource) == plain(&self.path)
    }
}

/// Minutes in `Subscription expiration can only be 4230 minutes in the future.`: the one thing that only a message
/// tells (provider facts A6).
pub(crate) fn ceiling(message: &str) -> Option<i64> {
    let rest = message.split("can only be ").nth(1)?;
    let minutes: i64 = rest.split(" minutes").next()?.trim().parse().ok()?;
    (1..=525_600).contains(&minutes).then_some(minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_is_learnt() {
        assert_eq!(ceiling("Subscription expiration can only be 4230 minutes in the future."), Some(4_230));
        assert_eq!(ceiling("Subscription expiration can only be 0 minutes in the future."), None);
        assert_eq!(ceiling("Access denied"), None);
    }

    #[test]
    fn resources_and_doors() {
        let mailbox = Watched::parse(SubscribedResource::Mailbox, "a@b.c").expect("a mailbox");
        assert_eq!(
            (mailbox.resource(false).as_str(), mailbox.door()),
            ("/users/a@b.c/messages", "/api/webhooks/outlook")
        );
        assert!(mailbox.is("Users/A@b.c/Messages") && mailbox.is("/users/a%40b.c/messages?$select=id"));
        assert!(!mailbox.is("users/a@b.c/events"));
        let channel = Watched::parse(SubscribedResource::Channel, "t/19:x@thread.tacv2").expect("a channel");
        assert!(channel.is("teams/t/channels/19:x@thread.tacv2/messages"));
        assert!(Watched::parse(SubscribedResource::Channel, "t").is_err());
        assert!(Watched::parse(SubscribedResource::Chat, "").is_err());
        assert!(mailbox.resource(true).contains("$select="));
    }
}
