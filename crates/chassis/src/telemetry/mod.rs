//! Logs, traces and their run-time switch.
//!
//! `LOG_LEVEL` (a level, or directives such as `info,store=debug`) and `LOG_FORMAT` (`json` or
//! `pretty`) decide what is printed; `PUT /log-level` changes it while the process runs. Spans and
//! trace ids exist whatever the level; they are exported when `OTEL_EXPORTER_OTLP_ENDPOINT` is set.

mod fields;
mod filter;
mod log_layer;
mod otlp;
mod panics;

use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::OnceLock;

use opentelemetry::trace::TracerProvider as _;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::config::{Env, FromEnv};
use filter::{LogFilter, Switch};
use log_layer::LogLayer;
pub use otlp::TelemetryError;
use otlp::Traces;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Pretty,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(Self::Json),
            "pretty" => Ok(Self::Pretty),
            _ => Err("must be json or pretty"),
        }
    }
}

/// The telemetry section of the configuration.
#[derive(Debug, Clone)]
pub struct TelemetryConfig {
    level: LogFilter,
    format: LogFormat,
    otlp_endpoint: Option<String>,
}

impl FromEnv for TelemetryConfig {
    fn from_env(env: &mut Env) -> Self {
        let otlp_endpoint = env.optional("OTEL_EXPORTER_OTLP_ENDPOINT");
        if let Some(endpoint) = otlp_endpoint.as_deref().filter(|text| !text.contains("://")) {
            let message = format!("is an address of a collector, got `{endpoint}`; write http://host:4317");
            env.fault("OTEL_EXPORTER_OTLP_ENDPOINT", message);
        }
        Self {
            level: env.parse("LOG_LEVEL", LogFilter::info()),
            format: env.parse("LOG_FORMAT", LogFormat::Json),
            otlp_endpoint,
        }
    }
}

/// The running telemetry; [`Telemetry::flush`] before the process ends.
#[derive(Debug)]
pub(crate) struct Telemetry {
    traces: Traces,
}

static SWITCH: OnceLock<Switch> = OnceLock::new();

/// Installs logging, tracing, metrics and the panic hook for the whole process. Must run inside the
/// runtime that is to carry the exporter's connection. A second call leaves the first in place.
pub(crate) fn init(service: &'static str, config: &TelemetryConfig) -> Result<Telemetry, TelemetryError> {
    let traces = Traces::new(service, config.otlp_endpoint.as_deref())?;
    let (filter, switch) = filter::switchable(config.level.clone());
    let spans = tracing_opentelemetry::layer()
        .with_tracer(traces.provider.tracer("syncline"))
        .with_filter(LevelFilter::INFO);
    let subscriber = tracing_subscriber::registry()
        .with(spans)
        .with(LogLayer::new(service, config.format).with_filter(filter));
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        SWITCH.get_or_init(|| switch);
        panics::log_panics();
    }
    crate::metrics::install();
    Ok(Telemetry { traces })
}

/// Logging and tracing for a test binary: pretty, at the level of `LOG_LEVEL` (default `warn`).
/// Safe to call from every test.
pub fn init_for_tests() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let level = std::env::var("LOG_LEVEL").ok().and_then(|text| text.parse().ok());
        let level = level.unwrap_or_else(LogFilter::warn);
        let config = TelemetryConfig { level, format: LogFormat::Pretty, otlp_endpoint: None };
        if let Err(error) = init("test", &config) {
            tracing::error!(error = chain(&error), "no telemetry");
        }
    });
}

impl Telemetry {
    /// Sends what is left, for two seconds at most: a collector that does not answer must not cost
    /// the grace period.
    pub(crate) fn flush(&self) {
        self.traces.shut_down();
    }
}

/// The directives in force, as `GET /log-level` shows them; `None` before the start.
pub fn log_level() -> Option<String> {
    SWITCH.get().map(Switch::current)
}

/// Puts other directives in force, until the next call or the end of the process.
///
/// # Errors
/// What is wrong with the directives; the old ones stay.
pub fn set_log_level(directives: &str) -> Result<(), String> {
    let filter: LogFilter = directives.trim().parse()?;
    let switch = SWITCH.get().ok_or_else(|| "logging has not started".to_owned())?;
    switch.set(filter)?;
    tracing::info!(directives = directives.trim(), "log level changed");
    Ok(())
}

/// An error and its causes on one line, "a: b: c", for the one place that logs it.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
