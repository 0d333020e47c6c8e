//! `POST /api/events`, `PATCH /api/events/{id}`, `DELETE /api/events/{id}`

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde_json::json;
use store::calendar::app_events::{self, Content, Origin};
use store::calendar::connections;
use uuid::Uuid;
use web::json::Json;
use web::path::Path;
use web::problem::{FieldError, Problem};
use web::query::Query;

use super::body::{self, EventBody, shown};
use super::fields::EventFields;
use super::{MailQuery, SendUpdates, check, locked, unknown};
use crate::actor::Actor;
use crate::error::Answer;
use crate::operation::{Call, Operation};
use crate::state::ApiState;

/// Writes a new event of the caller; the calendar follows
#[utoipa::path(post, path = "/api/events", tag = "data", params(MailQuery), request_body = EventFields, responses(
    (status = 201, description = "The event", body = EventBody),
    (status = 403, description = "The caller is no member of the organization", body = web::problem::ProblemBody),
    (status = 422, description = "A field cannot be used", body = web::problem::ProblemBody),
))]
pub async fn create(
    State(state): State<ApiState>,
    actor: Actor,
    Query(mail): Query<MailQuery>,
    call: Call,
) -> Answer<Response> {
    let fields: EventFields = call.json()?;
    let send_updates = fields.send_updates.or(mail.send_updates).map(SendUpdates::as_str);
    let origin = Origin { connection_id: fields.connection_id, ..Origin::default() };
    let mut content = Content::default();
    fields.apply(&mut content);
    check::check(&content)?;
    let reason = actor.reason(None)?;
    let mut operation = Operation::begin(&state, &actor.claims, call).await?;
    let company = operation.company;
    let tx = operation.tx();
    if let Some(connection) = origin.connection_id
        && connections::get(tx, company, connection).await?.is_none()
    {
        let message = "is no connected calendar of the organization";
        return Err(Problem::unprocessable(vec![FieldError::new("connection_id", message)]).into());
    }
    tx.on_behalf_of(&actor.claims.sub).await?;
    let event = app_events::insert(tx, company, &content, &origin, send_updates).await?;
    let details = json!({ "sendUpdates": send_updates });
    actor.record(tx, company, "event.create", format!("event:{}", event.id), reason, details).await?;
    let location = format!("/api/events/{}", event.id);
    operation.answer(StatusCode::CREATED, Some(&location), &EventBody::from(event)).await
}

/// Changes an event: what is absent stays, null clears
#[utoipa::path(patch, path = "/api/events/{id}", tag = "data",
    params(("id" = Uuid, Path), MailQuery, ("If-Match" = String, Header, description = "The event's ETag, or *")),
    request_body = EventFields, responses(
        (status = 200, description = "The event", body = EventBody),
        (status = 404, description = "No such event of the caller", body = web::problem::ProblemBody),
        (status = 412, description = "It was changed meanwhile", body = web::problem::ProblemBody),
        (status = 422, description = "A field cannot be used", body = web::problem::ProblemBody),
        (status = 428, description = "`If-Match` is missing", body = web::problem::ProblemBody),
    ))]
pub async fn change(
    State(state): State<ApiState>,
    actor: Actor,
    Path(id): Path<Uuid>,
    Query(mail): Query<MailQuery>,
    headers: HeaderMap,
    Json(fields): Json<EventFields>,
) -> Answer<Response> {
    if fields.connection_id.is_some() {
        let message = "an event stays in its calendar";
        return Err(Problem::unprocessable(vec![FieldError::new("connection_id", message)]).into());
    }
    let send_updates = fields.send_updates.or(mail.send_updates).map(SendUpdates::as_str);
    let reason = actor.reason(None)?;
    let (mut tx, company) = state.tenant_user(&actor.claims).await?;
    let event = locked(&mut tx, company, id).await?;
    body::check(&headers, &event)?;
    let mut content = event.content.clone();
    fields.apply(&mut content);
    check::check(&content)?;
    let exception = event.series_event_id.is_some() || event.recurring_event_id.is_some();
    if exception && content.recurrence.is_some() {
        let message = "one occurrence of a series does not recur; change the series";
        return Err(Problem::unprocessable(vec![FieldError::new("recurrence", message)]).into());
    }
    let changed =
        app_events::update(&mut tx, company, id, &content, send_updates).await?.ok_or_else(|| unknown(id))?;
    let details = json!({ "sendUpdates": send_updates });
    actor.record(&mut tx, company, "event.change", format!("event:{id}"), reason, details).await?;
    tx.commit().await?;
    Ok(shown(changed))
}

/// Deletes an event; of an exception: its occurrence does not take place
#[utoipa::path(delete, path = "/api/events/{id}", tag = "data",
    params(("id" = Uuid, Path), MailQuery, ("If-Match" = String, Header, description = "The event's ETag, or *")),
    responses(
        (status = 204, description = "It is deleted"),
        (status = 404, description = "No such event of the caller", body = web::problem::ProblemBody),
        (status = 412, description = "It was changed meanwhile", body = web::problem::ProblemBody),
        (status = 428, description = "`If-Match` is missing", body = web::problem::ProblemBody),
    ))]
pub async fn delete(
    State(state): State<ApiState>,
    actor: Actor,
    Path(id): Path<Uuid>,
    Query(mail): Query<MailQuery>,
    headers: HeaderMap,
) -> Answer<Response> {
    let send_updates = mail.send_updates.map(SendUpdates::as_str);
    let reason = actor.reason(None)?;
    let (mut tx, company) = state.tenant_user(&actor.claims).await?;
    let event = locked(&mut tx, company, id).await?;
    body::check(&headers, &event)?;
    app_events::delete(&mut tx, company, id, send_updates).await?;
    let details = json!({ "sendUpdates": send_updates });
    actor.record(&mut tx, company, "event.delete", format!("event:{id}"), reason, details).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
