//! What the service measures.

use chassis::metrics::{Kind, Metric, Unit};

pub(crate) const FAILURES: &str = "retention_job_failures_total";

/// Metrics of this service.
pub const METRICS: [Metric; 8] = [
    counter(FAILURES, "Jobs of retention, verification or restore that failed, or found the trail broken."),
    counter("audit_records_sealed_total", "Records sealed into the chain of their organization."),
    Metric {
        name: "audit_unsealed_age_seconds",
        kind: Kind::Gauge,
        unit: Unit::Seconds,
        help: "Age of the oldest record that is not sealed yet; the RPO of the trail.",
    },
    counter("audit_checkpoints_total", "Checkpoints signed."),
    counter("audit_checkpoints_published_total", "Checkpoints written to the archive store, by store."),
    counter("audit_subjects_erased_total", "People in audit records whose keys were destroyed."),
    counter("audit_archives_total", "Archives written, read back and found right, by store."),
    counter(
        "audit_records_purged_total",
        "Records removed from the database because a verified archive holds them.",
    ),
];

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, unit: Unit::Count, help }
}
