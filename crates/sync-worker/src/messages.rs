//! Mail and Teams: notifications name messages, walks and repairs find what they missed, the outbox sends.

mod audit;
mod backfill;
mod breaker;
mod channel;
mod chat;
mod convert;
mod doubts;
mod feed;
mod folder;
mod graph;
mod hints;
mod mailbox;
mod report;
mod send;
mod subscription;
mod sweep;
mod tree;

pub use channel::SyncChannelHandler;
pub use chat::SyncChatHandler;
pub use graph::Graph;
pub use mailbox::SyncMailboxHandler;
pub use send::SendMessageHandler;
pub use subscription::{EnsureDriveSubscriptionHandler, EnsureSubscriptionHandler};
pub use sweep::SweepMessagesHandler;

use std::time::Duration;

use domain::retry::RetryPolicy;

/// Source of mail in history, metrics and quarantine.
pub(crate) const MAIL: &str = "mail";
/// Source of channels.
pub(crate) const CHANNEL: &str = "channel";
/// Source of chats.
pub(crate) const CHAT: &str = "chat";

/// Delays between the attempts; the connector has retried each call before an attempt fails.
pub(crate) const RETRY: RetryPolicy = RetryPolicy {
    max_attempts: 10,
    initial: Duration::from_secs(1),
    max: Duration::from_mins(2),
    multiplier: 2,
};
