//! The part of the configuration that every service has.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::ServiceInfo;
use crate::config::{Env, FromEnv};
use crate::telemetry::TelemetryConfig;

/// Default of `SHUTDOWN_GRACE_SECONDS`: below the 30 s that Kubernetes gives.
const GRACE_SECONDS: u64 = 25;
/// Default of `TOKIO_WORKER_THREADS`: services wait more than they compute.
const WORKERS: usize = 2;

#[derive(Debug)]
pub(super) struct ChassisConfig {
    pub(super) admin_address: SocketAddr,
    pub(super) admin_variable: String,
    pub(super) grace: Duration,
    pub(super) workers: usize,
    pub(super) telemetry: TelemetryConfig,
}

impl ChassisConfig {
    pub(super) fn read(info: ServiceInfo, env: &mut Env) -> Self {
        let admin_variable = info.variable("ADMIN_ADDR");
        let default_address = SocketAddr::from((Ipv4Addr::LOCALHOST, info.admin_default_port));
        let workers = env.parse("TOKIO_WORKER_THREADS", WORKERS);
        if workers == 0 {
            env.fault("TOKIO_WORKER_THREADS", "must be at least 1, got `0`; remove it or raise it");
        }
        Self {
            admin_address: env.parse(&admin_variable, default_address),
            admin_variable,
            grace: env.seconds("SHUTDOWN_GRACE_SECONDS", GRACE_SECONDS),
            workers: workers.max(1),
            telemetry: TelemetryConfig::from_env(env),
        }
    }
}
