//! `GET /api/events`, `GET /api/events/{id}`

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use store::calendar::app_events::{self, EventFilter};
use utoipa::IntoParams;
use uuid::Uuid;
use web::auth::Viewer;
use web::json::Json;
use web::page::Page;
use web::path::Path;
use web::query::Query;

use super::body::{EventBody, shown};
use super::unknown;
use crate::error::Answer;
use crate::state::ApiState;

/// Which events to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// Only events that end after this; a series counts as endless.
    from: Option<DateTime<Utc>>,
    /// Only events that begin before this.
    to: Option<DateTime<Utc>>,
    /// Only exceptions of this series.
    series: Option<Uuid>,
    /// Also deleted ones (false).
    #[serde(default)]
    deleted: bool,
    /// Items on the page, 1 to 200 (50).
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The caller's events by their beginning; series and their exceptions as they are stored
#[utoipa::path(get, path = "/api/events", tag = "data", params(EventQuery), responses(
    (status = 200, description = "A page of events", body = Page<EventBody>),
))]
pub async fn list(
    State(state): State<ApiState>,
    Viewer(claims): Viewer,
    Query(query): Query<EventQuery>,
) -> Answer<Json<Page<EventBody>>> {
    let page = crate::routes::page(query.limit, query.cursor)?;
    let filter = EventFilter {
        from: query.from,
        to: query.to,
        series: query.series,
        deleted: query.deleted,
        after: page.after()?,
    };
    let (mut tx, company) = state.tenant_user(&claims).await?;
    let rows = app_events::list(&mut tx, company, &filter, page.fetch()).await?;
    Ok(Json(Page::cut(&page, rows, |row| (row.begins, row.event.id)).map(|row| EventBody::from(row.event))))
}

/// One of the caller's events; its `ETag` is for `If-Match`
#[utoipa::path(get, path = "/api/events/{id}", tag = "data", params(("id" = Uuid, Path)), responses(
    (status = 200, description = "The event", body = EventBody),
    (status = 404, description = "No such event of the caller", body = web::problem::ProblemBody),
))]
pub async fn get(
    State(state): State<ApiState>,
    Viewer(claims): Viewer,
    Path(id): Path<Uuid>,
) -> Answer<Response> {
    let (mut tx, company) = state.tenant_user(&claims).await?;
    let event = app_events::get(&mut tx, company, id).await?;
    Ok(shown(event.filter(|event| event.deleted_at.is_none()).ok_or_else(|| unknown(id))?))
}
