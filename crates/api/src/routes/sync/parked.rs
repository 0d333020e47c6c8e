//! `/api/sync/parked`

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use contracts::jobs::{PullCalendar, SyncMode, Trigger, calendar_resource};
use domain::ids::CompanyId;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::Tx;
use store::jobs::{NewJob, enqueue};
use store::messages::Place;
use store::parked::{self, Decision, Parked};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use web::auth::{Admin, Claims, Viewer};
use web::json::Json;
use web::page::Page;
use web::path::Path;
use web::problem::Problem;
use web::query::Query;

use super::{channel_job, chat_job, drive_job, mailbox_job};
use crate::actor::Actor;
use crate::error::{Answer, ApiError};
use crate::operation::{Call, Operation};
use crate::routes::jobs::Accepted;
use crate::state::ApiState;

/// Removals that wait for a person.
#[derive(Debug, Serialize, ToSchema)]
pub struct ParkedBody {
    id: Uuid,
    source: String,
    resource_id: String,
    /// Run that was stopped.
    job_id: Option<Uuid>,
    /// Documents before the run.
    existing: i64,
    /// Documents that it would remove.
    would_delete: i64,
    /// A few of them.
    sample: Value,
    reason: String,
    /// `pending`, `approved` or `rejected`.
    state: String,
    decided_by: Option<String>,
    decided_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl From<Parked> for ParkedBody {
    fn from(p: Parked) -> Self {
        Self {
            id: p.id,
            source: p.source,
            resource_id: p.resource_id,
            job_id: p.job_id,
            existing: p.existing,
            would_delete: p.would_delete,
            sample: p.sample,
            reason: p.reason,
            state: p.state,
            decided_by: p.decided_by,
            decided_at: p.decided_at,
            created_at: p.created_at,
        }
    }
}

/// Which runs to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ParkedQuery {
    /// `pending` (default), `approved`, `rejected` or `all`.
    state: Option<String>,
    /// Items on the page, 1 to 200 (50).
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Runs stopped by the mass-change breaker, newest first
#[utoipa::path(get, path = "/api/sync/parked", tag = "repair", params(ParkedQuery), responses(
    (status = 200, description = "A page of runs", body = Page<ParkedBody>),
))]
pub async fn list(
    State(state): State<ApiState>,
    Viewer(claims): Viewer,
    Query(query): Query<ParkedQuery>,
) -> Answer<Json<Page<ParkedBody>>> {
    let page = crate::routes::page(query.limit, query.cursor)?;
    let wanted = query.state.as_deref().unwrap_or("pending");
    let wanted = Some(wanted).filter(|s| *s != "all");
    let (mut tx, company) = state.tenant(&claims).await?;
    let rows = parked::list(&mut tx, company, wanted, page.after()?, page.fetch()).await?;
    Ok(Json(Page::cut(&page, rows, |p| (p.created_at, p.id)).map(ParkedBody::from)))
}

/// Lets the removals happen: queues a run that may remove this many documents
#[utoipa::path(post, path = "/api/sync/parked/{id}/approve", tag = "repair", params(("id" = Uuid, Path)),
    responses(
        (status = 202, description = "A run was queued", body = Accepted),
        (status = 404, description = "No such run", body = web::problem::ProblemBody),
        (status = 409, description = "Somebody has decided", body = web::problem::ProblemBody),
    ))]
