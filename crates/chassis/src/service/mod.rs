//! The life of a service process, from its environment to its exit code.

mod config;
mod run;
mod signals;

use std::fmt::Debug;
use std::future::Future;
use std::process::ExitCode;

use domain::time::SharedClock;

use crate::config::{ConfigFaults, Env, FromEnv};
use crate::health::Health;
use crate::lifecycle::{Shutdown, Tasks};
use config::ChassisConfig;

/// Exit code of a configuration that cannot be used (EX_USAGE of sysexits.h).
pub const EXIT_CONFIG: u8 = 64;

/// Any error that ends a service's start.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a service is called and where its admin port is by default.
#[derive(Debug, Clone, Copy)]
pub struct ServiceInfo {
    /// Name in logs and traces; upper-snake of it prefixes the service's variables.
    pub name: &'static str,
    /// Port of the admin listener on 127.0.0.1 unless `<SERVICE>_ADMIN_ADDR` says otherwise.
    pub admin_default_port: u16,
}

impl ServiceInfo {
    /// The service's variable of this suffix: `graph-connector` and `ADMIN_ADDR` give
    /// `GRAPH_CONNECTOR_ADMIN_ADDR`.
    pub fn variable(&self, suffix: &str) -> String {
        format!("{}_{suffix}", self.name.to_uppercase().replace('-', "_"))
    }
}

/// What a service's start receives.
#[derive(Debug)]
pub struct Service<C> {
    /// Its validated configuration.
    pub config: C,
    /// Spawns its tasks.
    pub tasks: Tasks,
    /// Tells them when to end.
    pub shutdown: Shutdown,
    /// Collects the state of what it depends on.
    pub health: Health,
    /// The wall clock.
    pub clock: SharedClock,
}

/// Runs a service: reads the configuration (faults: one line each on standard error, exit 64),
/// starts telemetry and the admin port, runs `start` (which spawns tasks and returns), waits for
/// SIGTERM, SIGINT or the failure of a critical task, and ends in two stages within
/// `SHUTDOWN_GRACE_SECONDS` (default 25). Exit 0 when every task ended in time and none failed,
/// 1 otherwise. The argument `--check-config` only reads the configuration, `--version` only
/// prints the version.
pub fn main<C, F, Fut>(info: ServiceInfo, start: F) -> ExitCode
where
    C: FromEnv + Debug + Send + 'static,
    F: FnOnce(Service<C>) -> Fut,
    Fut: Future<Output = Result<(), BoxError>>,
{
    let check_only = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--check-config") => true,
        Some("--version") => {
            println!("{} {} ({})", info.name, crate::process::VERSION, crate::process::REVISION);
            return ExitCode::SUCCESS;
        }
        Some(_) => {
            eprintln!("usage: {} [--check-config | --version]", info.name);
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let (chassis, config) = match configure::<C>(info, Env::process()) {
        Ok(configured) => configured,
        Err(faults) => {
            eprintln!("{faults}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    if check_only {
        println!("{}: the configuration can be used", info.name);
        return ExitCode::SUCCESS;
    }
    run::run(info, &chassis, config, start)
}

fn configure<C: FromEnv>(info: ServiceInfo, mut env: Env) -> Result<(ChassisConfig, C), ConfigFaults> {
    let chassis = ChassisConfig::read(info, &mut env);
    let config = C::from_env(&mut env);
    env.finish()?;
    Ok((chassis, config))
}
