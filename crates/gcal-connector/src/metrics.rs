//! Help texts of the metrics that this service reports.

use chassis::metrics::{Kind, Metric, Unit};

/// Metrics of this service.
pub const METRICS: [Metric; 4] = [
    Metric {
        name: "google_requests_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Calls to Google, by operation and status.",
    },
    Metric {
        name: "google_accounts_parked_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Accounts that were parked, by reason (quota, reauth).",
    },
    Metric {
        name: "google_token_refreshes_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Refreshes of access tokens, by result (refreshed, ended, failed).",
    },
    Metric {
        name: "google_keys_rewrapped_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Data keys that were wrapped anew with the first key of TOKEN_ENCRYPTION_KEYS.",
    },
];

/// Registers them, and those of what it is built from.
pub(crate) fn describe() {
    chassis::metrics::describe(&METRICS);
    chassis::metrics::describe(&outbound::METRICS);
    chassis::metrics::describe(&cache::METRICS);
}
