//! `GET …/retention/runs`, `…/events`, `…/archives`

use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::audit::{archives as stored, runs as history};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use web::json::Json;
use web::page::Page;
use web::path::Path;
use web::query::Query;

use crate::actor::Actor;
use crate::error::Answer;
use crate::state::ApiState;

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Items on the page, 1 to 200 (50).
    #[param(minimum = 1, maximum = 200)]
    pub(super) limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub(super) cursor: Option<String>,
}

/// A run of retention, verification or restore.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditRunBody {
    id: Uuid,
    /// `retention`, `verify` or `restore`.
    kind: String,
    /// `running`, `succeeded` or `failed`.
    state: String,
    job_id: Option<Uuid>,
    dry_run: bool,
    requested_by: String,
    /// What it found or did.
    #[schema(value_type = Object)]
    result: Option<Value>,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
}

/// A step of retention.
#[derive(Debug, Serialize, ToSchema)]
pub struct RetentionEventBody {
    id: Uuid,
    run_id: Option<Uuid>,
    archive_id: Option<Uuid>,
    occurred_at: DateTime<Utc>,
    /// Such as `archive.verified` or `purge.paused`.
    event: String,
    #[schema(value_type = Object)]
    detail: Value,
    trace_id: Option<String>,
}

/// An archive.
#[derive(Debug, Serialize, ToSchema)]
pub struct ArchiveBody {
    id: Uuid,
    first_sequence: i64,
    last_sequence: i64,
    /// `planned`, `uploaded`, `verified`, `purging` or `purged`.
    state: String,
    /// `primary` or `fallback`.
    store: Option<String>,
    path: String,
    reconciled_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

/// Runs of retention, verification and restore, newest first
#[utoipa::path(get, path = "/api/v1/audit/organizations/{org}/retention/runs", tag = "audit",
    params(("org" = Uuid, Path), ListQuery), responses(
    (status = 200, description = "A page of runs", body = Page<AuditRunBody>),
    (status = 404, description = "No such organization", body = web::problem::ProblemBody),
))]
pub async fn runs(
    State(state): State<ApiState>,
    actor: Actor,
    Path(org): Path<Uuid>,
    Query(query): Query<ListQuery>,
) -> Answer<Json<Page<AuditRunBody>>> {
    actor.administers(CompanyId(org))?;
    let page = crate::routes::page(query.limit, query.cursor)?;
    let before: Option<(DateTime<Utc>, Uuid)> = page.after()?;
    let (mut tx, company) = state.tenant(&actor.claims).await?;
    let rows = history::page(&mut tx, company, before, page.fetch()).await?;
    Ok(Json(Page::cut(&page, rows, |run| (run.started_at, run.id)).map(|run| AuditRunBody {
        id: run.id,
        kind: run.kind,
        state: run.state,
        job_id: run.job_id,
        dry_run: run.dry_run,
        requested_by: run.requested_by,
        result: run.result,
        started_at: run.started_at,
        ended_at: run.ended_at,
    })))
}

/// What retention did, step by step, newest first
#[utoipa::path(get, path = "/api/v1/audit/organizations/{org}/events", tag = "audit",
    params(("org" = Uuid, Path), ListQuery), responses(
    (status = 200, description = "A page of steps", body = Page<RetentionEventBody>),
    (status = 404, description = "No such organization", body = web::problem::ProblemBody),
))]
pub async fn events(
    State(state): State<ApiState>,
    actor: Actor,
    Path(org): Path<Uuid>,
    Query(query): Query<ListQuery>,
) -> Answer<Json<Page<RetentionEventBody>>> {
    actor.administers(CompanyId(org))?;
    let page = crate::routes::page(query.limit, query.cursor)?;
    let before: Option<(DateTime<Utc>, Uuid)> = page.after()?;
    let (mut tx, company) = state.tenant(&actor.claims).await?;
    let rows = history::events(&mut tx, company, before, page.fetch()).await?;
    Ok(Json(Page::cut(&page, rows, |event| (event.occurred_at, event.id)).map(|event| RetentionEventBody {
        id: event.id,
        run_id: event.run_id,
        archive_id: event.archive_id,
        occurred_at: event.occurred_at,
        event: event.event,
        detail: event.detail,
        trace_id: event.trace_id,
    })))
}

/// Archives, in the order of their records
#[utoipa::path(get, path = "/api/v1/audit/organizations/{org}/archives", tag = "audit",
    params(("org" = Uuid, Path), ListQuery), responses(
    (status = 200, description = "A page of archives", body = Page<ArchiveBody>),
    (status = 404, description = "No such organization", body = web::problem::ProblemBody),
))]
pub async fn archives(
    State(state): State<ApiState>,
    actor: Actor,
    Path(org): Path<Uuid>,
    Query(query): Query<ListQuery>,
) -> Answer<Json<Page<ArchiveBody>>> {
    actor.administers(CompanyId(org))?;
    let page = crate::routes::page(query.limit, query.cursor)?;
    let after: Option<i64> = page.after()?;
    let (mut tx, company) = state.tenant(&actor.claims).await?;
    let rows = stored::list(&mut tx, company, after.unwrap_or(0), page.fetch()).await?;
    Ok(Json(Page::cut(&page, rows, |archive| archive.first_sequence).map(|archive| ArchiveBody {
        id: archive.id,
        first_sequence: archive.first_sequence,
        last_sequence: archive.last_sequence,
        state: archive.state,
        store: archive.store,
        path: archive.path,
        reconciled_at: archive.reconciled_at,
        created_at: archive.created_at,
    })))
}
