//! The Prometheus side of the `metrics` facade: buckets, descriptions, rendering.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

pub use metrics::Unit;

/// Buckets of every histogram whose name ends in `_seconds`: acknowledgements take milliseconds,
/// full synchronisations minutes.
const SECONDS: [f64; 16] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];

/// What kind of series a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only ever grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations by size.
    Histogram,
}

/// A metric's name and meaning, for `# HELP` and the metric list.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Name as in the contract, unit suffix included.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Unit of the values.
    pub unit: Unit,
    /// One sentence for whoever reads the dashboard.
    pub help: &'static str,
}

/// Metrics that the chassis itself records.
pub const METRICS: [Metric; 5] = [
    Metric {
        name: "dependency_up",
        kind: Kind::Gauge,
        unit: Unit::Count,
        help: "1 while the dependency answers, 0 otherwise.",
    },
    Metric {
        name: "tasks_panicked_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Background tasks that panicked.",
    },
    Metric {
        name: "grpc_server_duration_seconds",
        kind: Kind::Histogram,
        unit: Unit::Seconds,
        help: "Time until a gRPC call was answered, by method and status code.",
    },
    Metric {
        name: "process_resident_memory_bytes",
        kind: Kind::Gauge,
        unit: Unit::Bytes,
        help: "Resident memory of the process.",
    },
    Metric {
        name: "build_info",
        kind: Kind::Gauge,
        unit: Unit::Count,
        help: "Always 1; the labels name the build.",
    },
];

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Registers help and unit. Call it once at start with a crate's list; more calls change nothing.
pub fn describe(list: &[Metric]) {
    for metric in list {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.unit, metric.help),
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.unit, metric.help),
            Kind::Histogram => metrics::describe_histogram!(metric.name, metric.unit, metric.help),
        }
    }
}

/// Makes the facade record into this process's registry. More calls change nothing.
pub fn install() {
    HANDLE.get_or_init(start);
}

fn start() -> PrometheusHandle {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .expect("the list of buckets is not empty")
        .build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::error!("another metrics recorder was installed first; /metrics stays empty");
    }
    describe(&METRICS);
    handle
}

/// Every series in the Prometheus text format; empty before [`install`].
pub fn render() -> String {
    let Some(handle) = HANDLE.get() else { return String::new() };
    if let Some(bytes) = crate::process::resident_memory() {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 8 PiB")]
        metrics::gauge!("process_resident_memory_bytes").set(bytes as f64);
    }
    handle.render()
}

/// Moves buffered observations into their buckets; bounds memory when nobody scrapes.
pub(crate) fn upkeep() {
    if let Some(handle) = HANDLE.get() {
        handle.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_get_buckets_and_help_is_shown() {
        install();
        describe(&[Metric {
            name: "test_wait_seconds",
            kind: Kind::Histogram,
            unit: Unit::Seconds,
            help: "A test's wait.",
        }]);
        metrics::histogram!("test_wait_seconds", "kind" => "a").record(0.02);
        let text = render();
        assert!(text.contains("# HELP test_wait_seconds A test's wait."), "{text}");
        assert!(text.contains(r#"test_wait_seconds_bucket{kind="a",le="0.025"} 1"#), "{text}");
        assert!(text.contains("process_resident_memory_bytes "), "{text}");
    }
}
