//! The committed reference is what the commands are; completions and exit codes are those that it says.

use std::path::Path;
use std::process::Command;

use clap::CommandFactory;

#[test]
fn the_committed_reference_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/syncctl.md");
    let current = syncctl::reference::page(&syncctl::Cli::command());
    if std::env::var_os("UPDATE_SYNCCTL").is_some() {
        std::fs::write(&path, &current).expect("docs/syncctl.md can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == current,
        "docs/syncctl.md is out of date: run UPDATE_SYNCCTL=1 cargo test -p syncctl"
    );
}

fn run(words: &[&str]) -> (Option<i32>, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_syncctl")).args(words).env_clear().output().expect("it runs");
    (done.status.code(), String::from_utf8(done.stdout).expect("UTF-8"))
}

#[test]
fn exit_codes_are_those_of_the_reference() {
    assert_eq!(run(&["--help"]).0, Some(0));
    assert_eq!(run(&["no-such-command"]).0, Some(64));
    assert_eq!(run(&["queue"]).0, Some(64), "without SYNCLINE_TOKEN");
    let nobody = Command::new(env!("CARGO_BIN_EXE_syncctl"))
        .args(["top", "--once"])
        .env_clear()
        .env("SYNCLINE_TOKEN", "x")
        .env("SYNCLINE_API_URL", "http://127.0.0.1:9")
        .output()
        .expect("it runs");
    assert_eq!(nobody.status.code(), Some(1), "nobody answers");
}

#[test]
fn shells_learn_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, script) = run(&["completions", shell]);
        assert_eq!(code, Some(0), "{shell}");
        for word in ["verify-integration", "flags", "dead-letter"] {
            assert!(script.contains(word), "{shell} does not learn {word}");
        }
    }
}
