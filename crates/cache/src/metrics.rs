//! Help texts of the metrics that the cache reports.

use chassis::metrics::{Kind, Metric, Unit};

/// Metrics of the cache.
pub const METRICS: [Metric; 1] = [Metric {
    name: "cache_requests_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    help: "Cache reads, by result (hit, miss, error).",
}];
