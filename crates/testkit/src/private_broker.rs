//! A RabbitMQ of one test alone, for faults that would hit every test on a shared one: memory alarms,
//! time-outs, channels closed from the server's side.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::servers::unique;

/// A running server; it ends, and its folder goes, with this value.
#[derive(Debug)]
pub struct PrivateBroker {
    folder: PathBuf,
    /// AMQP URL of its administrator.
    pub url: String,
}

impl PrivateBroker {
    /// Starts one; takes some seconds.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("syncline-rabbitmq-{}", unique()));
        let started = run(&folder, &["start"]);
        let url = text(&started).lines().last().unwrap_or_default().to_owned();
        let broker = Self { folder, url };
        assert!(started.status.success() && broker.url.starts_with("amqp://"), "{}", text(&started));
        broker
    }

    /// Runs `rabbitmqctl`.
    ///
    /// # Panics
    /// When it fails.
    pub fn control(&self, arguments: &[&str]) -> String {
        let done = run(&self.folder, &[&["rabbitmqctl"], arguments].concat());
        assert!(done.status.success(), "rabbitmqctl {arguments:?}: {}", text(&done));
        text(&done)
    }

    /// Evaluates an Erlang expression in the server.
    ///
    /// # Panics
    /// When it fails.
    pub fn eval(&self, expression: &str) -> String {
        self.control(&["eval", expression])
    }
}

impl Drop for PrivateBroker {
    fn drop(&mut self) {
        let done = run(&self.folder, &["stop"]);
        if !done.status.success() {
            eprintln!("stopping the private RabbitMQ: {}", text(&done));
        }
    }
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/lib/private-rabbitmq");
    let command = Command::new(script).arg(folder).args(arguments).output();
    command.unwrap_or_else(|error| panic!("scripts/lib/private-rabbitmq cannot be run: {error}"))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}
