//! PostgreSQL, RabbitMQ and Redis that a campaign may kill: `scripts/stack` with a run folder of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

/// Servers of our own.
#[derive(Debug)]
pub struct Stack {
    script: PathBuf,
    run_dir: PathBuf,
    /// Superuser URL of PostgreSQL.
    pub postgres: String,
    /// URL of RabbitMQ.
    pub amqp: String,
    /// URL of Redis.
    pub redis: String,
}

impl Stack {
    /// Whether the servers' programs are on this machine at all (where the environment names servers elsewhere,
    /// they need not be).
    pub fn installed() -> bool {
        let postgres = std::fs::read_dir("/usr/lib/postgresql").is_ok_and(|mut found| {
            found.any(|one| one.is_ok_and(|one| one.path().join("bin/initdb").exists()))
        });
        postgres && Path::new("/usr/lib/rabbitmq").exists()
    }

    /// Starts the servers of `.run/<name>` in the checkout, or finds them running.
    ///
    /// # Errors
    /// When they do not start.
    pub async fn start(name: &str) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let root = root.canonicalize().context("the checkout")?;
        let mut stack = Self {
            script: root.join("scripts/stack"),
            run_dir: root.join(".run").join(name),
            postgres: String::new(),
            amqp: String::new(),
            redis: String::new(),
        };
        std::fs::create_dir_all(&stack.run_dir).context("creating the run folder")?;
        stack.run(&["start"]).await?;
        for line in stack.run(&["urls"]).await?.lines() {
            if let Some(url) = line.strip_prefix("export TEST_POSTGRES_URL=") {
                url.clone_into(&mut stack.postgres);
            } else if let Some(url) = line.strip_prefix("export TEST_AMQP_URL=") {
                url.clone_into(&mut stack.amqp);
            } else if let Some(url) = line.strip_prefix("export TEST_REDIS_URL=") {
                url.clone_into(&mut stack.redis);
            }
        }
        let named = [&stack.postgres, &stack.amqp, &stack.redis].iter().all(|url| !url.is_empty());
        ensure!(named, "scripts/stack urls named no servers");
        Ok(stack)
    }

    /// SIGKILL to `postgres`, `rabbitmq` or `redis`; the last one forgets everything.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill(&self, server: &str) -> Result<()> {
        self.run(&["kill", server]).await.map(drop)
    }

    /// Starts again what does not run, and waits until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn revive(&self) -> Result<()> {
        self.run(&["start"]).await.map(drop)
    }

    /// Removes everything that RabbitMQ keeps, while it is down: it comes back as new.
    ///
    /// # Errors
    /// When the files cannot be removed.
    pub fn empty_broker(&self) -> Result<()> {
        std::fs::remove_dir_all(self.run_dir.join("rabbitmq/mnesia")).context("emptying RabbitMQ")
    }

    async fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.script);
        command.args(arguments).env("STACK_RUN_DIR", &self.run_dir).env("STACK_FSYNC", "off");
        command.env("STACK_MAX_CONNECTIONS", "600");
        // The caller's servers are not to be taken for ours.
        for name in ["DATABASE_URL", "MIGRATION_DATABASE_URL", "AMQP_URL", "REDIS_URL", "PORT_OFFSET"] {
            command.env_remove(name);
        }
        let output = command.stdin(Stdio::null()).output().await.context("running scripts/stack")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "scripts/stack {}: {said}", arguments.join(" "));
        Ok(String::from_utf8_lossy(&output.stdout).replace('\'', ""))
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let stopped = std::process::Command::new(&self.script)
            .arg("stop")
            .env("STACK_RUN_DIR", &self.run_dir)
            .stdin(Stdio::null())
            .output();
        if !stopped.is_ok_and(|output| output.status.success()) {
            eprintln!("the servers of {} did not stop", self.run_dir.display());
        }
    }
}
