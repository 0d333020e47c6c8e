//! What this crate measures.

use chassis::metrics::{Kind, Metric, Unit};

/// Metrics of this crate, for [`chassis::metrics::describe`].
pub const METRICS: [Metric; 10] = [
    Metric {
        name: "job_duration_seconds",
        kind: Kind::Histogram,
        unit: Unit::Seconds,
        help: "Time of one attempt, by kind and outcome.",
    },
    Metric {
        name: "job_queue_wait_seconds",
        kind: Kind::Histogram,
        unit: Unit::Seconds,
        help: "Time between a job being queued and its claim.",
    },
    Metric {
        name: "lease_lost_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Attempts stopped because their lease could not be renewed or was taken over.",
    },
    Metric {
        name: "jobs_interrupted_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Attempts that ended without the handler's word, by cause.",
    },
    Metric {
        name: "stale_write_rejected_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Writes refused because the attempt no longer owned its job.",
    },
    Metric {
        name: "job_claim_batches_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Transactions that claimed jobs, each for all bells at hand, by queue.",
    },
    Metric {
        name: "jobs_swapped_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Urgent jobs claimed in the place of less urgent ones whose bell came first, by queue.",
    },
    Metric {
        name: "jobs_isolated_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Jobs that were interrupted before and ran with nothing beside them, by kind.",
    },
    Metric {
        name: "job_groups_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Calls of group handlers, by kind and outcome (committed, split, lost, stopped).",
    },
    Metric {
        name: "worker_jobs_active",
        kind: Kind::Gauge,
        unit: Unit::Count,
        help: "Jobs that this process runs now.",
    },
];
