//! Finds out which permissions are granted by what costs little: one read for each (pain 38).

use contracts::graph::v1::PermissionProbe;
use domain::throttle::Priority;
use graph_client::{DeltaCursor, GraphClient, GraphError, GraphErrorKind, TeamsPlace};

use crate::permissions::{
    CALENDARS_READ, CHANNEL_MESSAGES_READ, CHANNELS_READ, CHATS_READ, FILES_READ, MAIL_READ, MAIL_SEND,
    MAIL_WRITE, TEAMS_READ, USERS_READ,
};
use crate::server::Connector;

fn untried(capability: &str, permission: &str, why: impl Into<String>) -> PermissionProbe {
    PermissionProbe {
        capability: capability.to_owned(),
        permission: permission.to_owned(),
        granted: false,
        untried: why.into(),
    }
}

impl Connector {
    /// Tries everything that can be tried with this user and team; absent ones are found.
    pub(crate) async fn probe_all(&self, user: Option<&str>, team: Option<&str>) -> Vec<PermissionProbe> {
        let teams = self.clients.teams().client.with_priority(Priority::Interactive);
        let mut probes = vec![self.probe_drive().await];
        let users = teams.first_id("/users").await;
        let found_user = users.as_ref().ok().cloned().flatten();
        probes.push(self.judged("users", USERS_READ, users));
        let user = user.map(str::to_owned).or(found_user);
        self.probe_mailbox(user.as_deref(), &mut probes).await;
        let listed = teams.first_id("/teams").await;
        let found_team = listed.as_ref().ok().cloned().flatten();
        probes.push(self.judged("teams", TEAMS_READ, listed));
        let team = team.map(str::to_owned).or(found_team);
        self.probe_team(&teams, team.as_deref(), &mut probes).await;
        probes
    }

    async fn probe_drive(&self) -> PermissionProbe {
        let Some(drive) = self.last_drive() else {
            return untried("drives", FILES_READ, "no drive was asked for since the start");
        };
        let outcome = self.graph.delta_page(&drive, DeltaCursor::Latest, 1).await;
        self.judged("drives", FILES_READ, outcome)
    }

    async fn probe_mailbox(&self, user: Option<&str>, probes: &mut Vec<PermissionProbe>) {
        let reads = [("mail", MAIL_READ), ("outlook calendar", CALENDARS_READ), ("chats", CHATS_READ)];
        let Some(user) = user else {
            probes.extend(reads.map(|(what, name)| untried(what, name, "no mailbox is known: name one")));
            return;
        };
        let graph = self.clients.mailbox(user).client.with_priority(Priority::Interactive);
        let inbox = graph.mail_folder(user, "inbox").await;
        probes.push(match inbox {
            Ok(None) => untried("mail", MAIL_READ, format!("{user} has no mailbox")),
            outcome => self.judged("mail", MAIL_READ, outcome),
        });
        let why = "granted or not shows only when a mail is written";
        probes.push(untried("drafts", MAIL_WRITE, why));
        probes.push(untried("sending", MAIL_SEND, why));
        let events = graph.first_id_of_user(user, "events").await;
        probes.push(self.judged("outlook calendar", CALENDARS_READ, events));
        let chats = graph.first_id_of_user(user, "chats").await;
        probes.push(self.judged("chats", CHATS_READ, chats));
    }

    async fn probe_team(&self, graph: &GraphClient, team: Option<&str>, probes: &mut Vec<PermissionProbe>) {
        let Some(team) = team else {
            for (what, name) in [("channels", CHANNELS_READ), ("channel messages", CHANNEL_MESSAGES_READ)] {
                probes.push(untried(what, name, "no team is known: name one"));
            }
            return;
        };
        let channels = graph.channels(team, None).await;
        let channel = match &channels {
            Ok(Some(page)) => page.items.first().map(|channel| channel.id.clone()),
            _ => None,
        };
        probes.push(self.judged("channels", CHANNELS_READ, channels));
        let Some(channel) = channel else {
            probes.push(untried("channel messages", CHANNEL_MESSAGES_READ, "no channel is known"));
            return;
        };
        // A message that does not exist: 404 says that we may read, and no message is polled.
        let place = TeamsPlace::Channel { team: team.to_owned(), channel };
        let outcome = graph.teams_message(&place, "0", None, 0).await;
        probes.push(match outcome {
            Err(error) if error.kind == GraphErrorKind::Refused => {
                self.judged("channel messages", CHANNEL_MESSAGES_READ, Ok(()))
            }
            outcome => self.judged("channel messages", CHANNEL_MESSAGES_READ, outcome),
        });
    }

    fn judged<T>(
        &self,
        capability: &str,
        permission: &'static str,
        outcome: Result<T, GraphError>,
    ) -> PermissionProbe {
        match self.permissions.learn(permission, outcome) {
            Ok(_) => PermissionProbe {
                capability: capability.to_owned(),
                permission: permission.to_owned(),
                granted: true,
                untried: String::new(),
            },
            Err(error) if error.kind == GraphErrorKind::Forbidden => untried(capability, permission, ""),
            Err(error) => untried(capability, permission, error.to_string()),
        }
    }
}
