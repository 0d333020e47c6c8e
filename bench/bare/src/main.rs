//! The limits of `make bench`: the least that a competent program does with the same servers. What each of
//! them leaves out, and the product does, is said where it starts.
//!
//! Addresses come from `BARE_DATABASE_URL` and `BARE_AMQP_URL`, the queue's name from `BARE_QUEUE`. Each
//! command prints one JSON object, or nothing when it runs until it is killed.

mod door;
mod drain;
mod fill;
mod group;
mod latency;
mod load;
mod pin;
mod servers;
mod sink;
mod skip_locked;

use anyhow::{Context as _, Result, bail};

/// Named numbers of the command line: `--jobs 30000`.
pub struct Numbers(Vec<(String, u64)>);

impl Numbers {
    fn read(arguments: &[String]) -> Result<Self> {
        let mut numbers = Vec::new();
        for pair in arguments.chunks(2) {
            let [name, value] = pair else { bail!("{pair:?}: a name and its number are needed") };
            let name = name.strip_prefix("--").with_context(|| format!("{name:?} is no --name"))?;
            let value = value.parse().with_context(|| format!("--{name} {value:?} is no number"))?;
            numbers.push((name.to_owned(), value));
        }
        Ok(Self(numbers))
    }

    /// The number of this name.
    pub fn get(&self, name: &str) -> Result<u64> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| *value).with_context(|| format!("--{name} is missing"))
    }

    /// The number of this name, as a count of something in memory.
    pub fn count(&self, name: &str) -> Result<usize> {
        Ok(usize::try_from(self.get(name)?)?)
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = arguments.split_first().context("bare COMMAND [--name number]...")?;
    let numbers = Numbers::read(rest)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match command.as_str() {
            "door" => door::run(&numbers).await,
            "load" => load::run(&numbers).await,
            "fill" => fill::run(&numbers).await,
            "drain" => drain::run(&numbers).await,
            "group" => group::run(&numbers).await,
            "latency" => latency::run(&numbers).await,
            "sink" => sink::run(&numbers).await,
            "pin" => pin::run().await,
            "skip-locked" => skip_locked::run(&numbers).await,
            other => bail!("there is no command {other:?}"),
        }
    })
}
