//! `docs/syncctl.md`, written from the commands' own definition.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command};

const HEAD: &str = "# syncctl

Written by `crates/syncctl/tests/reference.rs` from the code; do not edit by hand.

`SYNCLINE_API_URL` (default `http://127.0.0.1:3000`) and `SYNCLINE_TOKEN` lead commands to the API; those that name
`DATABASE_URL` work on the database. Every command takes `--json` and then prints one JSON value on standard output.
Completions: `syncctl completions bash > /etc/bash_completion.d/syncctl`.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | it failed, was refused, or what was judged is not as it should be |
| 64 | the command or the configuration cannot be used; nothing was done |
";

/// The page.
pub fn page(root: &Command) -> String {
    let mut page = HEAD.to_owned();
    for command in root.get_subcommands().filter(|c| c.get_name() != "help") {
        section(&mut page, command, root.get_name(), 2);
    }
    page
}

fn section(page: &mut String, command: &Command, parent: &str, level: usize) {
    let path = format!("{parent} {}", command.get_name());
    let words: Vec<String> =
        std::iter::once(path.clone()).chain(command.get_positionals().map(placeholder)).collect();
    // Writing to a String cannot fail.
    let _ = write!(page, "\n{} `{}`\n", "#".repeat(level), words.join(" "));
    if let Some(about) = command.get_long_about().or_else(|| command.get_about()) {
        let _ = write!(page, "\n{about}.\n");
    }
    let shown = |arg: &&Arg| !arg.is_global_set() && arg.get_id() != "help" && !arg.is_hide_set();
    let mut rows = command.get_arguments().filter(shown).peekable();
    if rows.peek().is_some() {
        page.push_str("\n| option | meaning |\n|---|---|\n");
    }
    for arg in rows {
        let _ = writeln!(page, "| `{}` | {} |", spelled(arg), meaning(arg));
    }
    for sub in command.get_subcommands().filter(|c| c.get_name() != "help") {
        section(page, sub, &path, (level + 1).min(4));
    }
}

fn placeholder(arg: &Arg) -> String {
    let name = arg.get_id().as_str().to_uppercase();
    if arg.is_required_set() { format!("<{name}>") } else { format!("[{name}]") }
}

fn spelled(arg: &Arg) -> String {
    let Some(long) = arg.get_long() else { return placeholder(arg) };
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return format!("--{long}");
    }
    let value = arg.get_value_names().and_then(|names| names.first()).map_or("VALUE", |name| name.as_str());
    format!("--{long} <{value}>")
}

fn meaning(arg: &Arg) -> String {
    let mut text = arg.get_help().map(ToString::to_string).unwrap_or_default().replace('|', "\\|");
    let values: Vec<String> =
        arg.get_possible_values().iter().map(|v| format!("`{}`", v.get_name())).collect();
    if !values.is_empty() && !matches!(arg.get_action(), ArgAction::SetTrue) {
        let _ = write!(text, " ({})", values.join(", "));
    }
    let default: Vec<_> = arg.get_default_values().iter().map(|v| v.to_string_lossy()).collect();
    if !default.is_empty() && !matches!(arg.get_action(), ArgAction::SetTrue) {
        let _ = write!(text, " [{}]", default.join(", "));
    }
    text
}
