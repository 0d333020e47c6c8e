//! `/api/schedules`

mod body;
mod change;
mod switch;
mod trigger;

use std::collections::HashMap;

use crate::table::{Table, routes};
use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use serde::Deserialize;
use store::{Tx, schedules};
use utoipa::IntoParams;
use web::auth::Viewer;
use web::json::Json;
use web::page::Page;
use web::path::Path;
use web::problem::Problem;
use web::query::Query;

use body::{RunBody, ScheduleBody, Upcoming};

use crate::error::Answer;
use crate::state::ApiState;

/// Every route below `/api/schedules`.
pub fn routes<T: Table>() -> T {
    T::default()
        .routes(routes!(list))
        .routes(routes!(get, change::put))
        .routes(routes!(runs))
        .routes(routes!(switch::pause))
        .routes(routes!(switch::resume))
        .routes(routes!(trigger::trigger))
}

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Items on the page, 1 to 200 (50).
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Schedules of the organization, by name, with their last run and the next ones
#[utoipa::path(get, path = "/api/schedules", tag = "schedules", params(ListQuery), responses(
    (status = 200, description = "A page of schedules", body = Page<ScheduleBody>),
))]
pub async fn list(
    State(state): State<ApiState>,
    Viewer(claims): Viewer,
    Query(query): Query<ListQuery>,
) -> Answer<Json<Page<ScheduleBody>>> {
    let page = super::page(query.limit, query.cursor)?;
    let after: Option<String> = page.after()?;
    let (mut tx, company) = state.tenant(&claims).await?;
    let mut stored = schedules::list(&mut tx, company).await?;
    // A company has a dozen; the page is cut here.
    stored.retain(|schedule| after.as_ref().is_none_or(|name| schedule.jobname > *name));
    let mut last: HashMap<i64, _> =
        schedules::latest_runs(&mut tx, company).await?.into_iter().map(|run| (run.jobid, run)).collect();
    let now = state.now();
    Ok(Json(Page::cut(&page, stored, |schedule| schedule.jobname.clone()).map(|schedule| {
        let run = last.remove(&schedule.jobid);
        ScheduleBody::new(schedule, run, now, Upcoming::WhenActive)
    })))
}

/// One schedule
#[utoipa::path(get, path = "/api/schedules/{name}", tag = "schedules", params(("name" = String, Path)), responses(
    (status = 200, description = "The schedule", body = ScheduleBody),
    (status = 404, description = "No such schedule", body = web::problem::ProblemBody),
))]
pub async fn get(
    State(state): State<ApiState>,
    Viewer(claims): Viewer,
    Path(name): Path<String>,
) -> Answer<Json<ScheduleBody>> {
    let (mut tx, company) = state.tenant(&claims).await?;
    Ok(Json(read(&mut tx, company, &name, state.now(), Upcoming::WhenActive).await?))
}

/// Occurrences of a schedule, newest first: what ran, how it ended, and why something did not run
#[utoipa::path(get, path = "/api/schedules/{name}/runs", tag = "schedules",
    params(("name" = String, Path), ListQuery), responses(
    (status = 200, description = "A page of occurrences", body = Page<RunBody>),
    (status = 404, description = "No such schedule", body = web::problem::ProblemBody),
))]
pub async fn runs(
    State(state): State<ApiState>,
    Viewer(claims): Viewer,
    Path(name): Path<String>,
    Query(query): Query<ListQuery>,
) -> Answer<Json<Page<RunBody>>> {
    let page = super::page(query.limit, query.cursor)?;
    let before: Option<DateTime<Utc>> = page.after()?;
    let (mut tx, company) = state.tenant(&claims).await?;
    schedules::find(&mut tx, company, &name).await?.ok_or_else(|| unknown(&name))?;
    let rows = schedules::runs_page(&mut tx, company, &name, before, page.fetch()).await?;
    Ok(Json(Page::cut(&page, rows, |run| run.occurrence_at).map(RunBody::from)))
}

/// A schedule as it stands now.
async fn read(
    tx: &mut Tx,
    company: CompanyId,
    name: &str,
    now: DateTime<Utc>,
    upcoming: Upcoming,
) -> Answer<ScheduleBody> {
    let schedule = schedules::find(tx, company, name).await?.ok_or_else(|| unknown(name))?;
    let last = schedules::latest_runs(tx, company).await?.into_iter().find(|run| run.jobid == schedule.jobid);
    Ok(ScheduleBody::new(schedule, last, now, upcoming))
}

fn unknown(name: &str) -> Problem {
    Problem::not_found(format!("there is no schedule {name:?}; GET /api/schedules lists them"))
}
