//! What the scheduler measures.

use chassis::metrics::{Kind, Metric, Unit};

/// Metrics of this service.
pub const METRICS: [Metric; 23] = [
    gauge("jobs_pending", Unit::Count, "Queued jobs, by kind."),
    gauge("jobs_running", Unit::Count, "Running jobs, by kind."),
    gauge("jobs_dead", Unit::Count, "Dead letters, by kind."),
    gauge("jobs_oldest_ready_age_seconds", Unit::Seconds, "Age of the oldest queued job."),
    gauge("outbox_waiting", Unit::Count, "Bells that are not confirmed yet."),
    gauge("outbox_unpublished_age_seconds", Unit::Seconds, "Age of the oldest bell that is not confirmed."),
    gauge(
        "flag_active",
        Unit::Count,
        "Organizations in which an operators' switch is away from its normal position, by flag.",
    ),
    counter("jobs_reaped_total", "Jobs taken back because their lease expired, by kind."),
    counter("jobs_crash_looped_total", "Jobs buried because they were interrupted again and again, by kind."),
    gauge("jobs_unexplained", Unit::Count, "Queued jobs whose message the broker does not hold, by queue."),
    gauge("bells_ready", Unit::Count, "Messages that wait for a worker, as the broker said last, by queue."),
    gauge("bells_window", Unit::Count, "Messages that the relay lets wait for a worker, by queue."),
    counter("bells_lost_total", "Queued jobs that had no message and were rung again, by queue."),
    counter("bells_died_total", "Messages of jobs that the broker gave up, by what followed for the job."),
    counter("jobs_unroutable_total", "Jobs parked because no queue takes their kind."),
    counter("schedule_occurrences_total", "Occurrences decided, by schedule and result."),
    counter("history_partitions_made_total", "Weekly partitions of finished jobs that were made."),
    counter("history_partitions_dropped_total", "Weekly partitions of finished jobs that were dropped."),
    counter("history_rows_purged_total", "Rows that left by their age, by table."),
    gauge(
        "calendar_writes_pending",
        Unit::Count,
        "Application's writes that wait for Google, of all companies.",
    ),
    gauge(
        "calendars_without_channel",
        Unit::Count,
        "Connected calendars that are to have a push channel and have none that lives; polling alone serves them.",
    ),
    gauge(
        "webhook_subscription_expiry_timestamp_seconds",
        Unit::Seconds,
        "When the subscription that ends first of all companies does, seconds since the epoch, by provider.",
    ),
    counter("broker_dead_letters_total", "Messages archived from the dead-letter queue, by reason."),
];

const fn gauge(name: &'static str, unit: Unit, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, unit, help }
}

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, unit: Unit::Count, help }
}
