//! `syncctl completions`

use clap::CommandFactory;
use clap_complete::Shell;
use serde_json::json;

use crate::cli::{Cli, ShellArg};
use crate::output::Output;

/// The script of a shell.
pub fn run(shell: ShellArg) -> Output {
    let shell = match shell {
        ShellArg::Bash => Shell::Bash,
        ShellArg::Zsh => Shell::Zsh,
        ShellArg::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "syncctl", &mut script);
    let script = String::from_utf8_lossy(&script).trim_end().to_owned();
    Output::new(json!({ "shell": shell.to_string(), "script": script }), script)
}
