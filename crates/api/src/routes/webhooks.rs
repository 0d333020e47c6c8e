//! `GET /api/webhooks`

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use store::subscriptions::{self, Subscription};
use utoipa::ToSchema;
use uuid::Uuid;
use web::auth::Admin;
use web::json::Json;
use web::page::{Page, PageQuery};
use web::query::Query;

use crate::error::Answer;
use crate::state::ApiState;

/// A push subscription at a provider.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookBody {
    id: Uuid,
    /// `microsoft`
    provider: &'static str,
    /// The provider's id; null while it is being created.
    subscription_id: Option<String>,
    /// `drive`, ...
    resource_type: String,
    resource_id: String,
    notification_url: Option<String>,
    /// `pending`, `active` or `removed`.
    state: String,
    expires_at: Option<DateTime<Utc>>,
    last_notification_at: Option<DateTime<Utc>>,
    last_error: Option<String>,
    created_at: DateTime<Utc>,
}

impl From<Subscription> for WebhookBody {
    fn from(s: Subscription) -> Self {
        Self {
            id: s.id,
            provider: "microsoft",
            subscription_id: s.subscription_id,
            resource_type: s.resource_type,
            resource_id: s.resource_id,
            notification_url: s.notification_url,
            state: s.state,
            expires_at: s.expires_at,
            last_notification_at: s.last_notification_at,
            last_error: s.last_error,
            created_at: s.created_at,
        }
    }
}

/// Push subscriptions, newest first
#[utoipa::path(get, path = "/api/webhooks", tag = "providers", params(PageQuery), responses(
    (status = 200, description = "A page of subscriptions", body = Page<WebhookBody>),
))]
pub async fn list(
    State(state): State<ApiState>,
    Admin(claims): Admin,
    Query(page): Query<PageQuery>,
) -> Answer<Json<Page<WebhookBody>>> {
    let before = page.after()?;
    let (mut tx, company) = state.tenant(&claims).await?;
    let rows = subscriptions::list(&mut tx, company, before, page.fetch()).await?;
    Ok(Json(Page::cut(&page, rows, |s| (s.created_at, s.id)).map(WebhookBody::from)))
}
