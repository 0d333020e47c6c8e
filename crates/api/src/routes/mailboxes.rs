//! `/api/mailboxes`

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use contracts::jobs::{SyncMode, Trigger};
use http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use store::jobs::enqueue_many;
use store::mailboxes::{self, Mailbox, MailboxChange};
use store::subscriptions;
use utoipa::ToSchema;
use web::auth::{Admin, Viewer};
use web::json::Json;
use web::page::{Page, PageQuery};
use web::path::Path;
use web::problem::{FieldError, Problem};
use web::query::Query;

use crate::actor::Actor;
use crate::error::Answer;
use crate::routes::sync::mailbox_job;
use crate::state::ApiState;

/// A mailbox that is synchronised.
#[derive(Debug, Serialize, ToSchema)]
pub struct MailboxBody {
    /// Object id of the user.
    user_id: String,
    address: String,
    display_name: String,
    /// Sweeps and notifications are followed.
    enabled: bool,
    /// Bodies are kept; otherwise previews only.
    bodies: bool,
    /// Metadata of attachments is kept.
    attachments: bool,
    /// Nothing that was received earlier is read; null: everything.
    since: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl From<Mailbox> for MailboxBody {
    fn from(m: Mailbox) -> Self {
        Self {
            user_id: m.user_id,
            address: m.address,
            display_name: m.display_name,
            enabled: m.enabled,
            bodies: m.bodies,
            attachments: m.attachments,
            since: m.since,
            created_at: m.created_at,
        }
    }
}

/// Mailboxes that are synchronised, by user id
#[utoipa::path(get, path = "/api/mailboxes", tag = "messages", params(PageQuery), responses(
    (status = 200, description = "A page of mailboxes", body = Page<MailboxBody>),
))]
pub async fn list(
    State(state): State<ApiState>,
    Viewer(claims): Viewer,
    Query(page): Query<PageQuery>,
) -> Answer<Json<Page<MailboxBody>>> {
    let after: Option<String> = page.after()?;
    let (mut tx, company) = state.tenant(&claims).await?;
    let rows = mailboxes::list(&mut tx, company, after.as_deref(), page.fetch()).await?;
    Ok(Json(Page::cut(&page, rows, |m| m.user_id.clone()).map(MailboxBody::from)))
}

/// One mailbox, by user id or address
#[utoipa::path(get, path = "/api/mailboxes/{user}", tag = "messages", params(("user" = String, Path)), responses(
    (status = 200, description = "The mailbox", body = MailboxBody),
    (status = 404, description = "It is not registered", body = web::problem::ProblemBody),
))]
pub async fn get(
    State(state): State<ApiState>,
    Viewer(claims): Viewer,
    Path(user): Path<String>,
) -> Answer<Json<MailboxBody>> {
    let (mut tx, company) = state.tenant(&claims).await?;
    let mailbox = mailboxes::get(&mut tx, company, &user).await?;
    let mailbox =
        mailbox.ok_or_else(|| Problem::not_found(format!("the mailbox {user:?} is not registered")))?;
    Ok(Json(MailboxBody::from(mailbox)))
}

/// What to write; absent fields keep what is stored.
#[expect(clippy::option_option, reason = "absent, null and a time are three things")]
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutMailbox {
    /// A new mailbox is enabled.
    enabled: Option<bool>,
    /// Keep bodies (false). Another choice reads the mailbox anew.
    bodies: Option<bool>,
    /// Keep metadata of attachments (true).
    attachments: Option<bool>,
    /// Read nothing that was received earlier; null: everything.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    since: Option<Option<DateTime<Utc>>>,
}

/// Tells null from absent.
#[expect(clippy::option_option, reason = "absent, null and a time are three things")]
fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<DateTime<Utc>>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// Registers a mailbox by address or user id, or changes it. An enabled one is read and subscribed to at once
#[utoipa::path(put, path = "/api/mailboxes/{user}", tag = "messages", params(("user" = String, Path)),
    request_body = PutMailbox, responses(
        (status = 200, description = "It was changed", body = MailboxBody),
        (status = 201, description = "It was registered", body = MailboxBody),
        (status = 404, description = "Microsoft does not know the user", body = web::problem::ProblemBody),
    ))]
pub async fn put(
    State(state): State<ApiState>,
    Admin(claims): Admin,
    Path(user): Path<String>,
    actor: Actor,
    Json(body): Json<PutMailbox>,
) -> Answer<Response> {
    if user.len() > 320 || user.chars().any(|c| c.is_control() || c.is_whitespace() || c == '/') {
        return Err(
            Problem::unprocessable(vec![FieldError::new("user", "is an address or a user id")]).into()
        );
    }
    let (mut tx, company) = state.tenant(&claims).await?;
    let known = mailboxes::get(&mut tx, company, &user).await?;
    drop(tx);
    let (user_id, address, name) = if let Some(mailbox) = known {
        (mailbox.user_id, String::new(), String::new())
    } else {
        let found = state.connector.mailbox(company, &user).await?;
        if !found.found {
            return Err(Problem::not_found(format!("Microsoft does not know a user {user:?}")).into());
        }
        let address = if found.mail.is_empty() { found.principal_name } else { found.mail };
        (found.user_id, address, found.display_name)
    };
    let change = MailboxChange {
        enabled: body.enabled,
        bodies: body.bodies,
        attachments: body.attachments,
        since: body.since,
    };
    let (mut tx, company) = state.tenant(&claims).await?;
    let new = mailboxes::put(&mut tx, company, &user_id, (&address, &name), &change).await?;
    let stored = mailboxes::get(&mut tx, company, &user_id).await?.ok_or_else(Problem::defect)?;
    if stored.enabled {
        let walk =
            mailbox_job(company, &user_id, SyncMode::Delta, "walk", &claims.sub, Trigger::Manual, None)?;
        let watch = vec![("mailbox".to_owned(), user_id.clone())];
        let mut jobs = subscriptions::ensure_jobs(company, &watch, &claims.sub, 8)?;
        jobs.push(walk);
        enqueue_many(&mut tx, jobs).await?;
    }
    let details = json!({ "enabled": stored.enabled, "bodies": stored.bodies, "attachments": stored.attachments,
        "since": stored.since, "new": new });
    let reason = actor.reason(None)?;
    actor.record(&mut tx, company, "mailbox.put", format!("mailbox:{user_id}"), reason, details).await?;
    tx.commit().await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(MailboxBody::from(stored))).into_response())
}
