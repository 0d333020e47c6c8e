//! Options of `queue`.

use clap::{Args, Subcommand};
use uuid::Uuid;

/// Commands of `queue`; without one, the figures.
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// List dead letters, the newest failure first
    DeadLetter(DeadLetterArgs),
    /// Show one dead letter: payload, every attempt, edits, trace
    Show {
        /// Job id (or message id)
        id: Uuid,
    },
    /// Edit the payload of a dead letter
    Edit {
        /// Job id
        id: Uuid,
        /// The whole new payload as JSON, or `-` to read it from standard input
        #[arg(long)]
        payload: String,
        /// Why, for the audit record
        #[arg(long)]
        reason: Option<String>,
    },
    /// Retry one dead letter
    Retry {
        /// Job id
        id: Uuid,
        /// Why, for the audit record
        #[arg(long)]
        reason: Option<String>,
    },
    /// Retry many dead letters in waves that stop when most fail again
    RetryAll(RetryAllArgs),
    /// Show, start or cancel an operation; list them without an id
    Operation(OperationArgs),
    /// Give a dead letter up; it stays in the history as cancelled
    Discard {
        /// Job id (or message id)
        id: Uuid,
        /// Why, for the audit record
        #[arg(long)]
        reason: Option<String>,
    },
    /// List jobs that wait until a person has mended something
    Parked {
        /// Only those parked for this reason, such as consent
        #[arg(long = "for")]
        parked_for: Option<String>,
    },
    /// Queue parked jobs again after the cause was mended
    Release(ReleaseArgs),
    /// The one reason why a job is not running
    Explain {
        /// Job id
        id: Uuid,
    },
    /// Messages that belong to no organization, since nobody could read them (DATABASE_URL)
    Unassigned {
        /// Give this one up
        #[arg(long)]
        discard: Option<Uuid>,
        /// Why, for the audit record
        #[arg(long)]
        reason: Option<String>,
    },
}

/// Which dead letters.
#[derive(Debug, Clone, Args)]
pub struct FilterArgs {
    /// Only this kind, such as documents.sync_drive
    #[arg(long)]
    pub kind: Option<String>,
    /// Only what failed since then: a time (2026-11-20T10:00:00Z) or an age (90s, 15m, 2h, 3d)
    #[arg(long)]
    pub since: Option<String>,
    /// Only this error: a fingerprint, a code, or a part of the message
    #[arg(long)]
    pub error: Option<String>,
}

/// Options of `queue dead-letter`.
#[derive(Debug, Args)]
pub struct DeadLetterArgs {
    /// Which
    #[command(flatten)]
    pub filter: FilterArgs,
    /// By cause instead: one line per error fingerprint
    #[arg(long)]
    pub group: bool,
    /// ledger (dead jobs) or broker (messages that nobody could claim)
    #[arg(long, conflicts_with = "group")]
    pub source: Option<String>,
    /// Items on the page, 1 to 200
    #[arg(long, default_value_t = 50, conflicts_with = "group", value_parser = clap::value_parser!(u32).range(1..=200))]
    pub limit: u32,
    /// Go on after this page
    #[arg(long, conflicts_with = "group")]
    pub cursor: Option<String>,
}

/// Options of `queue retry-all`.
#[derive(Debug, Args)]
pub struct RetryAllArgs {
    /// Which
    #[command(flatten)]
    pub filter: FilterArgs,
    /// At most so many, those enqueued first
    #[arg(long)]
    pub limit: Option<u32>,
    /// Write the plan and do nothing; `operation ID --start` runs it
    #[arg(long)]
    pub plan: bool,
    /// Stay until the operation has ended; fails unless it succeeded
    #[arg(long, conflicts_with = "plan")]
    pub wait: bool,
    /// Longest wait in seconds
    #[arg(long, default_value_t = 3600, requires = "wait")]
    pub timeout_seconds: u64,
    /// Why, for the audit record
    #[arg(long)]
    pub reason: Option<String>,
}

/// Options of `queue operation`.
#[derive(Debug, Args)]
pub struct OperationArgs {
    /// Operation id
    pub id: Option<Uuid>,
    /// Run a plan
    #[arg(long, requires = "id", conflicts_with_all = ["cancel", "items"])]
    pub start: bool,
    /// End it; what was queued and has not begun is a dead letter again
    #[arg(long, requires = "id", conflicts_with = "items")]
    pub cancel: bool,
    /// What became of each dead letter
    #[arg(long, requires = "id")]
    pub items: bool,
    /// Only items with this result, such as failed_again
    #[arg(long, requires = "items")]
    pub result: Option<String>,
    /// Go on after this page of items
    #[arg(long, requires = "items")]
    pub cursor: Option<String>,
    /// Why, for the audit record
    #[arg(long)]
    pub reason: Option<String>,
}

/// Options of `queue release`.
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    /// Job id
    #[arg(required_unless_present = "parked_for")]
    pub id: Option<Uuid>,
    /// Every job that is parked for this reason, such as consent
    #[arg(long = "for", conflicts_with = "id")]
    pub parked_for: Option<String>,
    /// Why, for the audit record
    #[arg(long)]
    pub reason: Option<String>,
}
