//! (d) published job systems on the same machine and servers, with jobs that do nothing.
//!
//! In their favour: the time runs from a peer's first job to its last, without its start and its last commit;
//! ours runs from the start of the process to the last commit.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use testkit::servers::{amqp_url, redis_url};
use tokio::process::Command;

use super::world::World;
use super::{drain, group, knobs};
use crate::report::Report;

struct Peer {
    name: &'static str,
    jobs: u32,
    /// How many times its rate ours shall be.
    goal: Option<f64>,
    /// What ours gives for the difference.
    gives: &'static str,
}

const PEERS: [Peer; 5] = [
    Peer {
        name: "celery",
        jobs: 4_000,
        goal: Some(12.0),
        gives: "enqueue in the caller's transaction, effect and done in one commit, fenced leases, dead letters",
    },
    Peer {
        name: "dramatiq",
        jobs: 10_000,
        goal: None,
        gives: "a ledger at all: it keeps no state beside the message; effects exactly once, retries that can be seen",
    },
    Peer {
        name: "apalis-postgres",
        jobs: 20_000,
        goal: None,
        gives: "effect and done in one commit (there: two), fenced writes",
    },
    Peer {
        name: "bullmq",
        jobs: 30_000,
        goal: None,
        gives: "nothing lost when the machine fails (there: up to 1 s), jobs that commit with the data they belong to",
    },
    Peer {
        name: "graphile-worker",
        jobs: 60_000,
        goal: None,
        gives: "effect and done in one commit, a killed worker's jobs back in seconds (there: 4 h), one answer to why",
    },
];

/// Measures.
pub async fn measure(report: &mut Report) -> Result<()> {
    let ours = drain::rate(knobs::jobs()?).await?;
    let grouped = group::rate(knobs::jobs()? * 2).await?;
    report.note("(d) ours, one transaction each, beside published peers", format!("{ours:.0} jobs/s"));
    report.note("    ours, with group commit", format!("{grouped:.0} jobs/s"));
    for peer in &PEERS {
        match run(peer).await {
            Ok(found) => add(report, peer, (ours, grouped), &found)?,
            Err(error) => report.goal(
                format!("    {}", peer.name),
                format!("not measured: {error:#}"),
                peer.goal.map_or_else(String::new, |goal| format!(">= x {goal:.0}")),
                false,
            ),
        }
    }
    Ok(())
}

fn add(report: &mut Report, peer: &Peer, (ours, grouped): (f64, f64), found: &Value) -> Result<()> {
    let number = |name: &str| found[name].as_f64().with_context(|| format!("no {name} in {found}"));
    let (drained, enqueued) = (number("drain")?, number("enqueue")?);
    let what = format!("    {} (enqueues {enqueued:.0}/s)", peer.name);
    let ratio = ours / drained;
    let measured = format!("{drained:.0} jobs/s, ours x {ratio:.2} (grouped x {:.2})", grouped / drained);
    match peer.goal {
        Some(goal) => report.goal(what, measured, format!(">= x {goal:.0}"), ratio >= goal),
        None => report.note(what, measured),
    }
    report.remark(format!("      ours gives beside it: {}", peer.gives));
    Ok(())
}

async fn run(peer: &Peer) -> Result<Value> {
    let folder = std::env::var_os("BENCH_PEERS").map(PathBuf::from).context("BENCH_PEERS is not set")?;
    let command = std::fs::read_to_string(folder.join(peer.name)).context("it was not installed")?;
    if let Some(reason) = command.strip_prefix("missing: ") {
        anyhow::bail!("{}", reason.trim());
    }
    let mut words = command.lines();
    let program = words.next().context("an empty command")?;
    let world = World::new().await?;
    let output = Command::new(program)
        .args(words)
        .env("PEER_DATABASE_URL", world.database())
        .env("PEER_AMQP_URL", amqp_url())
        .env("PEER_REDIS_URL", redis_url())
        .env("PEER_NAME", format!("{}peer", world.broker.prefix))
        .env("PEER_JOBS", peer.jobs.to_string())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("it cannot be started")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or("it said nothing");
    ensure!(output.status.success(), "it ended with {}: {last}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().context("it printed nothing")?;
    let found = serde_json::from_str(line).with_context(|| format!("it printed {line:?}"))?;
    world.finish()?;
    Ok(found)
}
