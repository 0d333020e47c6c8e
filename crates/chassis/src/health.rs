//! What this process depends on, and whether it may receive work.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;

use crate::lifecycle::Shutdown;

/// How much a dependency matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// Without it the process is not ready.
    Hard,
    /// Without it the process works in a degraded way.
    Soft,
}

/// The dependencies of this process and their state. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Health {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    dependencies: Mutex<Vec<Dependency>>,
    shutdown: Shutdown,
}

/// One dependency's latch: whoever talks to it says how it is. Starts as down ("starting").
#[derive(Debug, Clone)]
pub struct Dependency {
    inner: Arc<DependencyInner>,
}

#[derive(Debug)]
struct DependencyInner {
    name: &'static str,
    need: Need,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// `None` when up.
    down: Option<String>,
    since: Instant,
}

/// A dependency's state at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DependencyStatus {
    /// Its name, as given to [`Health::dependency`].
    pub name: &'static str,
    /// How much it matters.
    pub need: Need,
    /// Whether it answers.
    pub up: bool,
    /// Why it is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whole seconds since it became up or down.
    pub since_seconds: u64,
}

/// The state of the process at one moment, as `/readyz` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// `ready`, `degraded` (a soft dependency is down), `not_ready` or `shutting_down`.
    pub status: &'static str,
    /// Every dependency, in the order of registration.
    pub dependencies: Vec<DependencyStatus>,
}

impl Health {
    /// No dependencies, ready until `shutdown` begins.
    pub fn watching(shutdown: &Shutdown) -> Self {
        Self { inner: Arc::new(Inner { dependencies: Mutex::default(), shutdown: shutdown.clone() }) }
    }

    /// No dependencies and no shutdown to watch, for tests.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a dependency; one of the same name is returned as it is.
    pub fn dependency(&self, name: &'static str, need: Need) -> Dependency {
        let mut dependencies = self.inner.dependencies.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = dependencies.iter().find(|known| known.inner.name == name) {
            return known.clone();
        }
        let state = Mutex::new(State { down: Some("starting".to_owned()), since: Instant::now() });
        let dependency = Dependency { inner: Arc::new(DependencyInner { name, need, state }) };
        metrics::gauge!("dependency_up", "dependency" => name).set(0.0);
        dependencies.push(dependency.clone());
        dependency
    }

    /// The state now.
    pub fn snapshot(&self) -> Snapshot {
        let dependencies: Vec<DependencyStatus> = {
            let dependencies = self.inner.dependencies.lock().unwrap_or_else(PoisonError::into_inner);
            dependencies.iter().map(Dependency::status).collect()
        };
        let down = |need| dependencies.iter().any(|status| status.need == need && !status.up);
        let status = if self.inner.shutdown.has_begun() {
            "shutting_down"
        } else if down(Need::Hard) {
            "not_ready"
        } else if down(Need::Soft) {
            "degraded"
        } else {
            "ready"
        };
        Snapshot { status, dependencies }
    }

    /// Whether work may be sent here: no shutdown has begun and every hard dependency is up.
    pub fn ready(&self) -> bool {
        self.snapshot().is_ready()
    }
}

impl Snapshot {
    /// Whether work may be sent here.
    pub fn is_ready(&self) -> bool {
        matches!(self.status, "ready" | "degraded")
    }
}

impl Dependency {
    /// It answered.
    pub fn up(&self) {
        self.change(None);
    }

    /// It did not answer, for this reason (no secrets: the reason is shown at `/readyz`).
    pub fn down(&self, reason: impl Into<String>) {
        self.change(Some(reason.into()));
    }

    /// Whether it answered last time.
    pub fn is_up(&self) -> bool {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner).down.is_none()
    }

    /// The name it was registered under.
    pub fn name(&self) -> &'static str {
        self.inner.name
    }

    fn status(&self) -> DependencyStatus {
        let state = self.inner.state.lock().unwrap_or_else(PoisonError::into_inner);
        DependencyStatus {
            name: self.inner.name,
            need: self.inner.need,
            up: state.down.is_none(),
            reason: state.down.clone(),
            since_seconds: state.since.elapsed().as_secs(),
        }
    }

    /// Logs when up becomes down or the reverse, not when only the reason changes.
    fn change(&self, down: Option<String>) {
        let mut state = self.inner.state.lock().unwrap_or_else(PoisonError::into_inner);
        let dependency = self.inner.name;
        if state.down.is_some() != down.is_some() {
            match &down {
                None => tracing::info!(dependency, "dependency is up"),
                Some(reason) => tracing::warn!(dependency, reason, "dependency is down"),
            }
            metrics::gauge!("dependency_up", "dependency" => dependency).set(if down.is_none() {
                1.0
            } else {
                0.0
            });
            state.since = Instant::now();
        }
        state.down = down;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_follows_hard_dependencies_and_the_shutdown() {
        let shutdown = Shutdown::new();
        let health = Health::watching(&shutdown);
        assert_eq!(health.snapshot().status, "ready");
        let database = health.dependency("database", Need::Hard);
        let cache = health.dependency("cache", Need::Soft);
        assert_eq!(health.snapshot().dependencies[0].reason.as_deref(), Some("starting"));
        assert!(!health.ready());
        database.up();
        assert_eq!((health.ready(), health.snapshot().status), (true, "degraded"));
        cache.up();
        assert_eq!(health.snapshot().status, "ready");
        health.dependency("database", Need::Hard).down("connection refused");
        assert!(!health.ready() && !database.is_up());
        database.up();
        shutdown.begin();
        assert_eq!((health.ready(), health.snapshot().status), (false, "shutting_down"));
    }
}
