//! What the door counts.

use chassis::metrics::{Kind, Metric, Unit};

/// Metrics of the door.
pub const METRICS: [Metric; 2] = [
    Metric {
        name: "webhook_notifications_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Notifications by source and result: accepted, coalesced, unknown, refused, malformed, ignored, sync.",
    },
    Metric {
        name: "webhook_ack_duration_seconds",
        kind: Kind::Histogram,
        unit: Unit::Seconds,
        help: "Time until a delivery was acknowledged, by source.",
    },
];

/// Counts notifications of one kind.
pub fn count(source: &'static str, result: &'static str, n: usize) {
    if n > 0 {
        let n = u64::try_from(n).unwrap_or(u64::MAX);
        metrics::counter!("webhook_notifications_total", "source" => source, "result" => result).increment(n);
    }
}
