//! `GET /api/sync/state/{user}/{resourceType}`

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use store::calendar::outlook;
use store::mailboxes;
use store::sync_state::{self, SyncState};
use utoipa::ToSchema;
use web::auth::Viewer;
use web::json::Json;
use web::path::Path;
use web::problem::{FieldError, Problem};

use crate::error::Answer;
use crate::state::ApiState;

pub(super) const TYPES: [&str; 4] = ["messages", "events", "drive", "teams"];

/// State of the cursors of a user and resource type; never the cursors themselves.
#[derive(Debug, Serialize, ToSchema)]
pub struct StateBody {
    /// The user, or the drive's id.
    user: String,
    /// `messages`, `events`, `drive` or `teams`.
    resource_type: String,
    /// Of the oldest cursor; null when one has never been read completely.
    cursor_age_seconds: Option<i64>,
    /// Newest run.
    last_run_at: Option<DateTime<Utc>>,
    /// Items known.
    items: i64,
    /// One per drive, folder, channel or calendar.
    resources: Vec<ResourceState>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ResourceState {
    resource_id: String,
    /// There is a delta link to go on from.
    has_cursor: bool,
    /// A round is half way through.
    in_progress: bool,
    cursor_age_seconds: Option<i64>,
    items: i64,
    last_run_at: Option<DateTime<Utc>>,
    last_success_at: Option<DateTime<Utc>>,
    last_error: Option<String>,
    consecutive_failures: i32,
}

/// Cursor age, last run and counts of a user's resources; the user is an address or id; for drives, the
/// drive's id; for teams, `{team}/{channel}` (encoded) or the chat's id
#[utoipa::path(get, path = "/api/sync/state/{user}/{resourceType}", tag = "sync",
    params(("user" = String, Path), ("resourceType" = String, Path)), responses(
    (status = 200, description = "The state", body = StateBody),
    (status = 404, description = "Nothing of that kind was synchronised yet", body = web::problem::ProblemBody),
))]
pub async fn get(
    State(state): State<ApiState>,
    Viewer(claims): Viewer,
    Path((user, resource_type)): Path<(String, String)>,
) -> Answer<Json<StateBody>> {
    if !TYPES.contains(&resource_type.as_str()) {
        let message = format!("is one of {}", TYPES.join(", "));
        return Err(Problem::unprocessable(vec![FieldError::new("resourceType", message)]).into());
    }
    let now = state.now();
    let (mut tx, company) = state.tenant(&claims).await?;
    // Cursors are kept by user id; people know addresses.
    let owner = match resource_type.as_str() {
        "messages" => mailboxes::get(&mut tx, company, &user).await?.map(|mailbox| mailbox.user_id),
        _ => None,
    };
    let owner = owner.as_deref().unwrap_or(&user);
    let mut resources = Vec::new();
    // The calendar's cursor stands with its connection.
    if resource_type == "events"
        && let Some((connection, _)) = outlook::of_mailbox(&mut tx, company, &user).await?
        && let Some(row) = outlook::state(&mut tx, company, connection).await?
    {
        let items = row.items;
        resources.push(resource(row, items, now));
    }
    for row in sync_state::list(&mut tx, company, owner, &resource_type).await? {
        let items = if resource_type == "drive" {
            sync_state::indexed_items(&mut tx, company, &row.resource_id).await?
        } else {
            row.items
        };
        resources.push(resource(row, items, now));
    }
    if resources.is_empty() {
        return Err(Problem::not_found(format!("no {resource_type} of {user:?} was synchronised yet")).into());
    }
    let ages: Option<Vec<i64>> = resources.iter().map(|r| r.cursor_age_seconds).collect();
    Ok(Json(StateBody {
        user,
        resource_type,
        cursor_age_seconds: ages.and_then(|ages| ages.into_iter().max()),
        last_run_at: resources.iter().filter_map(|r| r.last_run_at).max(),
        // The tree of a mailbox counts folders, not messages.
        items: resources.iter().filter(|r| r.resource_id != "folders").map(|r| r.items).sum(),
        resources,
    }))
}

fn resource(row: SyncState, items: i64, now: DateTime<Utc>) -> ResourceState {
    let age = row.last_success_at.filter(|_| row.has_cursor).map(|at| (now - at).num_seconds().max(0));
    ResourceState {
        resource_id: row.resource_id,
        has_cursor: row.has_cursor,
        in_progress: row.walking,
        cursor_age_seconds: age,
        items,
        last_run_at: row.last_run_at,
        last_success_at: row.last_success_at,
        last_error: row.last_error,
        consecutive_failures: row.consecutive_failures,
    }
}
