//! `GET /api/sync/conflicts`, `POST /api/sync/conflicts/{id}/resolve`

mod keep;

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::calendar::conflicts::{self, Conflict};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use web::auth::Operator;
use web::json::Json;
use web::page::Page;
use web::path::Path;
use web::problem::Problem;
use web::query::Query;

use crate::actor::Actor;
use crate::error::Answer;
use crate::operation::{Call, Operation};
use crate::state::ApiState;

/// Two edits of one field, of which one lost.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConflictBody {
    id: Uuid,
    /// `google`
    source: String,
    /// `event`
    resource_type: String,
    event_id: Option<Uuid>,
    connection_id: Option<Uuid>,
    calendar_id: Option<String>,
    google_event_id: Option<String>,
    /// Such as `title`, `when`, `attendees/a@example.com`; `existence`: a deletion lost against an edit.
    field: String,
    /// Of the last agreement.
    base_value: Option<Value>,
    app_value: Option<Value>,
    provider_value: Option<Value>,
    /// Whose value stands: `app` or `provider`.
    kept: String,
    /// Rule that decided.
    policy: String,
    /// `open` or `resolved`.
    state: String,
    resolved_by: Option<String>,
    resolved_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl From<Conflict> for ConflictBody {
    fn from(c: Conflict) -> Self {
        Self {
            id: c.id,
            source: c.source,
            resource_type: c.resource_type,
            event_id: c.event_id,
            connection_id: c.connection_id,
            calendar_id: c.calendar_id,
            google_event_id: c.google_event_id,
            field: c.field,
            base_value: c.base_value,
            app_value: c.app_value,
            provider_value: c.provider_value,
            kept: c.kept,
            policy: c.policy,
            state: c.state,
            resolved_by: c.resolved_by,
            resolved_at: c.resolved_at,
            created_at: c.created_at,
        }
    }
}

/// Which conflicts to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ConflictQuery {
    /// `open` (default), `resolved` or `all`.
    state: Option<String>,
    /// Items on the page, 1 to 200 (50).
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Edits that lost, newest first
#[utoipa::path(get, path = "/api/sync/conflicts", tag = "repair", params(ConflictQuery), responses(
    (status = 200, description = "A page of conflicts", body = Page<ConflictBody>),
))]
pub async fn list(
    State(state): State<ApiState>,
    Operator(claims): Operator,
    Query(query): Query<ConflictQuery>,
) -> Answer<Json<Page<ConflictBody>>> {
    let page = crate::routes::page(query.limit, query.cursor)?;
    let wanted = query.state.unwrap_or_else(|| "open".to_owned());
    let wanted = Some(wanted.as_str()).filter(|state| *state != "all");
    let before = page.after()?;
    let (mut tx, company) = state.tenant(&claims).await?;
    let rows = conflicts::list(&mut tx, company, wanted, before, page.fetch()).await?;
    Ok(Json(Page::cut(&page, rows, |c| (c.created_at, c.id)).map(ConflictBody::from)))
}

/// Whose value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// The application's.
    App,
    /// The provider's.
    Provider,
}

impl Keep {
    const fn as_str(self) -> &'static str {
        match self {
            Keep::App => "app",
            Keep::Provider => "provider",
        }
    }
}

/// The decision.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolution {
    keep: Keep,
    /// Why, for those who look later.
    reason: Option<String>,
}

/// Decides a conflict. When the other value is to stand, it is written into the event as an edit of the application,
/// and the calendar follows
#[utoipa::path(post, path = "/api/sync/conflicts/{id}/resolve", tag = "repair", params(("id" = Uuid, Path)),
    request_body = Resolution, responses(
        (status = 200, description = "The conflict", body = ConflictBody),
        (status = 404, description = "No such conflict", body = web::problem::ProblemBody),
        (status = 409, description = "`already_resolved`, `event_gone` or `event_deleted`",
            body = web::problem::ProblemBody),
    ))]
pub async fn resolve(
    State(state): State<ApiState>,
    actor: Actor,
    Path(id): Path<Uuid>,
    call: Call,
) -> Answer<Response> {
    let Resolution { keep, reason } = call.json()?;
    let reason = actor.reason(reason.as_deref())?;
    let mut operation = Operation::begin(&state, &actor.claims, call).await?;
    let company = operation.company;
    let tx = operation.tx();
    let unknown = || Problem::not_found(format!("there is no conflict {id}"));
    let conflict = conflicts::lock(tx, company, id).await?.ok_or_else(unknown)?;
    if conflict.state != "open" {
        return Err(Problem::conflict("already_resolved", "the conflict is resolved").into());
    }
    if conflict.kept != keep.as_str() {
        keep::write(tx, company, &conflict, keep).await?;
    }
    conflicts::resolve(tx, company, id, keep.as_str(), &actor.claims.sub).await?;
    let details = json!({ "keep": keep.as_str(), "kept": conflict.kept, "field": conflict.field });
    actor.record(tx, company, "conflict.resolve", format!("conflict:{id}"), reason, details).await?;
    let resolved = conflicts::lock(tx, company, id).await?.ok_or_else(unknown)?;
    operation.answer(StatusCode::OK, None, &ConflictBody::from(resolved)).await
}
