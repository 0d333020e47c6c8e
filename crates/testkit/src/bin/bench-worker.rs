//! The worker of `make bench`: a process built on the job layer as `sync-worker` is, for jobs that do nothing
//! but leave one effect.

use std::process::ExitCode;

use broker::{Broker, BrokerConfig};
use chassis::config::{Env, FromEnv};
use chassis::service::{BoxError, Service, ServiceInfo};
use job_runtime::{Handlers, Host, Runtime, RuntimeConfig};
use store::{DatabaseConfig, Store};
use testkit::bench_job::{GroupedEffectHandler, OneEffectHandler};

#[derive(Debug)]
struct Config {
    database: DatabaseConfig,
    broker: BrokerConfig,
    runtime: RuntimeConfig,
}

impl FromEnv for Config {
    fn from_env(env: &mut Env) -> Self {
        Self {
            database: DatabaseConfig::from_env(env),
            broker: BrokerConfig::from_env(env),
            runtime: RuntimeConfig::from_env(env),
        }
    }
}

async fn start(service: Service<Config>) -> Result<(), BoxError> {
    let host = Host::from(&service);
    let Service { config, tasks, shutdown, health, .. } = service;
    let store = Store::new(&config.database, "bench-worker")?;
    let broker = Broker::new(&config.broker, "bench-worker", &health, &tasks, &shutdown);
    let handlers = Handlers::new().with(OneEffectHandler).with_group(GroupedEffectHandler);
    Runtime::start(config.runtime, store, &broker, handlers, host);
    Ok(())
}

fn main() -> ExitCode {
    chassis::service::main(ServiceInfo { name: "bench-worker", admin_default_port: 9119 }, start)
}
