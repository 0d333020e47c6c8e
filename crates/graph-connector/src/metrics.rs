//! Help texts of the metrics that this service reports.

use chassis::metrics::{Kind, Metric, Unit};

/// Metrics of this service.
pub const METRICS: [Metric; 5] = [
    Metric {
        name: "graph_requests_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Calls to Microsoft Graph, by operation and status.",
    },
    Metric {
        name: "provider_throttled_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Answers in which the provider asked for silence, by provider.",
    },
    Metric {
        name: "circuit_breaker_state",
        kind: Kind::Gauge,
        unit: Unit::Count,
        help: "0 closed, 1 half-open, 2 open, by service.",
    },
    Metric {
        name: "cache_requests_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Cache reads, by result (hit, miss, error).",
    },
    Metric {
        name: "throttle_fence_degraded_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Questions to the throttle fence answered without its shared store.",
    },
];

/// Registers them.
pub(crate) fn describe() {
    chassis::metrics::describe(&METRICS);
}
