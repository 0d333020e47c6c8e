//! Help texts of the metrics that calls to providers report.

use chassis::metrics::{Kind, Metric, Unit};

/// Metrics of the calling policy.
pub const METRICS: [Metric; 3] = [
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
        name: "throttle_fence_degraded_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Questions to the throttle fence answered without its shared store.",
    },
];
