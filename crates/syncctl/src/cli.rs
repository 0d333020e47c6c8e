//! Commands and their options.

pub mod audit;
pub mod flags;
pub mod messages;
pub mod queue;

use clap::{Args, Parser, Subcommand, ValueEnum};
use uuid::Uuid;

/// Operate Syncline from the command line.
#[derive(Debug, Parser)]
#[command(
    name = "syncctl",
    version,
    about,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 failed, 64 the command or the configuration cannot be used"
)]
pub struct Cli {
    /// Answer with JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring the database's schema up to date (MIGRATION_DATABASE_URL, else DATABASE_URL)
    Migrate,
    /// Check the environment of every service without starting anything
    CheckConfig,
    /// Mint a token signed with JWT_SECRET (development)
    Token(TokenArgs),
    /// Write an organization, its owner and its drives, and begin their sync; can be repeated
    AddOrganization(OrganizationArgs),
    /// Write the demo organization, its owner and its drive; can be repeated
    SeedDemo(SeedArgs),
    /// Ask for a synchronisation over REST
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Sync(SyncArgs),
    /// The job queue: figures, dead letters, parked jobs, and why a job is not running
    Queue {
        /// What to do; without it, the figures
        #[command(subcommand)]
        command: Option<queue::QueueCommand>,
    },
    /// What runs when
    Schedules {
        /// What to do with them
        #[command(subcommand)]
        command: SchedulesCommand,
    },
    /// Push subscriptions at the providers
    Webhooks {
        /// What to do with them
        #[command(subcommand)]
        command: WebhooksCommand,
    },
    /// Send mail and cards, and see what became of them
    Messages {
        /// What to do
        #[command(subcommand)]
        command: messages::MessagesCommand,
    },
    /// Connected calendars
    Calendar {
        /// What to do with them
        #[command(subcommand)]
        command: CalendarCommand,
    },
    /// The cache of provider metadata
    Cache {
        /// What to do with it
        #[command(subcommand)]
        command: CacheCommand,
    },
    /// The audit trail: verify, export, policies, retention
    Audit {
        /// What to do with it
        #[command(subcommand)]
        command: audit::AuditCommand,
    },
    /// Queues, workers, providers and switches, again and again until interrupted
    Top(TopArgs),
    /// Print completions for a shell
    Completions {
        /// Which
        #[arg(value_enum)]
        shell: ShellArg,
    },
    /// Operators' switches: degraded mode, outward writes, purging, breakers, connectors
    Flags {
        /// What to do with them
        #[command(subcommand)]
        command: flags::FlagsCommand,
    },
    /// Check token, permissions, webhooks, subscriptions and queue; fails when something is wrong
    VerifyIntegration,
}

/// Options of `top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Print one frame and end; so does an output that is no terminal
    #[arg(long)]
    pub once: bool,
    /// Seconds between two frames
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub interval_seconds: u64,
}

/// A shell that completes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ShellArg {
    /// Bash
    Bash,
    /// Zsh
    Zsh,
    /// Fish
    Fish,
}

/// Options of `token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// Organization (companies.id)
    #[arg(long, default_value_t = crate::commands::DEMO_COMPANY)]
    pub org: Uuid,
    /// Subject: who the token speaks for
    #[arg(long, default_value = "operator")]
    pub sub: String,
    /// What the holder may do
    #[arg(long, value_enum, default_value_t = RoleArg::Viewer)]
    pub role: RoleArg,
    /// Life in seconds, at most 30 days
    #[arg(long, alias = "ttl", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..=2_592_000))]
    pub ttl_seconds: u32,
}

/// Role of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    /// Reads
    Viewer,
    /// Also starts and mends work
    Operator,
    /// Also configures
    Admin,
    /// Everything
    Owner,
}

/// Options of `add-organization`.
#[derive(Debug, Args)]
pub struct OrganizationArgs {
    /// Name
    #[arg(long)]
    pub name: String,
    /// Id (companies.id, the claim `org` of its tokens); a new one when left out
    #[arg(long)]
    pub id: Option<Uuid>,
    /// Subject of its owner, as in the tokens' claim `sub`
    #[arg(long)]
    pub owner: String,
    /// Graph drive id; may be repeated
    #[arg(long)]
    pub drive_id: Vec<String>,
}

/// Options of `seed-demo`.
#[derive(Debug, Args)]
pub struct SeedArgs {
    /// Graph drive id of the demo drive (default: DEMO_DRIVE_ID, else b!demo)
    #[arg(long)]
    pub drive_id: Option<String>,
}

