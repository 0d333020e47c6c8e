//! Sizes, each with a variable for another machine or a longer look.

use std::str::FromStr;

use anyhow::{Context as _, Result};

fn number<T: FromStr>(name: &str, default: T) -> Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name}: {text:?} is no number")),
        Err(_) => Ok(default),
    }
}

/// `BENCH_JOBS`: jobs of one drain.
pub fn jobs() -> Result<u32> {
    number("BENCH_JOBS", 30_000)
}

/// `BENCH_ROUNDS`: rounds whose median counts.
pub fn rounds() -> Result<usize> {
    number("BENCH_ROUNDS", 3_usize).map(|rounds| rounds.max(1))
}

/// `BENCH_CONCURRENCY`: jobs at a time, ours and the limit's; also their prefetch.
pub fn concurrency() -> Result<u32> {
    number("BENCH_CONCURRENCY", 64)
}

/// `BENCH_GROUPED`: jobs at a time of a worker that commits in groups; 512 is the most that a worker takes.
pub fn grouped() -> Result<u32> {
    number("BENCH_GROUPED", 512)
}

/// `BENCH_CONNECTIONS`: database connections, ours and the limit's.
pub fn connections() -> Result<u32> {
    number("BENCH_CONNECTIONS", 32)
}

/// `BENCH_PINNED_SECONDS`: time that the oldest transaction stays pinned, each of the two queues.
pub fn pinned_seconds() -> Result<u64> {
    number("BENCH_PINNED_SECONDS", 60)
}

/// `BENCH_MEMORY_JOBS`: jobs over which the worker's memory is watched.
pub fn memory_jobs() -> Result<u32> {
    number("BENCH_MEMORY_JOBS", 1_000_000)
}

/// `BENCH_LETTERS`: dead letters that are retried at once.
pub fn letters() -> Result<u32> {
    number("BENCH_LETTERS", 100_000)
}
