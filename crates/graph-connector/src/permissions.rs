//! Which permissions Microsoft says are missing, by name, so that a person knows what to grant (pain 38).

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use graph_client::{GraphError, GraphErrorKind};

/// Reading drives.
pub(crate) const FILES_READ: &str = "Files.Read.All";
/// Subscribing to drives needs the right to write, even to read (subscription-post, Graph v1.0).
pub(crate) const FILES_READ_WRITE: &str = "Files.ReadWrite.All";
/// Users by id or name.
pub(crate) const USERS_READ: &str = "User.Read.All";
/// Reading mail.
pub(crate) const MAIL_READ: &str = "Mail.Read";
/// Drafts and their attachments.
pub(crate) const MAIL_WRITE: &str = "Mail.ReadWrite";
/// Sending drafts.
pub(crate) const MAIL_SEND: &str = "Mail.Send";
/// Reading calendars of Outlook.
pub(crate) const CALENDARS_READ: &str = "Calendars.Read";
/// Writing calendars of Outlook.
pub(crate) const CALENDARS_WRITE: &str = "Calendars.ReadWrite";
/// The list of teams.
pub(crate) const TEAMS_READ: &str = "Team.ReadBasic.All";
/// The list of channels.
pub(crate) const CHANNELS_READ: &str = "Channel.ReadBasic.All";
/// Messages of channels.
pub(crate) const CHANNEL_MESSAGES_READ: &str = "ChannelMessage.Read.All";
/// Chats and their messages.
pub(crate) const CHATS_READ: &str = "Chat.Read.All";

/// How access can be narrowed instead of granted for everything.
fn narrower(permission: &str) -> &'static str {
    match permission {
        FILES_READ | FILES_READ_WRITE => ", or Sites.Selected with a grant on the site",
        MAIL_READ | MAIL_WRITE | MAIL_SEND | CALENDARS_READ | CALENDARS_WRITE => {
            ", or a role of Exchange's RBAC for Applications that covers the mailbox"
        }
        CHANNELS_READ | CHANNEL_MESSAGES_READ | CHATS_READ => {
            ", or resource-specific consent on the team or chat"
        }
        _ => "",
    }
}

/// Permissions that the last call that needed them was refused for.
#[derive(Debug, Default)]
pub(crate) struct Permissions {
    missing: Mutex<BTreeSet<&'static str>>,
}

impl Permissions {
    /// Learns from a call that needed `permission`; adds its name to a refusal.
    pub(crate) fn learn<T>(
        &self,
        permission: &'static str,
        outcome: Result<T, GraphError>,
    ) -> Result<T, GraphError> {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(value) => {
                missing.remove(permission);
                Ok(value)
            }
            Err(mut error) => {
                if error.kind == GraphErrorKind::Forbidden {
                    missing.insert(permission);
                    error.message = format!(
                        "{} (grant the application permission {permission} with admin consent{})",
                        error.message,
                        narrower(permission)
                    );
                }
                Err(error)
            }
        }
    }

    pub(crate) fn missing(&self) -> Vec<String> {
        let missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        missing.iter().map(|&name| name.to_owned()).collect()
    }
}
