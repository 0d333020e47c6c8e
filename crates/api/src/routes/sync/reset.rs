//! `POST /api/sync/reset`, `/full`, `/delta`: the Microsoft runbook's re-sync procedures.

use axum::extract::State;
use axum::response::Response;
use contracts::jobs::{SyncMode, Trigger};
use domain::ids::CompanyId;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::calendar::outlook;
use store::jobs::{NewJob, enqueue_many};
use store::sync_state::cursor;
use store::{Tx, drives, mailboxes, teams};
use utoipa::ToSchema;
use uuid::Uuid;
use web::auth::Operator;
use web::problem::{FieldError, Problem};

use super::messages::{channel_job, chat_job, mailbox_job};
use super::{drive_job, state::TYPES};
use crate::actor::Actor;
use crate::error::Answer;
use crate::operation::{Call, Operation};
use crate::routes::calendar_sync::pull_job;
use crate::state::ApiState;

/// Of whom, and what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resync {
    /// Address or user id of a mailbox; a drive id for `drive`; `{team}/{channel}` or a chat id for `teams`.
    #[serde(rename = "userId")]
    user_id: String,
    /// `messages` (default), `events`, `drive` or `teams`.
    #[serde(rename = "resourceType")]
    resource_type: Option<String>,
}

/// Cursors that were forgotten.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResetDone {
    resource_type: String,
    user_id: String,
    /// The next run reads these anew.
    cursors: u64,
}

/// Runs that were queued.
#[derive(Debug, Serialize, ToSchema)]
pub struct Resyncing {
    resource_type: String,
    user_id: String,
    job_ids: Vec<Uuid>,
}

/// What is registered under a name.
enum Target {
    Mailbox(String),
    Drive(String),
    Channel(String, String),
    Chat(String),
    /// Connection of an Outlook calendar, and its mailbox.
    Events(Uuid, String),
}

impl Target {
    /// As `microsoft_sync_state` names it.
    fn key(&self) -> String {
        match self {
            Target::Mailbox(id) | Target::Drive(id) | Target::Chat(id) | Target::Events(_, id) => id.clone(),
            Target::Channel(team, channel) => format!("{team}/{channel}"),
        }
    }

    fn job(&self, company: CompanyId, mode: SyncMode, by: &str) -> store::Result<NewJob> {
        let full = mode == SyncMode::Full;
        let purpose = if full { "full" } else { "walk" };
        match self {
            Target::Mailbox(id) => mailbox_job(company, id, mode, purpose, by, Trigger::Manual, None),
            Target::Drive(id) => drive_job(company, id, purpose, by, |payload| payload.mode = mode),
            Target::Channel(team, channel) => channel_job(company, team, channel, mode, by, Trigger::Manual),
            Target::Chat(id) => chat_job(company, id, mode, by, Trigger::Manual),
            Target::Events(connection, _) => pull_job(company, *connection, full, by),
        }
    }
}

/// Forgets the cursors: the next run reads everything. Rows stay, and are compared with what is read
#[utoipa::path(post, path = "/api/sync/reset", tag = "sync", request_body = Resync, responses(
    (status = 200, description = "Forgotten", body = ResetDone),
    (status = 404, description = "Nothing of that kind is registered", body = web::problem::ProblemBody),
))]
pub async fn reset(
    State(state): State<ApiState>,
    Operator(claims): Operator,
    actor: Actor,
    call: Call,
) -> Answer<Response> {
    let (body, resource_type) = read(&call)?;
    let mut operation = Operation::begin(&state, &claims, call).await?;
    let company = operation.company;
    let target = find(operation.tx(), company, &body.user_id, &resource_type).await?;
    let cursors = match &target {
        Target::Events(connection, _) => outlook::forget_cursor(operation.tx(), company, *connection).await?,
        _ => cursor::reset(operation.tx(), company, &resource_type, &target.key()).await?,
    };
    let reason = actor.reason(None)?;
    let resource = format!("{resource_type}:{}", target.key());
    actor
        .record(operation.tx(), company, "sync.reset", resource, reason, json!({ "cursors": cursors }))
        .await?;
    let done = ResetDone { resource_type, user_id: body.user_id, cursors };
    operation.answer(StatusCode::OK, None, &done).await
}

