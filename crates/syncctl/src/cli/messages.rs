//! Commands of mail and Teams.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use uuid::Uuid;

/// Re-syncs of the Microsoft runbook.
#[derive(Debug, Subcommand)]
pub enum ResyncCommand {
    /// Forget the cursors: the next run reads everything
    Reset(ResyncArgs),
    /// Read everything and compare
    Full(ResyncArgs),
    /// Read what changed since the cursor
    Delta(ResyncArgs),
}

/// Of whom, and what.
#[derive(Debug, Args)]
pub struct ResyncArgs {
    /// Address or user id; a drive id; {team}/{channel} or a chat id
    pub user: String,
    /// What
    #[arg(long, value_enum, default_value_t = ResourceType::Messages)]
    pub resource_type: ResourceType,
}

/// What is re-synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ResourceType {
    /// Mail
    Messages,
    /// Outlook calendar
    Events,
    /// A drive
    Drive,
    /// A channel or chat
    Teams,
}

impl ResourceType {
    /// Name in REST.
    pub const fn as_str(self) -> &'static str {
        match self {
            ResourceType::Messages => "messages",
            ResourceType::Events => "events",
            ResourceType::Drive => "drive",
            ResourceType::Teams => "teams",
        }
    }
}

/// Commands of `messages`.
#[derive(Debug, Subcommand)]
pub enum MessagesCommand {
    /// Send a mail, once
    Send(SendArgs),
    /// Post an adaptive card to a Teams workflow, once
    Card {
        /// Name of the workflow
        #[arg(long)]
        workflow: String,
        /// File with the card
        #[arg(long)]
        file: PathBuf,
        /// A repetition under the same key posts nothing again
        #[arg(long)]
        idempotency_key: Option<String>,
    },
    /// What is to be sent and what was
    Outbox {
        /// Only this state, such as ambiguous
        #[arg(long)]
        state: Option<String>,
    },
    /// Send a failed one again, look an ambiguous mail up again, post an ambiguous card once more
    Retry {
        /// Row of the outbox
        id: Uuid,
    },
    /// Call one off
    Cancel {
        /// Row of the outbox
        id: Uuid,
    },
}

/// Options of `messages send`.
#[derive(Debug, Args)]
pub struct SendArgs {
    /// Registered mailbox
    #[arg(long)]
    pub from: String,
    /// Recipient; may be repeated
    #[arg(long, required = true)]
    pub to: Vec<String>,
    /// Subject
    #[arg(long)]
    pub subject: String,
    /// Text
    #[arg(long)]
    pub body: String,
    /// A repetition under the same key sends nothing again
    #[arg(long)]
    pub idempotency_key: Option<String>,
}
