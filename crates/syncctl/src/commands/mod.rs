//! One file per command.

mod audit;
mod cache;
mod calendar;
mod check_config;
mod completions;
mod flags;
mod messages;
mod migrate;
mod organization;
mod queue;
mod schedules;
mod sync;
mod token;
mod top;
mod verify;
mod webhooks;

use chassis::config::Env;
use uuid::Uuid;

use crate::cli::{CacheCommand, CalendarCommand, Cli, Command, SchedulesCommand, WebhooksCommand};
use crate::error::CliError;
use crate::output::Output;

/// The organization that `seed-demo` writes.
pub const DEMO_COMPANY: Uuid = Uuid::from_u128(0x018f_0000_0000_7000_8000_0000_0000_de30);

pub async fn run(cli: &Cli, env: Env) -> Result<Output, CliError> {
    match &cli.command {
        Command::Migrate => migrate::run(env).await,
        Command::CheckConfig => check_config::run(env).await,
        Command::Token(args) => token::run(args, env),
        Command::AddOrganization(args) => organization::add(args, env).await,
        Command::SeedDemo(args) => organization::seed_demo(args, env).await,
        Command::Sync(args) => match &args.resync {
            Some(command) => messages::resync(command, env).await,
            None => sync::run(args, env).await,
        },
        Command::Messages { command } => messages::run(command, env).await,
        Command::Queue { command } => queue::run(command.as_ref(), env).await,
        Command::Schedules { command: SchedulesCommand::List } => schedules::list(env).await,
        Command::Schedules { command: SchedulesCommand::Pause { name, reason } } => {
            schedules::switch(name, "pause", reason.as_deref(), env).await
        }
        Command::Schedules { command: SchedulesCommand::Resume { name, reason } } => {
            schedules::switch(name, "resume", reason.as_deref(), env).await
        }
        Command::Schedules { command: SchedulesCommand::Trigger { name } } => {
            schedules::trigger(name, env).await
        }
        Command::Webhooks { command: WebhooksCommand::List } => webhooks::list(env).await,
        Command::Webhooks { command: WebhooksCommand::Setup } => webhooks::setup(env).await,
        Command::Webhooks { command: WebhooksCommand::Renew { within_hours } } => {
            webhooks::renew(*within_hours, env).await
        }
        Command::Webhooks { command: WebhooksCommand::Cleanup { days } } => {
            webhooks::cleanup(*days, env).await
        }
        Command::Calendar { command: CalendarCommand::Connect { mailbox, direction } } => {
            calendar::connect(mailbox, direction, env).await
        }
        Command::Calendar { command: CalendarCommand::Disconnect { connection } } => {
            calendar::disconnect(*connection, env).await
        }
        Command::Calendar { command: CalendarCommand::Connections } => calendar::connections(env).await,
        Command::Calendar { command: CalendarCommand::Sync { connection, full } } => {
            calendar::sync(*connection, *full, env).await
        }
        Command::Cache { command: CacheCommand::Flush { scope } } => {
            cache::flush(scope.as_deref(), env).await
        }
        Command::Audit { command } => audit::run(command, env).await,
        Command::Top(args) => top::run(args, cli.json, env).await,
        Command::Completions { shell } => Ok(completions::run(*shell)),
        Command::Flags { command } => flags::run(command, env).await,
        Command::VerifyIntegration => verify::run(env).await,
    }
}
