//! `GET /api/metrics/queue`, `GET /api/metrics/sync`

use std::collections::BTreeMap;

use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use contracts::graph::v1::GetStatusReply;
use serde::{Deserialize, Serialize};
use store::history::{self, RunStats};
use store::jobs::{self, KindCounts};
use utoipa::{IntoParams, ToSchema};
use web::auth::Viewer;
use web::json::Json;
use web::problem::{FieldError, Problem};
use web::query::Query;

use super::sync::breaker_name;
use crate::error::Answer;
use crate::state::ApiState;

/// Jobs by state.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Counts {
    pending: i64,
    running: i64,
    retrying: i64,
    scheduled: i64,
    parked: i64,
    dead: i64,
}

/// The queue of the organization.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueueMetrics {
    #[serde(flatten)]
    total: Counts,
    by_kind: BTreeMap<String, Counts>,
    /// Age of the oldest queued job; 0 when none.
    oldest_pending_seconds: f64,
}

/// Figures of the job queue
#[utoipa::path(get, path = "/api/metrics/queue", tag = "metrics", responses(
    (status = 200, description = "Jobs by state and kind", body = QueueMetrics),
))]
pub async fn queue(State(state): State<ApiState>, Viewer(claims): Viewer) -> Answer<Json<QueueMetrics>> {
    let (mut tx, _) = state.tenant(&claims).await?;
    let counts = jobs::counts(&mut tx).await?;
    let mut total = Counts::default();
    let mut by_kind = BTreeMap::new();
    for kind in counts.by_kind {
        let (name, counts) = of_kind(kind);
        total.pending += counts.pending;
        total.running += counts.running;
        total.retrying += counts.retrying;
        total.scheduled += counts.scheduled;
        total.parked += counts.parked;
        total.dead += counts.dead;
        by_kind.insert(name, counts);
    }
    Ok(Json(QueueMetrics { total, by_kind, oldest_pending_seconds: counts.oldest_pending_seconds }))
}

fn of_kind(k: KindCounts) -> (String, Counts) {
    let counts = Counts {
        pending: k.pending,
        running: k.running,
        retrying: k.retrying,
        scheduled: k.scheduled,
        parked: k.parked,
        dead: k.dead,
    };
    (k.kind, counts)
}

/// Over which time.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Window {
    /// Hours back from now, 1 to 2160 (24).
    #[param(minimum = 1, maximum = 2160)]
    hours: Option<u32>,
}

/// Figures of the runs.
#[derive(Debug, Serialize, ToSchema)]
pub struct SyncMetrics {
    since: DateTime<Utc>,
    /// By source, such as `onedrive`.
    sources: BTreeMap<String, SourceMetrics>,
}

#[derive(Debug, Default, Serialize, ToSchema)]
struct SourceMetrics {
    runs: i64,
    /// Share of the finished runs that succeeded, 0 to 1; null without runs.
    success_rate: Option<f64>,
    p50_seconds: Option<f64>,
    p95_seconds: Option<f64>,
    p99_seconds: Option<f64>,
    items: Items,
    consecutive_failures: i64,
    /// Hits by requests of the connector's cache since its start, 0 to 1; null without requests or connector.
    cache_hit_rate: Option<f64>,
    /// `closed`, `half-open`, `open`; null while the connector is away.
    breaker_state: Option<&'static str>,
}

#[derive(Debug, Default, Serialize, ToSchema)]
struct Items {
    added: i64,
    updated: i64,
    deleted: i64,
}

/// Figures of the synchronisation per source
#[utoipa::path(get, path = "/api/metrics/sync", tag = "metrics", params(Window), responses(
    (status = 200, description = "Figures by source", body = SyncMetrics),
))]
pub async fn sync(
    State(state): State<ApiState>,
    Viewer(claims): Viewer,
    Query(window): Query<Window>,
) -> Answer<Json<SyncMetrics>> {
    let hours = window.hours.unwrap_or(24);
    if !(1..=2160).contains(&hours) {
        return Err(
            Problem::unprocessable(vec![FieldError::new("hours", "is a number from 1 to 2160")]).into()
        );
    }
    let since = state.now() - TimeDelta::hours(i64::from(hours));
    let status = state.connector.status().await.ok();
    let (mut tx, company) = state.tenant(&claims).await?;
    let mut sources = BTreeMap::from([("onedrive".to_owned(), SourceMetrics::default())]);
    for stats in history::stats(&mut tx, company, since).await? {
        sources.insert(stats.source.clone(), of_runs(&stats));
    }
    if let (Some(status), Some(onedrive)) = (status, sources.get_mut("onedrive")) {
        onedrive.cache_hit_rate = hit_rate(&status);
        onedrive.breaker_state = Some(breaker_name(status.breaker_state));
    }
    Ok(Json(SyncMetrics { since, sources }))
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn of_runs(stats: &RunStats) -> SourceMetrics {
    let seconds = |ms: Option<f64>| ms.map(|ms| ms / 1000.0);
    SourceMetrics {
        runs: stats.runs,
        success_rate: (stats.runs > 0).then(|| stats.succeeded as f64 / stats.runs as f64),
        p50_seconds: seconds(stats.p50_ms),
        p95_seconds: seconds(stats.p95_ms),
        p99_seconds: seconds(stats.p99_ms),
        items: Items { added: stats.added, updated: stats.updated, deleted: stats.deleted },
        consecutive_failures: stats.consecutive_failures,
        cache_hit_rate: None,
        breaker_state: None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn hit_rate(status: &GetStatusReply) -> Option<f64> {
    let asked = status.cache_hits.saturating_add(status.cache_misses);
    (asked > 0).then(|| status.cache_hits as f64 / asked as f64)
}
