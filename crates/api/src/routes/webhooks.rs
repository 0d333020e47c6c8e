//! `GET /api/webhooks`, `POST /api/webhooks/renew`, `POST /api/webhooks/cleanup`

pub mod setup;

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::calendar::webhooks::{self, Channel};
use store::jobs::enqueue_many;
use store::subscriptions::{self, Subscription};
use utoipa::ToSchema;
use uuid::Uuid;
use web::auth::Admin;
use web::json::Json;
use web::page::{Page, PageQuery};
use web::problem::{FieldError, Problem};
use web::query::Query;

use crate::actor::Actor;
use crate::error::Answer;
use crate::operation::{Call, Operation};
use crate::state::ApiState;

/// Channels that end within this are renewed when nothing else is said: as the nightly job does.
const RENEW_HOURS: i32 = 36;
/// Days since the end after which a channel's row leaves.
const ENDED_DAYS: i32 = 7;
/// Rows that one call removes.
const CHUNK: i64 = 5_000;

/// A push subscription at a provider.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookBody {
    id: Uuid,
    /// `microsoft` or `google`
    provider: &'static str,
    /// The provider's id; null while it is being created.
    subscription_id: Option<String>,
    /// `drive`, `calendar`, ...
    resource_type: String,
    resource_id: String,
    notification_url: Option<String>,
    /// Of Microsoft: `pending`, `active` or `removed`. Of Google: `registering`, `active`, `replaced`, `stopped`,
    /// `orphaned` (nobody can stop it: it fires until it expires) or `failed`.
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

impl From<Channel> for WebhookBody {
    fn from(c: Channel) -> Self {
        Self {
            id: c.id,
            provider: "google",
            subscription_id: Some(c.channel_id),
            resource_type: "calendar".to_owned(),
            resource_id: c.calendar_id,
            notification_url: c.address,
            state: c.state,
            expires_at: c.expires_at,
            last_notification_at: c.last_notification_at,
            last_error: c.last_error,
            created_at: c.created_at,
        }
    }
}

/// Push subscriptions of all providers, newest first
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
    let drives = subscriptions::list(&mut tx, company, before, page.fetch()).await?;
    let calendars = webhooks::list(&mut tx, company, before, page.fetch()).await?;
    // The newest of both: a page of each holds the page of all.
    let mut rows: Vec<WebhookBody> = drives.into_iter().map(WebhookBody::from).collect();
    rows.extend(calendars.into_iter().map(WebhookBody::from));
    rows.sort_by_key(|row| std::cmp::Reverse((row.created_at, row.id)));
    rows.truncate(usize::try_from(page.fetch()).unwrap_or(usize::MAX));
    Ok(Json(Page::cut(&page, rows, |row| (row.created_at, row.id))))
}

/// Which to renew.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Renewal {
    /// Those that end within this many hours, 1 to 1000 (36).
    #[schema(minimum = 1, maximum = 1000)]
    within_hours: Option<i32>,
}

/// Jobs that were queued.
#[derive(Debug, Serialize, ToSchema)]
pub struct Renewing {
    drives: usize,
    /// Drives, mailboxes, channels and chats.
    microsoft: usize,
    calendars: usize,
    job_ids: Vec<Uuid>,
}

/// Renews the subscriptions of Microsoft and calendars that end soon, and asks for those that are missing
#[utoipa::path(post, path = "/api/webhooks/renew", tag = "providers", request_body(content = Option<Renewal>), responses(
    (status = 202, description = "Jobs were queued", body = Renewing),
))]
pub async fn renew(
    State(state): State<ApiState>,
    Admin(claims): Admin,
    actor: Actor,
    call: Call,
) -> Answer<Response> {
    let Renewal { within_hours } = call.json()?;
    let hours = within(within_hours, RENEW_HOURS, 1, "within_hours")?;
    let reason = actor.reason(None)?;
    let mut operation = Operation::begin(&state, &claims, call).await?;
    let company = operation.company;
    let tx = operation.tx();
    let ending = subscriptions::to_renew(tx, company, hours).await?;
    let calendars = webhooks::to_renew(tx, company, hours).await?;
    let mut jobs = subscriptions::ensure_jobs(company, &ending, &claims.sub, 9)?;
    for connection in &calendars {
        jobs.push(setup::watch_job(company, *connection, &claims.sub)?);
    }
    let queued = enqueue_many(tx, jobs).await?;
    let renewing = Renewing {
        drives: ending.iter().filter(|(kind, _)| kind == "drive").count(),
        microsoft: ending.len(),
        calendars: calendars.len(),
        job_ids: queued.into_iter().map(|job| job.id().uuid()).collect(),
    };
    let details = json!({ "drives": renewing.drives, "microsoft": renewing.microsoft, "calendars": renewing.calendars, "within_hours": hours });
    actor.record(tx, company, "webhooks.renew", "webhooks".to_owned(), reason, details).await?;
    operation.accepted(None, &renewing).await
}

