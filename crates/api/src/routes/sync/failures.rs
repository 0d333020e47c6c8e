//! `GET /api/sync/failures`

use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use store::aos::{self, Ao};
use utoipa::{IntoParams, ToSchema};
use web::auth::Viewer;
use web::json::Json;
use web::page::Page;
use web::problem::{FieldError, Problem};
use web::query::Query;

use crate::error::Answer;
use crate::state::ApiState;

/// An AO whose synchronisation keeps failing.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailureBody {
    ao_id: String,
    reference: String,
    title: String,
    failing_since: Option<DateTime<Utc>>,
    failing_days: i64,
    last_synced_at: Option<DateTime<Utc>>,
    last_error: Option<String>,
}

/// How long they must have failed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FailureQuery {
    /// Days without a success since the first failure, 0 to 3650 (3).
    days: Option<u32>,
    /// Items on the page, 1 to 200 (50).
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// AOs that have failed for longer than some days, the oldest trouble first
#[utoipa::path(get, path = "/api/sync/failures", tag = "repair", params(FailureQuery), responses(
    (status = 200, description = "A page of AOs", body = Page<FailureBody>),
))]
pub async fn list(
    State(state): State<ApiState>,
    Viewer(claims): Viewer,
    Query(query): Query<FailureQuery>,
) -> Answer<Json<Page<FailureBody>>> {
    let days = query.days.unwrap_or(3);
    if days > 3650 {
        return Err(
            Problem::unprocessable(vec![FieldError::new("days", "is a number from 0 to 3650")]).into()
        );
    }
    let page = crate::routes::page(query.limit, query.cursor)?;
    let now = state.now();
    let before = now - TimeDelta::days(i64::from(days));
    let (mut tx, company) = state.tenant(&claims).await?;
    let rows = aos::failing(&mut tx, company, before, page.after()?, page.fetch()).await?;
    let page = Page::cut(&page, rows, |ao| (ao.failing_since, ao.id.clone()));
    Ok(Json(page.map(|ao| body(ao, now))))
}

fn body(ao: Ao, now: DateTime<Utc>) -> FailureBody {
    FailureBody {
        ao_id: ao.id,
        reference: ao.reference,
        title: ao.title,
        failing_since: ao.failing_since,
        failing_days: ao.failing_since.map_or(0, |since| (now - since).num_days()),
        last_synced_at: ao.last_synced_at,
        last_error: ao.last_error,
    }
}
