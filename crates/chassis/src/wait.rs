//! Waiting for a dependency to answer, without end and without noise.

use std::fmt::Display;
use std::time::Duration;

use backoff::backoff::Backoff;
use backoff::{ExponentialBackoff, ExponentialBackoffBuilder};

use crate::health::Dependency;
use crate::lifecycle::Shutdown;
use crate::time::{deadline, pause};

/// How fast it goes.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// First delay between two attempts.
    initial: Duration,
    /// Longest delay between two attempts (before jitter).
    max: Duration,
    /// Longest time one attempt may take.
    attempt: Duration,
}

const PACE: Pace = Pace {
    initial: Duration::from_millis(200),
    max: Duration::from_secs(10),
    attempt: Duration::from_secs(30),
};

/// Runs `attempt` until it succeeds, with exponential back-off and jitter (200 ms to 10 s, ±50 %),
/// and tells `dep` how it went. A failure is logged when its text changes, not at every attempt; an
/// attempt that takes longer than 30 s counts as failed. `None` when a shutdown begins first.
///
/// `attempt` is a closure that returns a future (not `AsyncFnMut`, whose futures the compiler cannot
/// yet prove `Send` inside a spawned task): `|| connect(&url)`, `async || connect(&url).await`.
pub async fn until_up<T, E, F, Fut>(
    name: &'static str,
    dep: &Dependency,
    shutdown: &Shutdown,
    attempt: F,
) -> Option<T>
where
    E: Display,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    at_pace(PACE, name, dep, shutdown, attempt).await
}

async fn at_pace<T, E, F, Fut>(
    pace: Pace,
    name: &'static str,
    dep: &Dependency,
    shutdown: &Shutdown,
    mut attempt: F,
) -> Option<T>
where
    E: Display,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let draining = shutdown.draining();
    let mut delays = delays(pace);
    let mut last_failure: Option<String> = None;
    loop {
        let outcome = tokio::select! {
            biased;
            () = draining.cancelled() => return None,
            outcome = deadline(name, pace.attempt, attempt()) => outcome,
        };
        let failure = match outcome {
            Ok(Ok(value)) => {
                dep.up();
                return Some(value);
            }
            Ok(Err(error)) => error.to_string(),
            Err(elapsed) => elapsed.to_string(),
        };
        let was_up = dep.is_up(); // then its fall is logged by `down`
        dep.down(failure.as_str());
        if last_failure.as_ref() != Some(&failure) && !was_up {
            tracing::warn!(dependency = name, error = failure, "dependency does not answer, will try again");
        }
        last_failure = Some(failure);
        let delay = delays.next_backoff().unwrap_or(pace.max);
        tokio::select! {
            () = draining.cancelled() => return None,
            () = pause(delay) => {}
        }
    }
}

fn delays(pace: Pace) -> ExponentialBackoff {
    ExponentialBackoffBuilder::new()
        .with_initial_interval(pace.initial)
        .with_max_interval(pace.max)
        .with_multiplier(2.0)
        .with_randomization_factor(0.5)
        .with_max_elapsed_time(None)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Health, Need};
    use crate::lifecycle::Tasks;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::sync::Notify;

    const FAST: Pace = Pace {
        initial: Duration::from_millis(1),
        max: Duration::from_millis(2),
        attempt: Duration::from_millis(5),
    };

    #[tokio::test]
    async fn it_waits_until_the_dependency_answers() {
        let dep = Health::new().dependency("database", Need::Hard);
        let mut left = 5;
        let value = at_pace(FAST, "database", &dep, &Shutdown::new(), || {
            left -= 1;
            std::future::ready(if left == 0 { Ok(42) } else { Err(format!("{left} to go")) })
        })
        .await;
        assert_eq!(value, Some(42));
        assert!(dep.is_up());
    }

    #[tokio::test]
    async fn a_hanging_attempt_is_ended_and_a_shutdown_ends_the_wait_inside_a_spawned_task() {
        let health = Health::new();
        let dep = health.dependency("broker", Need::Hard);
        let (shutdown, tasks) = (Shutdown::new(), Tasks::new());
        let in_task = shutdown.clone();
        let second_attempt = std::sync::Arc::new(Notify::new());
        let notify = second_attempt.clone();
        tasks.spawn("wait", async move {
            let attempts = AtomicU32::new(0);
            let gone: Option<()> = at_pace(FAST, "broker", &dep, &in_task, async || {
                if attempts.fetch_add(1, Ordering::Relaxed) == 1 {
                    notify.notify_one();
                }
                std::future::pending::<()>().await;
                Err("unreachable")
            })
            .await;
            assert_eq!(gone, None);
        });
        deadline("attempt 2", Duration::from_secs(5), second_attempt.notified())
            .await
            .expect("it tries again");
        let reason = health.snapshot().dependencies[0].reason.clone();
        assert_eq!(reason.as_deref(), Some("broker took longer than 5ms"));
        shutdown.begin();
        deadline("the task", Duration::from_secs(5), tasks.wait()).await.expect("it ends");
    }

    #[test]
    fn delays_grow_to_the_limit() {
        let mut delays = delays(PACE);
        let all: Vec<Duration> = (0..20).filter_map(|_| delays.next_backoff()).collect();
        assert_eq!(all.len(), 20, "they never run out");
        assert!(
            all[0] <= PACE.initial * 3 / 2 && all.iter().all(|delay| *delay <= PACE.max * 3 / 2),
            "{all:?}"
        );
    }
}
