//! What the door counts.

use chassis::metrics::{Kind, Metric, Unit};

/// Metrics of the door.
pub const METRICS: [Metric; 8] = [
    Metric {
        name: "webhook_notifications_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Notifications by source and result: accepted, coalesced, unknown, refused, malformed, ignored, sync; \
               spooled while the database is away (and counted again when replayed), turned_away by a limit.",
    },
    Metric {
        name: "webhook_ack_duration_seconds",
        kind: Kind::Histogram,
        unit: Unit::Seconds,
        help: "Time until a delivery was acknowledged, by source.",
    },
    Metric {
        name: "webhook_spool_bytes",
        kind: Kind::Gauge,
        unit: Unit::Bytes,
        help: "Size of the spool, where deliveries wait while the database is away.",
    },
    Metric {
        name: "webhook_spool_entries",
        kind: Kind::Gauge,
        unit: Unit::Count,
        help: "Deliveries that wait in the spool.",
    },
    Metric {
        name: "webhook_spool_oldest_seconds",
        kind: Kind::Gauge,
        unit: Unit::Seconds,
        help: "Age of the oldest delivery in the spool.",
    },
    Metric {
        name: "webhook_spool_replayed_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Deliveries that were brought from the spool into the database.",
    },
    Metric {
        name: "webhook_spool_cut_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Unfinished entries that were cut off the spool at a start; they were never acknowledged.",
    },
    Metric {
        name: "webhook_spool_set_aside_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Deliveries of the spool that the database does not take for what they say; kept in the file set-aside.",
    },
];

/// Counts notifications of one kind.
pub fn count(source: &'static str, result: &'static str, n: usize) {
    if n > 0 {
        let n = u64::try_from(n).unwrap_or(u64::MAX);
        metrics::counter!("webhook_notifications_total", "source" => source, "result" => result).increment(n);
    }
}
