//! Options of `flags`.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum};

/// Commands of `flags`.
#[derive(Debug, Subcommand)]
pub enum FlagsCommand {
    /// List every switch, and why those are away that are
    List,
    /// Put a switch into a position
    Set(SetArgs),
    /// Put a switch back to its normal position; what it held goes on
    Clear {
        /// Such as outward_writes
        name: String,
        /// Why, for the audit record
        #[arg(long, default_value = "back to normal")]
        reason: String,
    },
}

/// Options of `flags set`.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// Such as outward_writes or breaker.microsoft
    pub name: String,
    /// Its position; a breaker that is on is forced open
    #[arg(value_enum)]
    pub position: Position,
    /// Why, for the audit record and for those who look later
    #[arg(long)]
    pub reason: String,
    /// Back by itself after this time (90s, 15m, 2h, 3d)
    #[arg(long = "for", conflicts_with = "until")]
    pub lasts: Option<String>,
    /// Back by itself at this time (2026-11-20T10:00:00Z)
    #[arg(long)]
    pub until: Option<DateTime<Utc>>,
}

/// Position of a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Position {
    /// Enabled
    On,
    /// Disabled
    Off,
}
