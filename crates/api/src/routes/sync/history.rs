//! `GET /api/sync/history`, `GET /api/sync/history/latest`

use axum::extract::State;
use chrono::{DateTime, Utc};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::history::{self, Run, RunFilter};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use web::auth::Viewer;
use web::json::Json;
use web::page::Page;
use web::problem::Problem;
use web::query::Query;

use super::SOURCE;
use crate::error::Answer;
use crate::state::ApiState;

/// A run, as the OneDrive runbook shows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunBody {
    id: Uuid,
    source: String,
    /// `running`, `success` or `error`.
    status: String,
    /// End of the run, or its begin while it runs.
    timestamp: DateTime<Utc>,
    #[serde(rename = "totalAOs")]
    total_aos: i32,
    documents_added: i64,
    documents_updated: i64,
    documents_deleted: i64,
    /// Milliseconds; null while it runs.
    duration: Option<i64>,
    errors: Vec<Value>,
    /// `schedule`, `webhook`, `manual` or `sweep`.
    triggered_by: String,
    forced: bool,
    full_enumeration: bool,
    provider_calls: i64,
    drive_id: Option<String>,
    ao_id: Option<String>,
    job_id: Option<Uuid>,
    batch_id: Option<Uuid>,
    started_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl From<Run> for RunBody {
    fn from(run: Run) -> Self {
        Self {
            id: run.id,
            source: run.source,
            status: run.status,
            timestamp: run.finished_at.unwrap_or(run.started_at),
            total_aos: run.total_aos,
            documents_added: run.documents_added,
            documents_updated: run.documents_updated,
            documents_deleted: run.documents_deleted,
            duration: run.duration_ms,
            errors: match run.errors {
                Value::Array(errors) => errors,
                _ => Vec::new(),
            },
            triggered_by: run.triggered_by,
            forced: run.forced,
            full_enumeration: run.full_enumeration,
            provider_calls: run.provider_calls,
            drive_id: run.drive_id,
            ao_id: run.ao_id,
            job_id: run.job_id,
            batch_id: run.batch_id,
            started_at: run.started_at,
            finished_at: run.finished_at,
        }
    }
}

/// Which runs to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HistoryQuery {
    /// Only this source, such as `onedrive`.
    source: Option<String>,
    /// Only `running`, `success` or `error`.
    status: Option<String>,
    /// Only runs of this AO.
    ao_id: Option<String>,
    /// Items on the page, 1 to 200 (50).
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Runs, newest first
#[utoipa::path(get, path = "/api/sync/history", tag = "sync", params(HistoryQuery), responses(
    (status = 200, description = "A page of runs", body = Page<RunBody>),
))]
pub async fn list(
    State(state): State<ApiState>,
    Viewer(claims): Viewer,
    Query(query): Query<HistoryQuery>,
) -> Answer<Json<Page<RunBody>>> {
    let page = crate::routes::page(query.limit, query.cursor)?;
    let filter =
        RunFilter { source: query.source, status: query.status, ao_id: query.ao_id, before: page.after()? };
    let (mut tx, company) = state.tenant(&claims).await?;
    let rows = history::list(&mut tx, company, &filter, page.fetch()).await?;
    Ok(Json(Page::cut(&page, rows, |run| (run.started_at, run.id)).map(RunBody::from)))
}

/// The newest run
#[utoipa::path(get, path = "/api/sync/history/latest", tag = "sync", responses(
    (status = 200, description = "The run", body = RunBody),
    (status = 404, description = "There was none yet", body = web::problem::ProblemBody),
))]
pub async fn latest(State(state): State<ApiState>, Viewer(claims): Viewer) -> Answer<Json<RunBody>> {
    let (mut tx, company) = state.tenant(&claims).await?;
    let run = history::latest(&mut tx, company, SOURCE, false).await?.ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "no_sync_yet",
            "there was no run yet; POST /api/sync/manual starts one",
        )
    })?;
    Ok(Json(RunBody::from(run)))
}
