//! `GET /api/sync/health`

use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use contracts::graph::v1::GetStatusReply;
use serde::Serialize;
use store::schedules::Schedule;
use store::{history, schedules};
use utoipa::ToSchema;
use web::auth::Viewer;
use web::json::Json;

use super::history::RunBody;
use super::status::next_run;
use super::{SCHEDULE, SOURCE};
use crate::error::Answer;
use crate::routes::micros;
use crate::state::ApiState;

/// Failed runs in a row that make the sync unhealthy (OneDrive runbook, "Alertes recommandées").
const CRITICAL_FAILURES: i64 = 3;
/// An occurrence this late says that the scheduler does not run.
const OVERDUE: TimeDelta = TimeDelta::minutes(2);

/// Health of the document sync, as the OneDrive runbook shows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncHealth {
    /// `healthy`, `degraded` or `unhealthy`.
    status: &'static str,
    /// Why it is not healthy; empty when it is.
    reasons: Vec<String>,
    services: Services,
    /// The newest run; null before the first.
    last_sync: Option<RunBody>,
    consecutive_failures: i64,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SyncServices)]
struct Services {
    scheduler: SchedulerHealth,
    onedrive: OneDriveHealth,
    cache: CacheHealth,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SchedulerHealth {
    /// Switched on, and no occurrence is overdue.
    running: bool,
    enabled: bool,
    schedule: Option<String>,
    time_zone: Option<String>,
    next_run: Option<DateTime<Utc>>,
}

#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OneDriveHealth {
    /// Null while the connector is away.
    configured: Option<bool>,
    authenticated: Option<bool>,
    missing: Vec<String>,
    missing_permissions: Vec<String>,
    circuit_breaker: Option<BreakerHealth>,
    retry: Option<RetryHealth>,
    throttled_until: Option<DateTime<Utc>>,
    error: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct BreakerHealth {
    /// `closed`, `half-open` or `open`.
    state: &'static str,
    failure_threshold: i32,
    /// Milliseconds that one call may take.
    timeout: i64,
    /// Milliseconds from opening to the first trial.
    reset_timeout: i64,
    /// When an open breaker lets a trial through.
    retry_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RetryHealth {
    max_attempts: i32,
    /// Milliseconds.
    initial_delay: i64,
    /// Milliseconds.
    max_delay: i64,
    backoff_multiplier: i32,
}

#[derive(Debug, Default, Serialize, ToSchema)]
struct CacheHealth {
    /// `redis` or `memory`; null while the connector is away.
    provider: Option<String>,
    connected: Option<bool>,
}

/// Health of the document sync: scheduler, OneDrive with breaker and retry, cache, last run
#[utoipa::path(get, path = "/api/sync/health", tag = "health", responses(
    (status = 200, description = "The health", body = SyncHealth),
))]
pub async fn health(State(state): State<ApiState>, Viewer(claims): Viewer) -> Answer<Json<SyncHealth>> {
    let now = state.now();
    let connector = state.connector.status().await;
    let (mut tx, company) = state.tenant(&claims).await?;
    let last = history::latest(&mut tx, company, SOURCE, false).await?;
    let schedule = schedules::find(&mut tx, company, SCHEDULE).await?;
    let figures = history::stats(&mut tx, company, now - TimeDelta::days(30)).await?;
    let failures = figures.iter().find(|f| f.source == SOURCE).map_or(0, |f| f.consecutive_failures);

    let mut verdict = Verdict::default();
    if failures >= CRITICAL_FAILURES {
        verdict.critical(format!("the last {failures} runs failed"));
    } else if failures > 0 {
        verdict.warn("the last run failed");
    }
    let scheduler = scheduler(schedule.as_ref(), now, &mut verdict);
    let (onedrive, cache) = match connector {
        Ok(status) => (onedrive(&status, now, &mut verdict), cache(&status, &mut verdict)),
        Err(error) => {
            verdict.warn(error.to_string());
            let away = OneDriveHealth { error: Some(error.to_string()), ..OneDriveHealth::default() };
            (away, CacheHealth::default())
        }
    };
    Ok(Json(SyncHealth {
        status: verdict.status(),
        reasons: verdict.reasons,
        services: Services { scheduler, onedrive, cache },
        last_sync: last.map(RunBody::from),
        consecutive_failures: failures,
    }))
}

