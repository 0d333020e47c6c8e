//! Messages of mail and Teams, in one table. A message belongs to a place: a mailbox, a channel or a chat.

mod read;
mod suspects;
mod write;

pub use read::{MessageFilter, MessageRow, get, list};
pub use suspects::{
    Doubt, count_in_folder, doubts, existing, gone, ids_in_folder, restore, sample_gone, suspect,
    suspect_unseen, thread_roots, tombstone, tombstone_gone,
};
pub use write::{Kept, NewMessage, PageEffect, apply};

use domain::ids::CompanyId;

/// Where messages stand.
#[derive(Debug, Clone)]
pub struct Place {
    /// Owner.
    pub company: CompanyId,
    /// `mail`, `channel` or `chat`.
    pub source: &'static str,
    /// User id, `{team}/{channel}`, or chat id.
    pub id: String,
}

impl Place {
    /// A mailbox.
    pub fn mailbox(company: CompanyId, user_id: &str) -> Self {
        Self { company, source: "mail", id: user_id.to_owned() }
    }

    /// A channel.
    pub fn channel(company: CompanyId, team_id: &str, channel_id: &str) -> Self {
        Self { company, source: "channel", id: format!("{team_id}/{channel_id}") }
    }

    /// A chat.
    pub fn chat(company: CompanyId, chat_id: &str) -> Self {
        Self { company, source: "chat", id: chat_id.to_owned() }
    }
}
