//! Start, wait, and the two stages of the end.

use std::fmt::Debug;
use std::future::Future;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::config::ChassisConfig;
use super::signals::Signals;
use super::{BoxError, Service, ServiceInfo};
use crate::admin::{self, Admin, Heartbeat};
use crate::health::Health;
use crate::lifecycle::{Shutdown, Tasks};
use crate::process::{REVISION, VERSION};
use crate::telemetry::{self, chain};
use crate::time::{SystemClock, deadline, pause};

/// Longest part of the grace that is kept for stage 2, to hand back what is held.
const STAGE_TWO: Duration = Duration::from_secs(5);
/// Longest wait for blocking calls that nobody can cancel.
const BLOCKING: Duration = Duration::from_millis(500);

pub(super) fn run<C, F, Fut>(info: ServiceInfo, chassis: &ChassisConfig, config: C, start: F) -> ExitCode
where
    C: Debug + Send + 'static,
    F: FnOnce(Service<C>) -> Fut,
    Fut: Future<Output = Result<(), BoxError>>,
{
    match try_run(info, chassis, config, start) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{}: {}", info.name, chain(&*error));
            ExitCode::FAILURE
        }
    }
}

/// `Ok(true)` for a clean end; `Err` when the process could not even begin to log.
fn try_run<C, F, Fut>(
    info: ServiceInfo,
    chassis: &ChassisConfig,
    config: C,
    start: F,
) -> Result<bool, BoxError>
where
    C: Debug + Send + 'static,
    F: FnOnce(Service<C>) -> Fut,
    Fut: Future<Output = Result<(), BoxError>>,
{
    // One provider for the whole process; an error means that it is already installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let listener = crate::net::listen_blocking(chassis.admin_address, &chassis.admin_variable)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(chassis.workers)
        .thread_name(info.name)
        .enable_all()
        .build()?;
    let telemetry = {
        let _in_runtime = runtime.enter();
        telemetry::init(info.name, &chassis.telemetry)?
    };
    metrics::gauge!("build_info", "service" => info.name, "version" => VERSION, "revision" => REVISION)
        .set(1.0);
    tracing::info!(
        version = VERSION,
        revision = REVISION,
        admin = %listener.local_addr()?,
        chassis = ?chassis,
        config = ?config,
        "starting"
    );

    let (tasks, shutdown) = (Tasks::new(), Shutdown::new());
    let health = Health::watching(&shutdown);
    let heartbeat = Heartbeat::new();
    let admin = admin::start(
        listener,
        Admin { health: health.clone(), tasks: tasks.clone(), heartbeat: heartbeat.clone() },
    )?;
    let beats = runtime.spawn(async move {
        loop {
            heartbeat.beat();
            pause(admin::BEAT).await;
        }
    });
    let service = Service {
        config,
        tasks: tasks.clone(),
        shutdown: shutdown.clone(),
        health,
        clock: Arc::new(SystemClock),
    };
    let clean = runtime.block_on(live_and_end(service, start, chassis.grace))?;
    beats.abort();
    tracing::info!(clean, "ended");
    telemetry.flush();
    runtime.shutdown_timeout(BLOCKING);
    drop(admin);
    Ok(clean)
}

async fn live_and_end<C, F, Fut>(service: Service<C>, start: F, grace: Duration) -> std::io::Result<bool>
where
    F: FnOnce(Service<C>) -> Fut,
    Fut: Future<Output = Result<(), BoxError>>,
{
    let mut signals = Signals::listen()?;
    let (tasks, shutdown) = (service.tasks.clone(), service.shutdown.clone());
    let mut start = pin!(start(service));
    let mut starting = true;
    let mut clean = true;
    loop {
        tokio::select! {
            started = &mut start, if starting => {
                starting = false;
                if let Err(error) = started {
                    tracing::error!(error = chain(&*error), "the start failed");
                    clean = false;
                    break;
                }
                tracing::info!("started");
            }
            signal = signals.next() => {
                shutdown.begin();
                tracing::info!(signal, grace_seconds = grace.as_secs(), "shutting down");
                break;
            }
            () = tasks.failed() => {
                clean = false;
                break;
            }
        }
    }

    shutdown.begin();
    let stage_two = STAGE_TWO.min(grace / 4);
    let mut ended = pin!(async {
        if starting && let Err(error) = start.await {
            tracing::warn!(error = chain(&*error), "the start was given up");
        }
        tasks.wait().await;
    });
    let in_stage_one = tokio::select! {
        in_time = deadline("stage 1", grace.saturating_sub(stage_two), &mut ended) => in_time.is_ok(),
        signal = signals.next() => {
            tracing::warn!(signal, "asked again, stopping now");
            false
        }
    };
    shutdown.stop();
    if !in_stage_one && deadline("stage 2", stage_two, &mut ended).await.is_err() {
        tracing::error!(running = ?tasks.running(), "tasks did not end in time");
        clean = false;
    }
    Ok(clean && tasks.failure().is_none())
}
