//! The limits: programs of `bench/bare`, which know nothing of the product.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use testkit::e2e::process::{Launch, Process};
use testkit::servers::amqp_url;
use tokio::process::{Child, Command};

use super::world::World;

/// Queue of the limits, behind the prefix.
pub const QUEUE: &str = "bare";

/// Where `scripts/bench` has built them.
fn program() -> Result<PathBuf> {
    let named = std::env::var_os("BENCH_BARE").context("BENCH_BARE is not set: run `make bench`")?;
    Ok(named.into())
}

fn env(world: &World) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("BARE_DATABASE_URL".to_owned(), world.database().to_owned()),
        ("BARE_AMQP_URL".to_owned(), amqp_url()),
        ("BARE_QUEUE".to_owned(), format!("{}{QUEUE}", world.broker.prefix)),
    ])
}

/// A limit that works until it is killed.
pub fn worker(world: &World, command: &str, numbers: &[(&str, u32)]) -> Result<Process> {
    let program = program()?.to_str().context("a path that is no text")?.to_owned();
    let args = arguments(command, numbers);
    let label = "bare".to_owned();
    Ok(Process::new(Launch {
        program,
        label,
        args,
        env: env(world),
        ready: None,
        logs: world.folder.clone(),
    }))
}

/// Runs a command to its end and reads what it prints.
pub async fn call(world: &World, command: &str, numbers: &[(&str, u32)]) -> Result<Value> {
    let mut child = Command::new(program()?);
    child.args(arguments(command, numbers)).envs(env(world)).stdin(Stdio::null()).kill_on_drop(true);
    let output = child.output().await.context("running a limit")?;
    ensure!(output.status.success(), "bare {command}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).with_context(|| format!("bare {command} printed no JSON"))
}

/// A command that says `saying` once it is ready and works until it is dropped.
async fn until_dropped(world: &World, queue: &str, arguments: &[String], saying: &str) -> Result<Child> {
    let mut command = Command::new(program()?);
    command.args(arguments).envs(env(world)).env("BARE_QUEUE", format!("{}{queue}", world.broker.prefix));
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting a limit's helper")?;
    let mut said = vec![0_u8; saying.len()];
    let output = child.stdout.as_mut().context("no output")?;
    let heard = tokio::io::AsyncReadExt::read_exact(output, &mut said).await;
    heard.with_context(|| format!("bare {} ended before it was ready", arguments.join(" ")))?;
    ensure!(said == saying.as_bytes(), "bare {} said {said:?}", arguments.join(" "));
    Ok(child)
}

/// A session that pins the oldest transaction until it is dropped.
pub async fn pin(world: &World) -> Result<Child> {
    until_dropped(world, QUEUE, &arguments("pin", &[]), "pinned").await
}

/// A consumer that takes everything off a queue until it is dropped; makes the queue when it is the limit's.
pub async fn sink(world: &World, queue: &str) -> Result<Child> {
    let declare = u32::from(queue == QUEUE);
    until_dropped(world, queue, &arguments("sink", &[("declare", declare)]), "consuming").await
}

/// Jobs per second of bulk enqueue.
pub async fn fill(world: &World, jobs: u32) -> Result<f64> {
    let done = call(world, "fill", &[("jobs", jobs), ("batch", 1000)]).await?;
    let seconds = done["seconds"].as_f64().context("no duration")?;
    Ok(f64::from(jobs) / seconds)
}

fn arguments(command: &str, numbers: &[(&str, u32)]) -> Vec<String> {
    let numbers = numbers.iter().flat_map(|(name, value)| [format!("--{name}"), value.to_string()]);
    std::iter::once(command.to_owned()).chain(numbers).collect()
}
