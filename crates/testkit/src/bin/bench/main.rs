//! `make bench`: what issue and README promise, measured, each beside its goal.
//!
//! `bench [name ...]`; without a name, all of them. docs/benchmarks.md explains each.

mod calendar;
mod copy;
mod delta;
mod idle;
mod import;
mod ingress;
mod jobs;
mod report;
mod setup;
mod throttle;

use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(report::run(&wanted))
}
