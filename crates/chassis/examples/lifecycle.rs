//! A service of nothing but its life: the process tests start it, and it shows how a service looks.
//!
//! `LIFECYCLE_MODE` is `work` (finishes the piece in hand when asked to end), `panic`, `error` (a
//! critical task fails), `refuse` (the start fails) or `stuck` (a task that never ends).

use std::process::ExitCode;
use std::time::Duration;

use chassis::config::{Env, FromEnv, SecretSource};
use chassis::health::Need;
use chassis::service::{BoxError, Service, ServiceInfo};
use chassis::time::pause;

#[derive(Debug)]
struct Config {
    mode: String,
    password: Option<SecretSource>,
}

impl FromEnv for Config {
    fn from_env(env: &mut Env) -> Self {
        Self { mode: env.required("LIFECYCLE_MODE"), password: env.secret("LIFECYCLE_PASSWORD") }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the mode {0} fails on purpose")]
struct OnPurpose(String);

async fn start(service: Service<Config>) -> Result<(), BoxError> {
    let Service { config, tasks, shutdown, health, .. } = service;
    let dependency = health.dependency("nothing", Need::Hard);
    tracing::info_span!("job", job_id = 7).in_scope(|| {
        tracing::warn!(has_password = config.password.is_some(), "configured");
    });
    let draining = shutdown.draining();
    match config.mode.as_str() {
        "work" => tasks.spawn("work", async move {
            draining.cancelled().await;
            pause(Duration::from_millis(300)).await; // the piece of work in hand
            tracing::info!("work finished");
        }),
        "panic" => tasks.spawn_critical("work", async {
            assert!(!dependency_is_away(), "on purpose");
            Ok::<(), OnPurpose>(())
        }),
        "error" => tasks.spawn_critical("work", async move { Err(OnPurpose("error".to_owned())) }),
        "stuck" => tasks.spawn("stuck", std::future::pending()),
        other => return Err(Box::new(OnPurpose(other.to_owned()))),
    }
    dependency.up();
    Ok(())
}

fn dependency_is_away() -> bool {
    true
}

fn main() -> ExitCode {
    chassis::service::main(ServiceInfo { name: "lifecycle", admin_default_port: 0 }, start)
}
