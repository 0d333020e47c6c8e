//! Syncline's command line: migrate, check configuration, tokens, demo data, sync, queue, webhooks, cache.
//!
//! Exit codes: 0 done, 1 failed, 64 the command or the configuration cannot be used.

pub mod cli;
mod commands;
mod error;
mod output;
pub mod reference;
mod rest;

use std::process::ExitCode;

use clap::Parser;

use chassis::config::Env;

pub use cli::Cli;
pub use error::CliError;
pub use output::Output;

/// Runs the command of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { error::USAGE } else { 0 };
            // A closed pipe on the other side leaves nobody to tell.
            drop(error.print());
            return ExitCode::from(code);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(&cli, Env::process())) {
        Ok(output) => {
            output.print(cli.json);
            ExitCode::from(output.code)
        }
        Err(error) => {
            error.print(cli.json);
            ExitCode::from(error.code())
        }
    }
}

/// Runs one command with the given environment.
///
/// # Errors
/// [`CliError`] says what to do; its code is the exit code.
pub async fn run(cli: &Cli, env: Env) -> Result<Output, CliError> {
    commands::run(cli, env).await
}