/// Which to forget.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Cleanup {
    /// Those that ended at least this many days ago, 0 to 1000 (7).
    #[schema(minimum = 0, maximum = 1000)]
    days: Option<i32>,
}

/// Rows that were removed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Cleaned {
    removed: u64,
    /// Subscriptions that pointed at us and that nobody knew, deleted at Microsoft.
    strangers: u64,
    /// Why those could not be looked for; null when they were.
    strangers_error: Option<String>,
}

/// Deletes the subscriptions of the application that point at us and that no organization here knows; a failure says
/// why. None is deleted while one is being created: it is known by its pending row
/// alone.
async fn delete_strangers(state: &ApiState, company: CompanyId) -> Answer<(u64, Option<String>)> {
    let found = match state.connector.subscriptions(company).await {
        Ok(found) => found,
        Err(error) => return Ok((0, Some(error.to_string()))),
    };
    let ours: Vec<_> = found.into_iter().filter(|s| s.points_at_us).map(|s| s.id).collect();
    let mut tx = state.store.dispatch().await?;
    let known = subscriptions::find_by_graph_ids(&mut tx, &ours).await?;
    let pending = subscriptions::any_pending(&mut tx).await?;
    tx.commit().await?;
    if pending {
        return Ok((0, Some("subscriptions are being created at this moment; try again".to_owned())));
    }
    let mut deleted = 0;
    for id in ours {
        let lives = known.iter().any(|k| k.state != "removed" && k.subscription_id.as_deref() == Some(&id));
        if lives {
            continue;
        }
        match state.connector.remove_subscription(company, &id).await {
            Ok(existed) => deleted += u64::from(existed),
            Err(error) => return Ok((deleted, Some(error.to_string()))),
        }
    }
    Ok((deleted, None))
}

/// Forgets push subscriptions that ended (one that still fires is remembered until it expires), and deletes those that
/// point at us and that nobody knows
#[utoipa::path(post, path = "/api/webhooks/cleanup", tag = "providers", request_body(content = Option<Cleanup>), responses(
    (status = 200, description = "How many were forgotten", body = Cleaned),
))]
pub async fn cleanup(
    State(state): State<ApiState>,
    Admin(claims): Admin,
    actor: Actor,
    call: Call,
) -> Answer<Response> {
    let Cleanup { days } = call.json()?;
    let days = within(days, ENDED_DAYS, 0, "days")?;
    let reason = actor.reason(None)?;
    let (strangers, strangers_error) = delete_strangers(&state, claims.org).await?;
    let mut operation = Operation::begin(&state, &claims, call).await?;
    let company = operation.company;
    let tx = operation.tx();
    let removed = store::purge::ended_subscriptions(tx, company, days, CHUNK).await?
        + webhooks::forget_ended(tx, company, days, CHUNK).await?;
    let details =
        json!({ "removed": removed, "days": days, "strangers": strangers, "error": strangers_error });
    actor.record(tx, company, "webhooks.cleanup", "webhooks".to_owned(), reason, details).await?;
    operation.answer(StatusCode::OK, None, &Cleaned { removed, strangers, strangers_error }).await
}

fn within(given: Option<i32>, default: i32, least: i32, field: &str) -> Result<i32, Problem> {
    let number = given.unwrap_or(default);
    if !(least..=1000).contains(&number) {
        let message = format!("is a number from {least} to 1000");
        return Err(Problem::unprocessable(vec![FieldError::new(field, message)]));
    }
    Ok(number)
}
