//! `GET /api/sync/status`

use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use domain::schedule::CronExpr;
use serde::Serialize;
use store::schedules::Schedule;
use store::{Tx, history, schedules};
use utoipa::ToSchema;
use web::auth::Viewer;
use web::json::Json;

use super::{SCHEDULE, SOURCE};
use crate::error::Answer;
use crate::state::ApiState;

/// State of the document sync, as the OneDrive runbook shows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusBody {
    /// `success`, `error` or `running`; null before the first run.
    last_sync_status: Option<String>,
    /// End of the last finished run.
    last_sync_at: Option<DateTime<Utc>>,
    /// Next run of the schedule; null while it is switched off.
    next_sync_at: Option<DateTime<Utc>>,
    is_enabled: bool,
    /// Cron expression; null until the scheduler has seen the organization.
    schedule: Option<String>,
    time_zone: Option<String>,
    /// Who switched or changed it last.
    updated_by: Option<String>,
    updated_at: Option<DateTime<Utc>>,
}

/// State of the document sync
#[utoipa::path(get, path = "/api/sync/status", tag = "sync", responses(
    (status = 200, description = "The state", body = StatusBody),
))]
pub async fn status(State(state): State<ApiState>, Viewer(claims): Viewer) -> Answer<Json<StatusBody>> {
    let (mut tx, company) = state.tenant(&claims).await?;
    Ok(Json(read(&mut tx, company, state.now()).await?))
}

/// The state, read in the caller's transaction.
pub async fn read(tx: &mut Tx, company: CompanyId, now: DateTime<Utc>) -> Answer<StatusBody> {
    let newest = history::latest(tx, company, SOURCE, false).await?;
    let finished = history::latest(tx, company, SOURCE, true).await?;
    let schedule = schedules::find(tx, company, SCHEDULE).await?;
    Ok(StatusBody {
        last_sync_status: newest.map(|run| run.status),
        last_sync_at: finished.and_then(|run| run.finished_at),
        next_sync_at: schedule.as_ref().and_then(|s| next_run(s, now)),
        is_enabled: schedule.as_ref().is_some_and(|s| s.active),
        updated_by: schedule.as_ref().and_then(|s| s.updated_by.clone()),
        updated_at: schedule.as_ref().map(|s| s.updated_at),
        time_zone: schedule.as_ref().map(|s| s.time_zone.clone()),
        schedule: schedule.map(|s| s.schedule),
    })
}

/// The next occurrence: as decided by the scheduler, else computed from the expression.
pub fn next_run(schedule: &Schedule, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if !schedule.active {
        return None;
    }
    schedule
        .next_run_at
        .or_else(|| CronExpr::parse(&schedule.schedule, &schedule.time_zone).ok()?.next_after(now))
}
