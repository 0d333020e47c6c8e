//! Teams: teams, channels, chats and their messages (provider facts A5).
//!
//! Messages are read only. Posting to a channel or chat with an application token is refused by Graph (401 "Message
//! POST is allowed in application-only context only for import purposes", chatmessage-post), so it is never tried:
//! cards go through a workflow's webhook, see [`crate::workflow`].

mod message;
mod messages;
mod places;

pub use message::{TeamsMessage, TeamsPlace, read_teams_message};
pub use messages::{ChannelPage, MAX_TEAMS_PAGE};
pub use places::{Channel, Chat, Team};