#[derive(Debug, Default)]
struct Verdict {
    reasons: Vec<String>,
    unhealthy: bool,
}

impl Verdict {
    fn warn(&mut self, reason: impl Into<String>) {
        self.reasons.push(reason.into());
    }

    fn critical(&mut self, reason: impl Into<String>) {
        self.unhealthy = true;
        self.warn(reason);
    }

    fn status(&self) -> &'static str {
        match (self.unhealthy, self.reasons.is_empty()) {
            (true, _) => "unhealthy",
            (false, false) => "degraded",
            (false, true) => "healthy",
        }
    }
}

fn scheduler(schedule: Option<&Schedule>, now: DateTime<Utc>, verdict: &mut Verdict) -> SchedulerHealth {
    let enabled = schedule.is_some_and(|s| s.active);
    let next = schedule.and_then(|s| next_run(s, now));
    let overdue = next.is_some_and(|next| next + OVERDUE < now);
    if schedule.is_none() {
        verdict.warn("the scheduler has not written the schedule yet");
    } else if overdue {
        verdict.warn("a scheduled run is overdue: the scheduler does not run");
    }
    SchedulerHealth {
        running: enabled && !overdue,
        enabled,
        schedule: schedule.map(|s| s.schedule.clone()),
        time_zone: schedule.map(|s| s.time_zone.clone()),
        next_run: next,
    }
}

fn onedrive(status: &GetStatusReply, now: DateTime<Utc>, verdict: &mut Verdict) -> OneDriveHealth {
    if !status.configured {
        verdict.critical(format!("Microsoft is not configured: {} not set", status.missing.join(", ")));
    } else if !status.authenticated {
        verdict.critical(format!("Microsoft does not accept the credential: {}", status.last_auth_error));
    }
    if !status.missing_permissions.is_empty() {
        verdict.warn(format!("permissions are missing: {}", status.missing_permissions.join(", ")));
    }
    if status.breaker_state != 0 {
        verdict.warn(format!("the circuit breaker is {}", breaker_name(status.breaker_state)));
    }
    OneDriveHealth {
        configured: Some(status.configured),
        authenticated: Some(status.authenticated),
        missing: status.missing.clone(),
        missing_permissions: status.missing_permissions.clone(),
        circuit_breaker: Some(BreakerHealth {
            state: breaker_name(status.breaker_state),
            failure_threshold: status.breaker_failure_threshold,
            timeout: status.breaker_timeout_ms,
            reset_timeout: status.breaker_reset_ms,
            retry_at: micros(status.breaker_retry_at_us),
        }),
        retry: Some(RetryHealth {
            max_attempts: status.retry_max_attempts,
            initial_delay: status.retry_initial_ms,
            max_delay: status.retry_max_ms,
            backoff_multiplier: 2,
        }),
        throttled_until: micros(status.throttled_until_us).filter(|until| *until > now),
        error: Some(status.last_auth_error.clone()).filter(|e| !e.is_empty()),
    }
}

fn cache(status: &GetStatusReply, verdict: &mut Verdict) -> CacheHealth {
    if !status.cache_connected {
        verdict.warn(format!("the cache ({}) is not connected", status.cache_provider));
    }
    CacheHealth { provider: Some(status.cache_provider.clone()), connected: Some(status.cache_connected) }
}

/// Name of the connector's `breaker_state`.
pub fn breaker_name(state: i32) -> &'static str {
    match state {
        0 => "closed",
        1 => "half-open",
        _ => "open",
    }
}
