//! `docs/metrics.md` lists every metric as the code describes it. `UPDATE_METRICS=1` rewrites it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use chassis::metrics::{Kind, Metric};

/// Where each metric comes from.
fn all() -> Vec<(&'static str, Vec<Metric>)> {
    vec![
        ("every service", chassis::metrics::METRICS.to_vec()),
        ("api, webhook-ingress", web::kit::METRICS.to_vec()),
        ("scheduler, sync-worker", broker::METRICS.to_vec()),
        ("sync-worker", job_runtime::METRICS.to_vec()),
        ("sync-worker", sync_worker::METRICS.to_vec()),
        ("audit-retention", audit_retention::METRICS.to_vec()),
        ("scheduler", scheduler::METRICS.to_vec()),
        ("webhook-ingress", webhook_ingress::METRICS.to_vec()),
        ("graph-connector", graph_connector::METRICS.to_vec()),
        ("graph-connector, gcal-connector", outbound::METRICS.to_vec()),
        ("graph-connector, gcal-connector", cache::METRICS.to_vec()),
        ("gcal-connector", gcal_connector::METRICS.to_vec()),
    ]
}

fn document() -> String {
    let mut rows = BTreeMap::new();
    for (source, metrics) in all() {
        for metric in metrics {
            let kind = match metric.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            let earlier = rows.insert(metric.name, format!("{kind} | {source} | {}", metric.help));
            assert!(earlier.is_none(), "{} is described twice", metric.name);
        }
    }
    let mut text = String::from(
        "# Metrics\n\nWritten by `crates/testkit/tests/it/metrics.rs` from the code; do not edit by hand.\n\n\
         | name | kind | from | meaning |\n|---|---|---|---|\n",
    );
    for (name, row) in rows {
        writeln!(text, "| `{name}` | {row} |").expect("a String takes everything");
    }
    text
}

#[test]
fn the_committed_list_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let fresh = document();
    if std::env::var_os("UPDATE_METRICS").is_some() {
        std::fs::write(&path, &fresh).expect("docs/metrics.md can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == fresh,
        "docs/metrics.md is stale: UPDATE_METRICS=1 cargo test -p testkit --test it metrics"
    );
}

#[test]
fn names_follow_prometheus() {
    for (_, metrics) in all() {
        for metric in metrics {
            assert_eq!(
                metric.kind == Kind::Counter,
                metric.name.ends_with("_total"),
                "{}: counters, and only they, end in _total",
                metric.name
            );
            assert!(metric.help.ends_with('.'), "{}: help is a sentence", metric.name);
        }
    }
}
