//! What the worker counts.

use chassis::metrics::{Kind, Metric, Unit};

/// Metrics of this service.
pub const METRICS: [Metric; 10] = [
    Metric {
        name: "sync_runs_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Finished sync runs, by source and status (success, error).",
    },
    Metric {
        name: "sync_duration_seconds",
        kind: Kind::Histogram,
        unit: Unit::Seconds,
        help: "Duration of sync runs, by source.",
    },
    Metric {
        name: "sync_consecutive_failures",
        kind: Kind::Gauge,
        unit: Unit::Count,
        help: "Failed runs in a row of the resource that ran last, by source.",
    },
    Metric {
        name: "documents_synced_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Documents written, by operation (added, updated, deleted).",
    },
    Metric {
        name: "calendar_events_synced_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Events written, by direction (from_google, to_google, from_outlook, to_outlook) and operation (added, updated, deleted).",
    },
    Metric {
        name: "messages_synced_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Messages written, by source (mail, channel, chat).",
    },
    Metric {
        name: "change_to_database_seconds",
        kind: Kind::Histogram,
        unit: Unit::Seconds,
        help: "Time from the newest change of a round, as the provider dates it, to its commit, by source.",
    },
    Metric {
        name: "sync_quarantined_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Items put into quarantine because they could not be read, by source.",
    },
    Metric {
        name: "webhook_subscriptions_silent_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Subscriptions made anew because a sweep found an old change that they had not announced, by resource_type.",
    },
    Metric {
        name: "drive_round_restarts_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Delta rounds that began again: token gone, link refused, page lost.",
    },
];
