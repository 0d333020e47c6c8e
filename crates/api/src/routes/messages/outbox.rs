//! `/api/messages/outbox`

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use domain::outbox::State as Sending;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::jobs::enqueue;
use store::outgoing::{self, Outgoing, Progress};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use web::auth::{Claims, Operator, Viewer};
use web::json::Json;
use web::page::Page;
use web::path::Path;
use web::problem::{FieldError, Problem};
use web::query::Query;

use super::send::send_job;
use crate::actor::Actor;
use crate::error::Answer;
use crate::operation::{Call, Operation};
use crate::state::ApiState;

/// What is to be sent, or was.
#[derive(Debug, Serialize, ToSchema)]
pub struct OutgoingBody {
    id: Uuid,
    /// `mail` or `card`
    kind: String,
    /// Mailbox that sends, or workflow that posts.
    sender: String,
    /// Subject of a mail.
    subject: Option<String>,
    /// Recipients of a mail.
    #[schema(value_type = Vec<Object>)]
    to: Value,
    /// `pending`, `drafted`, `attached`, `submitting`, `submitted`, `sent`, `failed`, `cancelled`, or `ambiguous`: it may
    /// have been sent, and a person decides (retry or cancel).
    state: String,
    provider_message_id: Option<String>,
    internet_message_id: Option<String>,
    /// Calls that asked the provider to send.
    submissions: i32,
    /// Look-ups since the last of them.
    lookups: i32,
    error: Option<String>,
    requested_by: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    submitted_at: Option<DateTime<Utc>>,
    sent_at: Option<DateTime<Utc>>,
}

impl From<Outgoing> for OutgoingBody {
    fn from(o: Outgoing) -> Self {
        let to = match &o.payload["to"] {
            Value::Null => json!([]),
            to => to.clone(),
        };
        Self {
            id: o.id,
            kind: o.kind,
            sender: o.sender,
            subject: o.payload["subject"].as_str().map(str::to_owned),
            to,
            state: o.state,
            provider_message_id: o.provider_message_id,
            internet_message_id: o.internet_message_id,
            submissions: o.submissions,
            lookups: o.lookups,
            error: o.error,
            requested_by: o.requested_by,
            created_at: o.created_at,
            updated_at: o.updated_at,
            submitted_at: o.submitted_at,
            sent_at: o.sent_at,
        }
    }
}

/// Which to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OutboxQuery {
    /// Only this state.
    state: Option<String>,
    /// Items on the page, 1 to 200 (50).
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// What is to be sent and what was, newest first
#[utoipa::path(get, path = "/api/messages/outbox", tag = "messages", params(OutboxQuery), responses(
    (status = 200, description = "A page of the outbox", body = Page<OutgoingBody>),
))]
pub async fn list(
    State(state): State<ApiState>,
    Viewer(claims): Viewer,
    Query(query): Query<OutboxQuery>,
) -> Answer<Json<Page<OutgoingBody>>> {
    if query.state.as_deref().is_some_and(|name| Sending::of_name(name).is_none()) {
        return Err(Problem::unprocessable(vec![FieldError::new("state", "is no state of a sending")]).into());
    }
    let page = crate::routes::page(query.limit, query.cursor)?;
    let (mut tx, company) = state.tenant(&claims).await?;
    let rows = outgoing::list(&mut tx, company, query.state.as_deref(), page.after()?, page.fetch()).await?;
    Ok(Json(Page::cut(&page, rows, |o| (o.created_at, o.id)).map(OutgoingBody::from)))
}

/// One sending
#[utoipa::path(get, path = "/api/messages/outbox/{id}", tag = "messages", params(("id" = Uuid, Path)), responses(
    (status = 200, description = "The sending", body = OutgoingBody),
    (status = 404, description = "No such sending", body = web::problem::ProblemBody),
))]
pub async fn get(
    State(state): State<ApiState>,
    Viewer(claims): Viewer,
    Path(id): Path<Uuid>,
) -> Answer<Json<OutgoingBody>> {
    let (mut tx, company) = state.tenant(&claims).await?;
    let row = outgoing::get(&mut tx, company, id, false).await?.ok_or_else(|| unknown(id))?;
    Ok(Json(OutgoingBody::from(row)))
}

