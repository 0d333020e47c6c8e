//! Job kinds: typed, versioned payloads.

mod audit;
mod calendar;
mod documents;
mod housekeeping;
mod maintenance;
mod messages;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

pub use audit::{EraseSubjects, RestoreArchive, RunRetention, VerifyAudit, audit_resource};
pub use calendar::{
    PullCalendar, PushCalendar, PushCalendars, SweepCalendars, WatchCalendar, calendar_resource,
};
pub use documents::{BatchId, EnsureDriveSubscription, SyncAo, SyncDrive, SyncMode, Trigger, drive_resource};
pub use housekeeping::{CleanExpiredChannels, CleanQueue, RenewChannels};
pub use maintenance::{PurgeFinished, RetryDeadLetters, SweepDrives};
pub use messages::{
    EnsureSubscription, SendMessage, SubscriptionIntent, SweepMessages, SyncChannel, SyncChat, SyncMailbox,
    channel_resource, chat_resource, mailbox_resource,
};

/// Classes of work, one quorum queue each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Queue {
    /// `jobs.documents`
    Documents,
    /// `jobs.calendar`
    Calendar,
    /// `jobs.messages`
    Messages,
    /// `jobs.maintenance`
    Maintenance,
    /// `jobs.audit`
    Audit,
}

impl Queue {
    /// Every queue of the platform.
    pub const ALL: [Queue; 5] =
        [Queue::Documents, Queue::Calendar, Queue::Messages, Queue::Maintenance, Queue::Audit];

    /// Name at the broker.
    pub const fn name(self) -> &'static str {
        match self {
            Queue::Documents => "jobs.documents",
            Queue::Calendar => "jobs.calendar",
            Queue::Messages => "jobs.messages",
            Queue::Maintenance => "jobs.maintenance",
            Queue::Audit => "jobs.audit",
        }
    }

    /// The queue with this name.
    pub fn of_name(name: &str) -> Option<Queue> {
        Self::ALL.into_iter().find(|queue| queue.name() == name)
    }

    /// The queue that takes messages of this kind, by its first word; `None` when no queue does.
    pub fn of_kind(kind: &str) -> Option<Queue> {
        let class = kind.split('.').next().unwrap_or_default();
        Self::ALL.into_iter().find(|queue| queue.binding().strip_suffix(".#") == Some(class))
    }

    /// Pattern that binds the queue to exchange `jobs`.
    pub const fn binding(self) -> &'static str {
        match self {
            Queue::Documents => "documents.#",
            Queue::Calendar => "calendar.#",
            Queue::Messages => "messages.#",
            Queue::Maintenance => "maintenance.#",
            Queue::Audit => "audit.#",
        }
    }
}

/// A typed job payload.
pub trait JobPayload: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Kind, also the routing key; its first word selects the queue.
    const KIND: &'static str;
    /// Version written by this build.
    const VERSION: i16;
    /// Queue that carries the bell.
    const QUEUE: Queue;
    /// Attempts before the job is dead.
    const MAX_ATTEMPTS: i32 = 5;
    /// Longest run of one attempt, in seconds.
    const DEADLINE_SECONDS: i32 = 120;

    /// Reads a stored payload of any version that ever shipped.
    ///
    /// # Errors
    /// [`PayloadError`] names kind, version and reason; the job is parked with it.
    fn decode(version: i16, payload: Value) -> Result<Self, PayloadError> {
        if version != Self::VERSION {
            return Err(PayloadError::UnknownVersion { kind: Self::KIND.to_owned(), version });
        }
        serde_path_to_error::deserialize(payload).map_err(|error| PayloadError::Malformed {
            kind: Self::KIND.to_owned(),
            version,
            path: Some(error.path().to_string()).filter(|path| path != ".").unwrap_or_default(),
            source: error.into_inner(),
        })
    }
}

/// Why a stored payload cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// No handler in this build knows the kind.
    #[error("unknown job kind {kind:?}: deploy a worker that knows it, or discard the job")]
    UnknownKind {
        /// The kind found.
        kind: String,
    },
    /// The kind is known, this version is not.
    #[error("job kind {kind} has unknown version {version}: deploy a worker that knows it")]
    UnknownVersion {
        /// The kind found.
        kind: String,
        /// The version found.
        version: i16,
    },
    /// The JSON does not have the shape of its kind and version.
    #[error("payload of {kind} version {version} is malformed: edit it or discard the job")]
    Malformed {
        /// The kind found.
        kind: String,
        /// The version found.
        version: i16,
        /// The member at fault, such as `mode`; empty when it is the payload as a whole.
        path: String,
        /// What the decoder said.
        #[source]
        source: serde_json::Error,
    },
}

/// Checks a payload against its kind and version without running it (used when an operator edits it).
///
/// # Errors
/// [`PayloadError`] as [`JobPayload::decode`], or `UnknownKind`.
pub fn validate(kind: &str, version: i16, payload: Value) -> Result<(), PayloadError> {
    match kind {
        SyncDrive::KIND => SyncDrive::decode(version, payload).map(drop),
        SyncAo::KIND => SyncAo::decode(version, payload).map(drop),
        EnsureDriveSubscription::KIND => EnsureDriveSubscription::decode(version, payload).map(drop),
        SweepDrives::KIND => SweepDrives::decode(version, payload).map(drop),
        PurgeFinished::KIND => PurgeFinished::decode(version, payload).map(drop),
        RetryDeadLetters::KIND => RetryDeadLetters::decode(version, payload).map(drop),
        CleanQueue::KIND => CleanQueue::decode(version, payload).map(drop),
        RenewChannels::KIND => RenewChannels::decode(version, payload).map(drop),
        CleanExpiredChannels::KIND => CleanExpiredChannels::decode(version, payload).map(drop),
        PullCalendar::KIND => PullCalendar::decode(version, payload).map(drop),
        PushCalendar::KIND => PushCalendar::decode(version, payload).map(drop),
        WatchCalendar::KIND => WatchCalendar::decode(version, payload).map(drop),
        SweepCalendars::KIND => SweepCalendars::decode(version, payload).map(drop),
        PushCalendars::KIND => PushCalendars::decode(version, payload).map(drop),
        SyncMailbox::KIND => SyncMailbox::decode(version, payload).map(drop),
        SyncChannel::KIND => SyncChannel::decode(version, payload).map(drop),
        SyncChat::KIND => SyncChat::decode(version, payload).map(drop),
        SweepMessages::KIND => SweepMessages::decode(version, payload).map(drop),
        SendMessage::KIND => SendMessage::decode(version, payload).map(drop),
        EnsureSubscription::KIND => EnsureSubscription::decode(version, payload).map(drop),
        RunRetention::KIND => RunRetention::decode(version, payload).map(drop),
        VerifyAudit::KIND => VerifyAudit::decode(version, payload).map(drop),
        EraseSubjects::KIND => EraseSubjects::decode(version, payload).map(drop),
        RestoreArchive::KIND => RestoreArchive::decode(version, payload).map(drop),
        _ => Err(PayloadError::UnknownKind { kind: kind.to_owned() }),
    }
}
