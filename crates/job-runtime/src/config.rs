//! `WORKER_QUEUES`, `WORKER_CONCURRENCY` and `LEASE_SECONDS`.

use std::time::Duration;

use chassis::config::{Env, FromEnv};
use contracts::jobs::Queue;

/// Most jobs at a time: RabbitMQ accepts no more than 2,000 unacknowledged deliveries per quorum queue
/// consumer, and a process does not usefully run as many.
const MAX_CONCURRENCY: u16 = 512;
/// Shortest lease that leaves room for a slow commit between two heartbeats.
const MIN_LEASE_SECONDS: i32 = 6;

/// Settings of a worker.
#[derive(Debug, Clone)]
pub struct RuntimeConfig {
    /// `WORKER_QUEUES`: names separated by commas, with or without `jobs.`; `None` (unset) serves every
    /// queue that has a handler.
    pub queues: Option<Vec<Queue>>,
    /// `WORKER_CONCURRENCY` (default 8): jobs at a time, of all queues together.
    pub concurrency: u16,
    /// `LEASE_SECONDS` (default 30): after this long without a heartbeat another worker takes the job over.
    pub lease_seconds: i32,
}

impl FromEnv for RuntimeConfig {
    fn from_env(env: &mut Env) -> Self {
        let concurrency = env.parse("WORKER_CONCURRENCY", 8_u16);
        if !(1..=MAX_CONCURRENCY).contains(&concurrency) {
            env.fault(
                "WORKER_CONCURRENCY",
                format!("must be 1 to {MAX_CONCURRENCY}, got `{concurrency}`; correct it"),
            );
        }
        let lease_seconds = env.parse("LEASE_SECONDS", 30_i32);
        if lease_seconds < MIN_LEASE_SECONDS {
            env.fault(
                "LEASE_SECONDS",
                format!("must be at least {MIN_LEASE_SECONDS}, got `{lease_seconds}`; raise it"),
            );
        }
        let queues = env.optional("WORKER_QUEUES").map(|names| read_queues(env, &names));
        Self {
            queues,
            concurrency: concurrency.clamp(1, MAX_CONCURRENCY),
            lease_seconds: lease_seconds.max(1),
        }
    }
}

impl RuntimeConfig {
    /// Time between two heartbeats.
    pub(crate) fn heartbeat(&self) -> Duration {
        self.lease() / 3
    }

    /// Time without a successful heartbeat after which the attempt stops by itself.
    pub(crate) fn self_stop(&self) -> Duration {
        self.lease() * 2 / 3
    }

    fn lease(&self) -> Duration {
        Duration::from_secs(u64::from(self.lease_seconds.unsigned_abs()))
    }
}

fn read_queues(env: &mut Env, names: &str) -> Vec<Queue> {
    let mut queues = Vec::new();
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let found =
            Queue::ALL.into_iter().find(|q| q.name() == name || q.name().strip_prefix("jobs.") == Some(name));
        match found {
            Some(queue) if !queues.contains(&queue) => queues.push(queue),
            Some(_) => {}
            None => env.fault(
                "WORKER_QUEUES",
                format!(
                    "knows documents, calendar, messages, maintenance and audit, got `{name}`; correct it"
                ),
            ),
        }
    }
    queues
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_read_by_name() {
        let mut env = Env::from_pairs([("WORKER_QUEUES", "documents, jobs.audit,documents")]);
        let config = RuntimeConfig::from_env(&mut env);
        assert_eq!(config.queues, Some(vec![Queue::Documents, Queue::Audit]));
        assert_eq!(
            (config.heartbeat(), config.self_stop()),
            (Duration::from_secs(10), Duration::from_secs(20))
        );
        env.finish().expect("no faults");
    }

    #[test]
    fn wrong_values_are_faults() {
        let mut env =
            Env::from_pairs([("WORKER_QUEUES", "mail"), ("WORKER_CONCURRENCY", "0"), ("LEASE_SECONDS", "2")]);
        RuntimeConfig::from_env(&mut env);
        assert_eq!(env.finish().expect_err("three faults").0.len(), 3);
    }
}
