//! Help texts of the metrics that calls to providers report.

use chassis::metrics::{Kind, Metric, Unit};

/// Metrics of the calling policy.
pub const METRICS: [Metric; 5] = [
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
    Metric {
        name: "provider_secret_expiry_timestamp_seconds",
        kind: Kind::Gauge,
        unit: Unit::Seconds,
        help: "When the provider's client secret ends (AZURE_CLIENT_SECRET_EXPIRES_AT), Unix time.",
    },
    Metric {
        name: "provider_secret_reload_timestamp_seconds",
        kind: Kind::Gauge,
        unit: Unit::Seconds,
        help: "When another client secret last took over, Unix time.",
    },
];
