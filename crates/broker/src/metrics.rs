//! What this crate counts.

use chassis::metrics::{Kind, Metric, Unit};

/// Metrics of this crate, for [`chassis::metrics::describe`].
pub const METRICS: [Metric; 13] = [
    metric("broker_blocked", Kind::Gauge, "1 while the broker blocks the connection (memory or disk alarm)."),
    metric(
        "broker_connections_total",
        Kind::Counter,
        "Connections made, by purpose; more than one is a rebuild.",
    ),
    metric("broker_connect_failures_total", Kind::Counter, "Failed attempts to connect, by purpose."),
    metric("broker_queue_missing_total", Kind::Counter, "Queues found deleted and declared again, by queue."),
    metric(
        "broker_connection_faults_total",
        Kind::Counter,
        "Connections given up by the watchdog, by cause.",
    ),
    metric(
        "broker_queue_faults_total",
        Kind::Counter,
        "Attempts to consume that the broker answered with an internal error, by queue.",
    ),
    metric(
        "broker_queues_replaced_total",
        Kind::Counter,
        "Queues deleted and declared again since the broker could not serve them, by queue.",
    ),
    metric("consumer_rebuilt_total", Kind::Counter, "Consumers built anew, by queue and cause."),
    metric(
        "ack_not_sent_total",
        Kind::Counter,
        "Acknowledgements that did not reach the broker; it delivers again.",
    ),
    metric("publish_confirmed_total", Kind::Counter, "Messages that the broker confirmed."),
    metric("publish_returned_total", Kind::Counter, "Messages that no queue took."),
    metric("publish_refused_total", Kind::Counter, "Messages that the broker refused."),
    metric("publish_unknown_total", Kind::Counter, "Messages whose confirm did not come."),
];

const fn metric(name: &'static str, kind: Kind, help: &'static str) -> Metric {
    Metric { name, kind, unit: Unit::Count, help }
}
