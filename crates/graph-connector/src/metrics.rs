//! Help texts of the metrics that this service reports.

use chassis::metrics::{Kind, Metric, Unit};

/// Metrics of this service.
pub const METRICS: [Metric; 1] = [Metric {
    name: "graph_requests_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    help: "Calls to Microsoft Graph, by operation and status.",
}];

/// Registers them, and those of what it is built from.
pub(crate) fn describe() {
    chassis::metrics::describe(&METRICS);
    chassis::metrics::describe(&outbound::METRICS);
    chassis::metrics::describe(&cache::METRICS);
}