fn unknown(id: Uuid) -> Problem {
    Problem::not_found(format!("there is no sending {id}"))
}

/// Sends a failed one again, looks an ambiguous mail up again, and posts an ambiguous card once more: whoever asks has
/// seen that it did not arrive
#[utoipa::path(post, path = "/api/messages/outbox/{id}/retry", tag = "messages", params(("id" = Uuid, Path)),
    responses(
        (status = 202, description = "It is under way", body = OutgoingBody),
        (status = 404, description = "No such sending", body = web::problem::ProblemBody),
        (status = 409, description = "Nothing is to be retried", body = web::problem::ProblemBody),
    ))]
pub async fn retry(
    State(state): State<ApiState>,
    Operator(claims): Operator,
    Path(id): Path<Uuid>,
    actor: Actor,
    call: Call,
) -> Answer<Response> {
    let (mut operation, row) = hold(&state, &claims, id, call).await?;
    let to = match (Sending::of_name(&row.state), row.kind.as_str()) {
        (Some(Sending::Ambiguous), "mail") => Sending::Submitting,
        (Some(Sending::Failed | Sending::Ambiguous), _) => Sending::Pending,
        (Some(state), _) if state != Sending::Sent && state != Sending::Cancelled => state,
        _ => {
            let detail = format!("the sending is {}", row.state);
            return Err(Problem::conflict("not_retryable", detail).with("state", &row.state).into());
        }
    };
    change(&mut operation, &row, to, &actor, "messages.retry").await?;
    let company = operation.company;
    enqueue(operation.tx(), send_job(company, id, &claims.sub)?).await?;
    let row = outgoing::get(operation.tx(), company, id, false).await?.ok_or_else(|| unknown(id))?;
    operation.accepted(Some(&format!("/api/messages/outbox/{id}")), &OutgoingBody::from(row)).await
}

/// Calls one off. An ambiguous one is closed: nothing more is done about it, and it may have been sent
#[utoipa::path(post, path = "/api/messages/outbox/{id}/cancel", tag = "messages", params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "It was called off", body = OutgoingBody),
        (status = 404, description = "No such sending", body = web::problem::ProblemBody),
        (status = 409, description = "It is on its way or was sent", body = web::problem::ProblemBody),
    ))]
pub async fn cancel(
    State(state): State<ApiState>,
    Operator(claims): Operator,
    Path(id): Path<Uuid>,
    actor: Actor,
    call: Call,
) -> Answer<Response> {
    let (mut operation, row) = hold(&state, &claims, id, call).await?;
    let open = Sending::of_name(&row.state)
        .is_some_and(|state| state.is_cancellable() || state == Sending::Ambiguous);
    if !open {
        let detail = format!("the sending is {}", row.state);
        return Err(Problem::conflict("not_cancellable", detail).with("state", &row.state).into());
    }
    change(&mut operation, &row, Sending::Cancelled, &actor, "messages.cancel").await?;
    let company = operation.company;
    let row = outgoing::get(operation.tx(), company, id, false).await?.ok_or_else(|| unknown(id))?;
    operation.answer(StatusCode::OK, None, &OutgoingBody::from(row)).await
}

async fn hold(state: &ApiState, claims: &Claims, id: Uuid, call: Call) -> Answer<(Operation, Outgoing)> {
    let mut operation = Operation::begin(state, claims, call).await?;
    let company = operation.company;
    let row = outgoing::get(operation.tx(), company, id, true).await?.ok_or_else(|| unknown(id))?;
    Ok((operation, row))
}

async fn change(
    operation: &mut Operation,
    row: &Outgoing,
    to: Sending,
    actor: &Actor,
    action: &str,
) -> Answer<()> {
    let company = operation.company;
    let from = Sending::of_name(&row.state).ok_or_else(Problem::defect)?;
    let reason = actor.reason(None)?;
    let progress = Progress { error: row.error.clone(), ..Progress::default() };
    outgoing::advance(operation.tx(), company, row.id, (from, to), &progress).await?;
    let details = json!({ "from": row.state, "to": to.as_str(), "kind": row.kind });
    actor.record(operation.tx(), company, action, format!("message:{}", row.id), reason, details).await?;
    Ok(())
}
