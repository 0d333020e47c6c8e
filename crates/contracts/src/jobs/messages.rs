//! Jobs of mail, Teams and their subscriptions.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{JobPayload, Queue, SyncMode, Trigger};

/// Resource key under which all work on one mailbox is serialised.
pub fn mailbox_resource(user_id: &str) -> String {
    format!("mailbox:{user_id}")
}

/// Resource key under which all work on one channel is serialised.
pub fn channel_resource(team_id: &str, channel_id: &str) -> String {
    format!("channel:{team_id}/{channel_id}")
}

/// Resource key under which all work on one chat is serialised.
pub fn chat_resource(chat_id: &str) -> String {
    format!("chat:{chat_id}")
}

/// Brings the folders and messages of one mailbox up to date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncMailbox {
    /// Object id of the user.
    pub user_id: String,
    /// How much to read.
    pub mode: SyncMode,
    /// What asked for the run.
    pub trigger: Trigger,
    /// A person approved the removal of this many messages (mass-change breaker).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_removals: Option<i64>,
}

impl JobPayload for SyncMailbox {
    const KIND: &'static str = "messages.sync_mailbox";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Messages;
    const MAX_ATTEMPTS: i32 = 10;
    const DEADLINE_SECONDS: i32 = 6 * 3600;
}

/// Reads what notifications named in a channel, and its delta when that is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncChannel {
    /// Team.
    pub team_id: String,
    /// Channel.
    pub channel_id: String,
    /// How much to read.
    pub mode: SyncMode,
    /// What asked for the run.
    pub trigger: Trigger,
}

impl JobPayload for SyncChannel {
    const KIND: &'static str = "messages.sync_channel";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Messages;
    const MAX_ATTEMPTS: i32 = 10;
    const DEADLINE_SECONDS: i32 = 3600;
}

/// Reads what notifications named in a chat, and the window since the last repair when that is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncChat {
    /// Chat.
    pub chat_id: String,
    /// How much to read.
    pub mode: SyncMode,
    /// What asked for the run.
    pub trigger: Trigger,
}

impl JobPayload for SyncChat {
    const KIND: &'static str = "messages.sync_chat";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Messages;
    const MAX_ATTEMPTS: i32 = 10;
    const DEADLINE_SECONDS: i32 = 3600;
}

/// Enqueues what is due: mailboxes at the sweep's floor, channels and chats once a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepMessages {}

impl JobPayload for SweepMessages {
    const KIND: &'static str = "messages.sweep";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Messages;
}

/// Carries one row of `message_outbox` outwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendMessage {
    /// Row of `message_outbox`.
    pub outbox_id: Uuid,
}

impl JobPayload for SendMessage {
    const KIND: &'static str = "messages.send";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Messages;
    const MAX_ATTEMPTS: i32 = 10;
    const DEADLINE_SECONDS: i32 = 900;
}

/// What Graph said of a subscription, if it said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionIntent {
    /// Keep, renew, adopt or create.
    Ensure,
    /// `reauthorizationRequired`: authorise anew, then ensure.
    Reauthorize,
    /// `subscriptionRemoved`: create anew.
    Recreate,
}

/// Makes sure that one resource has one live push subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnsureSubscription {
    /// `drive`, `mailbox`, `events`, `channel` or `chat` (`microsoft_subscriptions.resource_type`).
    pub resource_type: String,
    /// Drive or user id, `{team}/{channel}` or chat id.
    pub resource_id: String,
    /// What for.
    pub intent: SubscriptionIntent,
}

impl JobPayload for EnsureSubscription {
    const KIND: &'static str = "maintenance.ensure_subscription";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Maintenance;
    const MAX_ATTEMPTS: i32 = 8;
    const DEADLINE_SECONDS: i32 = 60;
}