pub async fn approve(
    State(state): State<ApiState>,
    Admin(claims): Admin,
    Path(id): Path<Uuid>,
    actor: Actor,
    call: Call,
) -> Answer<Response> {
    let (mut operation, run) = decide(&state, (&claims, &actor), id, call, true).await?;
    let job = match (run.source.as_str(), run.resource_id.parse()) {
        ("google_calendar" | "outlook_calendar", Ok(connection)) => {
            calendar_job(operation.company, connection, &run, &claims.sub)?
        }
        (source @ ("mail" | "channel" | "chat"), _) => {
            // Each was looked up and is gone: what is approved is what was counted then.
            let source = if source == "mail" {
                "mail"
            } else if source == "chat" {
                "chat"
            } else {
                "channel"
            };
            let place = Place { company: operation.company, source, id: run.resource_id.clone() };
            messages_job(operation.tx(), &place, &run, &claims.sub).await?
        }
        _ => drive_job(operation.company, &run.resource_id, "approved", &claims.sub, |payload| {
            payload.approved_removals = Some(run.would_delete);
        })?,
    };
    let accepted = Accepted::new(enqueue(operation.tx(), job).await?.id());
    operation.accepted(Some(&accepted.location), &accepted).await
}

/// The run that removes what a mailbox, channel or chat lacks.
async fn messages_job(tx: &mut Tx, place: &Place, run: &Parked, by: &str) -> Answer<NewJob> {
    let (company, id) = (place.company, run.resource_id.as_str());
    if place.source == "mail" {
        let approved = Some(run.would_delete);
        return Ok(mailbox_job(company, id, SyncMode::Delta, "approved", by, Trigger::Manual, approved)?);
    }
    store::messages::tombstone_gone(tx, place).await?;
    Ok(match id.split_once('/').filter(|_| place.source == "channel") {
        Some((team, channel)) => channel_job(company, team, channel, SyncMode::Delta, by, Trigger::Sweep)?,
        None => chat_job(company, id, SyncMode::Delta, by, Trigger::Sweep)?,
    })
}

fn calendar_job(company: CompanyId, connection: Uuid, run: &Parked, by: &str) -> store::Result<NewJob> {
    let pull = PullCalendar {
        connection_id: connection,
        trigger: Trigger::Manual,
        full: false,
        approved_removals: Some(run.would_delete),
    };
    // Not the key of ordinary pulls: one that waits already would not remove anything.
    Ok(NewJob::new(company, &pull, by)?
        .dedupe(format!("calendar.pull.approved:{connection}"))
        .resource(calendar_resource(connection)))
}

/// Keeps the documents
#[utoipa::path(post, path = "/api/sync/parked/{id}/reject", tag = "repair", params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "The decision", body = ParkedBody),
        (status = 404, description = "No such run", body = web::problem::ProblemBody),
        (status = 409, description = "Somebody has decided", body = web::problem::ProblemBody),
    ))]
pub async fn reject(
    State(state): State<ApiState>,
    Admin(claims): Admin,
    Path(id): Path<Uuid>,
    actor: Actor,
    call: Call,
) -> Answer<Response> {
    let (operation, run) = decide(&state, (&claims, &actor), id, call, false).await?;
    operation.answer(StatusCode::OK, None, &ParkedBody::from(run)).await
}

async fn decide(
    state: &ApiState,
    (claims, actor): (&Claims, &Actor),
    id: Uuid,
    call: Call,
    approve: bool,
) -> Result<(Operation, Parked), ApiError> {
    let mut operation = Operation::begin(state, claims, call).await?;
    let company = operation.company;
    match parked::decide(operation.tx(), company, id, approve, &claims.sub).await? {
        Decision::Done(run) => {
            let action = if approve { "parked.approve" } else { "parked.reject" };
            let details = json!({ "source": run.source, "resource_id": run.resource_id,
                "would_delete": run.would_delete });
            let reason = actor.reason(None)?;
            actor.record(operation.tx(), company, action, format!("parked:{id}"), reason, details).await?;
            Ok((operation, run))
        }
        Decision::AlreadyDecided(run) => {
            let detail = format!("the run was {} before", run.state);
            let problem = Problem::conflict("already_decided", detail)
                .with("state", &run.state)
                .with("decided_by", &run.decided_by);
            Err(problem.into())
        }
        Decision::Unknown => Err(Problem::not_found(format!("there is no parked run {id}")).into()),
    }
}
