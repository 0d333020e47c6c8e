//! `POST /api/calendar/sync`

use axum::extract::State;
use axum::response::Response;
use contracts::jobs::{PullCalendar, PushCalendar, Trigger, calendar_resource};
use domain::ids::CompanyId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::Tx;
use store::calendar::connections;
use store::jobs::{NewJob, enqueue};
use utoipa::ToSchema;
use uuid::Uuid;
use web::problem::Problem;

use crate::actor::Actor;
use crate::error::Answer;
use crate::operation::{Call, Operation};
use crate::state::ApiState;

/// What to synchronise.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CalendarSync {
    /// One connection; absent: all active ones.
    connection_id: Option<Uuid>,
    /// Read the whole calendar anew, whatever the cursor says (false).
    #[serde(default)]
    full: bool,
}

/// The jobs of one calendar.
#[derive(Debug, Serialize, ToSchema)]
pub struct CalendarJobs {
    connection_id: Uuid,
    pull_job: Uuid,
    push_job: Uuid,
}

/// Jobs that were queued, or that waited already.
#[derive(Debug, Serialize, ToSchema)]
pub struct CalendarSyncing {
    jobs: Vec<CalendarJobs>,
}

/// Brings one calendar, or all of them, up to date now, both ways
#[utoipa::path(post, path = "/api/calendar/sync", tag = "sync", request_body(content = Option<CalendarSync>), responses(
    (status = 202, description = "Jobs were queued", body = CalendarSyncing),
    (status = 404, description = "No such connection", body = web::problem::ProblemBody),
    (status = 409, description = "It is not active", body = web::problem::ProblemBody),
))]
pub async fn sync(State(state): State<ApiState>, actor: Actor, call: Call) -> Answer<Response> {
    let CalendarSync { connection_id, full } = call.json()?;
    let reason = actor.reason(None)?;
    let mut operation = Operation::begin(&state, &actor.claims, call).await?;
    let company = operation.company;
    let tx = operation.tx();
    let mut calendars = connections::active(tx, company).await?;
    if let Some(id) = connection_id {
        if !calendars.contains(&id) {
            let known = connections::get(tx, company, id).await?;
            let connection =
                known.ok_or_else(|| Problem::not_found(format!("there is no connection {id}")))?;
            let detail = "the connection takes no part; switch it on, or connect the calendar again";
            return Err(Problem::conflict("not_active", detail).with("state", connection.state).into());
        }
        calendars = vec![id];
    }
    let mut jobs = Vec::with_capacity(calendars.len());
    for connection in calendars {
        jobs.push(both_ways(tx, company, connection, full, &actor.claims.sub).await?);
    }
    let details = json!({ "connection_id": connection_id, "full": full, "calendars": jobs.len() });
    actor.record(tx, company, "calendar.sync", "calendars".to_owned(), reason, details).await?;
    operation.accepted(None, &CalendarSyncing { jobs }).await
}

/// A run that reads a calendar.
pub(super) fn pull_job(company: CompanyId, connection: Uuid, full: bool, by: &str) -> store::Result<NewJob> {
    let pull =
        PullCalendar { connection_id: connection, trigger: Trigger::Manual, full, approved_removals: None };
    // A waiting pull from the cursor does not do what a full one is asked for.
    let purpose = if full { ":full" } else { "" };
    Ok(NewJob::new(company, &pull, by)?
        .dedupe(format!("calendar.pull:{connection}{purpose}"))
        .resource(calendar_resource(connection))
        .priority(9))
}

async fn both_ways(
    tx: &mut Tx,
    company: CompanyId,
    connection: Uuid,
    full: bool,
    by: &str,
) -> store::Result<CalendarJobs> {
    let pull = pull_job(company, connection, full, by)?;
    let push = NewJob::new(company, &PushCalendar { connection_id: connection }, by)?
        .dedupe(format!("calendar.push:{connection}"))
        .resource(calendar_resource(connection))
        .priority(9);
    Ok(CalendarJobs {
        connection_id: connection,
        pull_job: enqueue(tx, pull).await?.id().uuid(),
        push_job: enqueue(tx, push).await?.id().uuid(),
    })
}