/// Reads everything and compares it with the rows
#[utoipa::path(post, path = "/api/sync/full", tag = "sync", request_body = Resync, responses(
    (status = 202, description = "A run was queued", body = Resyncing),
    (status = 404, description = "Nothing of that kind is registered", body = web::problem::ProblemBody),
))]
pub async fn full(
    State(state): State<ApiState>,
    Operator(claims): Operator,
    actor: Actor,
    call: Call,
) -> Answer<Response> {
    run(&state, &claims, &actor, call, SyncMode::Full).await
}

/// Reads what changed since the cursor
#[utoipa::path(post, path = "/api/sync/delta", tag = "sync", request_body = Resync, responses(
    (status = 202, description = "A run was queued", body = Resyncing),
    (status = 404, description = "Nothing of that kind is registered", body = web::problem::ProblemBody),
))]
pub async fn delta(
    State(state): State<ApiState>,
    Operator(claims): Operator,
    actor: Actor,
    call: Call,
) -> Answer<Response> {
    run(&state, &claims, &actor, call, SyncMode::Delta).await
}

async fn run(
    state: &ApiState,
    claims: &web::auth::Claims,
    actor: &Actor,
    call: Call,
    mode: SyncMode,
) -> Answer<Response> {
    let (body, resource_type) = read(&call)?;
    let mut operation = Operation::begin(state, claims, call).await?;
    let company = operation.company;
    let target = find(operation.tx(), company, &body.user_id, &resource_type).await?;
    let job = target.job(company, mode, &claims.sub)?;
    let queued = enqueue_many(operation.tx(), vec![job]).await?;
    let job_ids: Vec<Uuid> = queued.into_iter().map(|job| job.id().uuid()).collect();
    let action = if mode == SyncMode::Full { "sync.full" } else { "sync.delta" };
    let reason = actor.reason(None)?;
    let resource = format!("{resource_type}:{}", target.key());
    actor.record(operation.tx(), company, action, resource, reason, json!({ "job_ids": job_ids })).await?;
    let location = job_ids.first().map(|id| format!("/api/sync/jobs/{id}"));
    let resyncing = Resyncing { resource_type, user_id: body.user_id, job_ids };
    operation.accepted(location.as_deref(), &resyncing).await
}

fn read(call: &Call) -> Result<(Resync, String), Problem> {
    let body: Resync = call.json()?;
    let resource_type = body.resource_type.clone().unwrap_or_else(|| "messages".to_owned());
    if !TYPES.contains(&resource_type.as_str()) {
        let message = format!("is one of {}", TYPES.join(", "));
        return Err(Problem::unprocessable(vec![FieldError::new("resourceType", message)]));
    }
    Ok((body, resource_type))
}

async fn find(tx: &mut Tx, company: CompanyId, name: &str, resource_type: &str) -> Answer<Target> {
    let found = match resource_type {
        "messages" => mailboxes::get(tx, company, name).await?.map(|m| Target::Mailbox(m.user_id)),
        "drive" => drives::get(tx, company, name).await?.map(|d| Target::Drive(d.drive_id)),
        "events" => {
            outlook::of_mailbox(tx, company, name).await?.map(|(id, mailbox)| Target::Events(id, mailbox))
        }
        "teams" => match name.split_once('/') {
            Some(place) => teams::channels(tx, company, Some(place), None, 1)
                .await?
                .pop()
                .map(|c| Target::Channel(c.team_id, c.channel_id)),
            None => {
                teams::chats(tx, company, Some(name), None, 1).await?.pop().map(|c| Target::Chat(c.chat_id))
            }
        },
        _ => None,
    };
    found.ok_or_else(|| Problem::not_found(format!("no {resource_type} of {name:?} is registered")).into())
}
