//! `/api/drives`

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::StoreError;
use store::drives::{self, Drive};
use utoipa::ToSchema;
use web::auth::{Admin, Viewer};
use web::json::Json;
use web::page::{Page, PageQuery};
use web::path::Path;
use web::problem::{FieldError, Problem};
use web::query::Query;

use crate::actor::Actor;
use crate::error::Answer;
use crate::state::ApiState;

const MAX_ID: usize = 250;

/// A registered drive.
#[derive(Debug, Serialize, ToSchema)]
pub struct DriveBody {
    /// Graph drive id.
    drive_id: String,
    name: String,
    /// `business`, `documentLibrary`, ...; empty until the provider was asked.
    drive_type: String,
    /// Sweeps and notifications are followed.
    enabled: bool,
    created_at: DateTime<Utc>,
}

impl From<Drive> for DriveBody {
    fn from(d: Drive) -> Self {
        Self {
            drive_id: d.drive_id,
            name: d.name,
            drive_type: d.drive_type,
            enabled: d.enabled,
            created_at: d.created_at,
        }
    }
}

/// Registered drives, oldest first
#[utoipa::path(get, path = "/api/drives", tag = "data", params(PageQuery), responses(
    (status = 200, description = "A page of drives", body = Page<DriveBody>),
))]
pub async fn list(
    State(state): State<ApiState>,
    Viewer(claims): Viewer,
    Query(page): Query<PageQuery>,
) -> Answer<Json<Page<DriveBody>>> {
    let after: Option<i64> = page.after()?;
    let (mut tx, company) = state.tenant(&claims).await?;
    let rows = drives::list(&mut tx, company, after, page.fetch()).await?;
    Ok(Json(Page::cut(&page, rows, |d| d.drive_no).map(DriveBody::from)))
}

/// What to write.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutDrive {
    /// Absent: keeps what is stored, or what the provider says.
    name: Option<String>,
    /// Absent: keeps what is stored; a new drive is enabled.
    enabled: Option<bool>,
}

/// Registers a drive, or switches it on or off. An enabled new one is read and subscribed to at once
#[utoipa::path(put, path = "/api/drives/{driveId}", tag = "data", params(("driveId" = String, Path)),
    request_body = PutDrive, responses(
        (status = 200, description = "It was changed", body = DriveBody),
        (status = 201, description = "It was registered", body = DriveBody),
        (status = 409, description = "It belongs to another organization", body = web::problem::ProblemBody),
    ))]
pub async fn put(
    State(state): State<ApiState>,
    Admin(claims): Admin,
    Path(drive_id): Path<String>,
    actor: Actor,
    Json(drive): Json<PutDrive>,
) -> Answer<Response> {
    if drive_id.len() > MAX_ID || drive_id.chars().any(|c| c.is_control() || c.is_whitespace()) {
        let message = format!("has at most {MAX_ID} bytes, no spaces and no control characters");
        return Err(Problem::unprocessable(vec![FieldError::new("driveId", message)]).into());
    }
    let (mut tx, company) = state.tenant(&claims).await?;
    let name = drive.name.as_deref().unwrap_or_default();
    let new = match drives::register(&mut tx, company, &drive_id, name).await {
        Err(StoreError::Constraint { constraint, .. }) if constraint == "drives_drive_id_unique" => {
            return Err(Problem::conflict("drive_taken", "the drive belongs to another organization").into());
        }
        other => other?,
    };
    if let Some(enabled) = drive.enabled {
        drives::set_enabled(&mut tx, company, &drive_id, enabled).await?;
    }
    let stored = drives::get(&mut tx, company, &drive_id).await?.ok_or_else(Problem::defect)?;
    if stored.enabled && (new || drive.enabled == Some(true)) {
        drives::enqueue_first_sync(&mut tx, company, &drive_id, &claims.sub).await?;
    }
    let details = json!({ "name": stored.name, "enabled": stored.enabled, "new": new });
    let reason = actor.reason(None)?;
    actor.record(&mut tx, company, "drive.put", format!("drive:{drive_id}"), reason, details).await?;
    tx.commit().await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(DriveBody::from(stored))).into_response())
}
