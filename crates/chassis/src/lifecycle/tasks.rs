//! The tasks of a process: named, counted, waited for; the end of a critical one ends the process.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::service::BoxError;

/// Spawns tasks and knows which of them still run. Clones share the same tasks.
#[derive(Clone, Default)]
pub struct Tasks {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    tracker: TaskTracker,
    running: Mutex<BTreeMap<&'static str, usize>>,
    failure: Mutex<Option<TaskFailure>>,
    failed: CancellationToken,
}

/// Why a critical task ended the process.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("critical task {task} failed: {reason}")]
pub struct TaskFailure {
    /// The task's name.
    pub task: &'static str,
    /// Its error with all causes, or that it panicked.
    pub reason: String,
}

impl Tasks {
    /// No tasks yet. A service gets its own from [`crate::service::Service`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `fut` as a task that a shutdown waits for. A panic in it is logged and counted in
    /// `tasks_panicked_total{task}`; the process goes on.
    pub fn spawn(&self, name: &'static str, fut: impl Future<Output = ()> + Send + 'static) {
        self.start(name, async move {
            if AssertUnwindSafe(fut).catch_unwind().await.is_err() {
                // The panic hook has logged what and where.
                metrics::counter!("tasks_panicked_total", "task" => name).increment(1);
            }
        });
    }

    /// Runs `fut` as a task without which the process is of no use: an error or a panic begins the
    /// shutdown, and the process ends with a failing exit code. Returning `Ok` is a normal end.
    pub fn spawn_critical<E>(
        &self,
        name: &'static str,
        fut: impl Future<Output = Result<(), E>> + Send + 'static,
    ) where
        E: Into<BoxError> + Send + 'static,
    {
        let tasks = self.clone();
        self.start(name, async move {
            let reason = match AssertUnwindSafe(fut).catch_unwind().await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => crate::telemetry::chain(&*error.into()),
                Err(_) => {
                    metrics::counter!("tasks_panicked_total", "task" => name).increment(1);
                    "it panicked".to_owned()
                }
            };
            tasks.fail(TaskFailure { task: name, reason });
        });
    }

    fn start(&self, name: &'static str, fut: impl Future<Output = ()> + Send + 'static) {
        let entry = Entry::new(self.inner.clone(), name);
        self.inner.tracker.spawn(async move {
            fut.await;
            drop(entry);
        });
    }

    fn fail(&self, failure: TaskFailure) {
        tracing::error!(
            task = failure.task,
            reason = failure.reason,
            "critical task failed, the process ends"
        );
        self.inner.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
        self.inner.failed.cancel();
    }

    /// The first failure of a critical task, if there was one.
    pub fn failure(&self) -> Option<TaskFailure> {
        self.inner.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until a critical task fails.
    pub async fn failed(&self) {
        self.inner.failed.cancelled().await;
    }

    /// Waits until no task runs. Tasks may still be spawned meanwhile and are waited for too.
    pub async fn wait(&self) {
        self.inner.tracker.close();
        self.inner.tracker.wait().await;
    }

    /// Names of the running tasks, with how many of each, for the log of a slow shutdown.
    pub fn running(&self) -> Vec<(&'static str, usize)> {
        let running = self.inner.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.iter().map(|(name, count)| (*name, *count)).collect()
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks").field("running", &self.running()).finish()
    }
}

/// Counts a task as running for as long as it lives.
struct Entry {
    inner: Arc<Inner>,
    name: &'static str,
}

impl Entry {
    fn new(inner: Arc<Inner>, name: &'static str) -> Self {
        *inner.running.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
        Self { inner, name }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut running = self.inner.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = running.get_mut(self.name) {
            *count -= 1;
            if *count == 0 {
                running.remove(self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::deadline;
    use std::time::Duration;

    #[derive(Debug, thiserror::Error)]
    #[error("no rows")]
    struct NoRows;

    #[tokio::test]
    async fn running_tasks_are_named_and_waited_for() {
        let tasks = Tasks::new();
        let gate = CancellationToken::new();
        tasks.spawn("gated", gate.clone().cancelled_owned());
        assert_eq!(tasks.running(), [("gated", 1)]);
        gate.cancel();
        deadline("tasks", Duration::from_secs(5), tasks.wait()).await.expect("the task ends");
        assert!(tasks.running().is_empty() && tasks.failure().is_none());
    }

    #[tokio::test]
    async fn an_error_or_panic_of_a_critical_task_is_a_failure_and_a_plain_panic_is_not() {
        let plain = Tasks::new();
        plain.spawn("plain", async { panic!("on purpose") });
        deadline("tasks", Duration::from_secs(5), plain.wait()).await.expect("the task ends");
        assert_eq!(plain.failure(), None);

        for panics in [false, true] {
            let tasks = Tasks::new();
            tasks.spawn_critical("reaper", async move {
                assert!(!panics, "on purpose");
                Err(NoRows)
            });
            deadline("failure", Duration::from_secs(5), tasks.failed()).await.expect("it fails");
            let failure = tasks.failure().expect("recorded");
            assert_eq!(failure.reason, if panics { "it panicked" } else { "no rows" });
        }
    }
}