/// Options of `sync`.
#[derive(Debug, Args)]
pub struct SyncArgs {
    /// A re-sync of one user, drive, channel or chat
    #[command(subcommand)]
    pub resync: Option<messages::ResyncCommand>,
    /// One AO, such as ao-2503
    #[arg(long, required_unless_present = "all", conflicts_with = "all")]
    pub ao: Option<String>,
    /// Every AO of the organization
    #[arg(long)]
    pub all: bool,
    /// Bypass caches and delta link, reconcile by set difference
    #[arg(long, conflicts_with = "all")]
    pub force: bool,
    /// Stay until the work has ended
    #[arg(long)]
    pub wait: bool,
    /// Longest wait in seconds
    #[arg(long, default_value_t = 600, requires = "wait")]
    pub timeout_seconds: u64,
}

/// Commands of `schedules`.
#[derive(Debug, Subcommand)]
pub enum SchedulesCommand {
    /// List schedules with their last and next run
    List,
    /// Skip occurrences until resumed
    Pause {
        /// Such as onedrive-sync
        name: String,
        /// Why, for those who look later
        #[arg(long)]
        reason: Option<String>,
    },
    /// Run again from the next occurrence on
    Resume {
        /// Such as onedrive-sync
        name: String,
        /// Why, for those who look later
        #[arg(long)]
        reason: Option<String>,
    },
    /// Run one now, as an extra occurrence
    Trigger {
        /// Such as onedrive-sync
        name: String,
    },
}

/// Commands of `webhooks`.
#[derive(Debug, Subcommand)]
pub enum WebhooksCommand {
    /// List subscriptions with their expiry
    List,
    /// Make sure that everything that is synchronised has one
    Setup,
    /// Renew those that end soon, ask for those that are missing
    Renew {
        /// Those that end within this many hours
        #[arg(long, default_value_t = 36, value_parser = clap::value_parser!(i32).range(1..=1000))]
        within_hours: i32,
    },
    /// Forget those that ended, delete those that point at us and that nobody knows
    Cleanup {
        /// Days since the end
        #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(i32).range(0..=1000))]
        days: i32,
    },
}

/// Commands of `calendar`.
#[derive(Debug, Subcommand)]
pub enum CalendarCommand {
    /// Connect the default calendar of an Outlook mailbox, with the application's permission
    Connect {
        /// Address or user id
        mailbox: String,
        /// `both`, `to_google` (to the provider) or `from_google` (from the provider)
        #[arg(long, default_value = "both")]
        direction: String,
    },
    /// Disconnect a calendar; its events stay
    Disconnect {
        /// The connection (see `calendar connections`)
        connection: Uuid,
    },
    /// List connected calendars with their state
    Connections,
    /// Bring a calendar, or all of them, up to date now, both ways
    Sync {
        /// One connection (see `calendar connections`); all active ones when left out
        #[arg(long)]
        connection: Option<Uuid>,
        /// Read the whole calendar anew
        #[arg(long)]
        full: bool,
    },
}

/// Commands of `cache`.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Forget cached metadata; loses nothing
    Flush {
        /// Only this AO or drive
        #[arg(long)]
        scope: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn json_may_stand_anywhere_and_sync_needs_a_target() {
        assert!(Cli::parse_from(["syncctl", "seed-demo", "--json"]).json);
        assert!(Cli::parse_from(["syncctl", "--json", "queue"]).json);
        assert!(Cli::try_parse_from(["syncctl", "sync"]).is_err());
        assert!(Cli::try_parse_from(["syncctl", "sync", "--all", "--ao", "x"]).is_err());
        assert!(Cli::try_parse_from(["syncctl", "sync", "--ao", "x", "--force", "--wait"]).is_ok());
        assert!(Cli::try_parse_from(["syncctl", "sync", "full", "a@example.com"]).is_ok());
        assert!(Cli::try_parse_from(["syncctl", "sync", "reset", "a", "--resource-type", "x"]).is_err());
        assert!(Cli::try_parse_from(["syncctl", "token", "--ttl-seconds", "0"]).is_err());
        assert!(Cli::try_parse_from(["syncctl", "queue", "release"]).is_err());
        assert!(Cli::try_parse_from(["syncctl", "queue", "release", "--for", "consent"]).is_ok());
        assert!(Cli::try_parse_from(["syncctl", "queue", "operation"]).is_ok());
        assert!(Cli::try_parse_from(["syncctl", "queue", "operation", "--start"]).is_err());
    }
}
