//! Connecting and disconnecting the calendar of a mailbox: with the application's own permission, so that nobody has
//! to consent.

use domain::ids::CompanyId;
use serde_json::json;
use store::calendar::connections::{self, Connection};
use store::calendar::outlook::{NewOutlook, connect, disconnect};
use store::jobs::enqueue_many;
use store::{StoreError, subscriptions};
use uuid::Uuid;
use web::auth::Claims;
use web::problem::{FieldError, Problem};

use crate::actor::Actor;
use crate::error::Answer;
use crate::routes::calendar_sync::pull_job;
use crate::state::ApiState;

/// Longest address or id.
const MAX_MAILBOX: usize = 320;

/// Connects the default calendar of a mailbox, by address or user id; it is read and watched at once.
pub(super) async fn add(
    state: &ApiState,
    claims: &Claims,
    actor: &Actor,
    mailbox: &str,
    sync_direction: &str,
) -> Answer<Connection> {
    let bad = |c: char| c.is_control() || c.is_whitespace() || c == '/';
    if mailbox.is_empty() || mailbox.len() > MAX_MAILBOX || mailbox.chars().any(bad) {
        let message = "is the address or the user id of a mailbox";
        return Err(Problem::unprocessable(vec![FieldError::new("mailbox", message)]).into());
    }
    let direction = match sync_direction {
        "" | "both" => "both",
        "to_google" => "to_google",
        "from_google" => "from_google",
        _ => {
            let message = "is `both`, `to_google` or `from_google`";
            return Err(Problem::unprocessable(vec![FieldError::new("sync_direction", message)]).into());
        }
    };
    let (tx, company) = state.tenant(claims).await?;
    drop(tx);
    let found = state.connector.mailbox(company, mailbox).await?;
    if !found.found {
        return Err(Problem::not_found(format!("Microsoft does not know a user {mailbox:?}")).into());
    }
    let address = if found.mail.is_empty() { &found.principal_name } else { &found.mail };
    let new = NewOutlook {
        mailbox: &found.user_id,
        address,
        name: &found.display_name,
        user_id: &claims.sub,
        sync_direction: direction,
    };
    let elsewhere = || Problem::conflict("calendar_connected", "the calendar is connected elsewhere");
    let (mut tx, company) = state.tenant(claims).await?;
    let id = match connect(&mut tx, company, &new).await {
        Ok(id) => id.ok_or_else(elsewhere)?,
        Err(StoreError::Constraint { .. }) => return Err(elsewhere().into()),
        Err(error) => return Err(error.into()),
    };
    let stored = connections::get(&mut tx, company, id).await?.ok_or_else(Problem::defect)?;
    let watch = vec![("events".to_owned(), found.user_id.clone())];
    let mut jobs = subscriptions::ensure_jobs(company, &watch, &claims.sub, 8)?;
    jobs.push(pull_job(company, id, false, &claims.sub)?);
    enqueue_many(&mut tx, jobs).await?;
    let details = json!({ "provider": "microsoft", "mailbox": found.user_id });
    let resource = format!("connection:{id}");
    actor.record(&mut tx, company, "connection.connect", resource, actor.reason(None)?, details).await?;
    tx.commit().await?;
    Ok(stored)
}

/// What disconnecting came to.
pub(super) struct Ended {
    /// The subscription that was stopped.
    pub(super) stopped: u32,
    /// One that Microsoft did not confirm.
    pub(super) orphaned: u32,
}

/// Disconnects the calendar: its events stay, and its subscription ends. Works when Microsoft does not answer.
pub(super) async fn remove(
    state: &ApiState,
    claims: &Claims,
    actor: &Actor,
    connection: &Connection,
) -> Answer<Ended> {
    let (mut tx, company) = state.tenant(claims).await?;
    disconnect(&mut tx, company, connection.id, &format!("disconnected by {}", claims.sub)).await?;
    let watched = subscriptions::active(&mut tx, company, "events", &connection.calendar_id).await?;
    let subscription = watched.and_then(|watched| watched.subscription_id);
    if let Some(id) = &subscription {
        subscriptions::mark_removed(&mut tx, company, id, "the calendar was disconnected").await?;
    }
    let resource = format!("connection:{}", connection.id);
    let details = json!({ "provider": "microsoft", "subscription": subscription });
    actor.record(&mut tx, company, "connection.disconnect", resource, actor.reason(None)?, details).await?;
    tx.commit().await?;
    Ok(stop(state, company, subscription.as_deref()).await)
}

async fn stop(state: &ApiState, company: CompanyId, subscription: Option<&str>) -> Ended {
    let Some(id) = subscription else { return Ended { stopped: 0, orphaned: 0 } };
    match state.connector.remove_subscription(company, id).await {
        Ok(_) => Ended { stopped: 1, orphaned: 0 },
        Err(error) => {
            tracing::warn!(subscription = id, %error, "a subscription outlives its calendar until it expires");
            Ended { stopped: 0, orphaned: 1 }
        }
    }
}

/// The connection, when it is one of Outlook.
pub(super) async fn find(state: &ApiState, claims: &Claims, id: Uuid) -> Answer<Option<Connection>> {
    let (mut tx, company) = state.tenant(claims).await?;
    let found = connections::get(&mut tx, company, id).await?;
    Ok(found.filter(|found| found.provider == store::calendar::outlook::PROVIDER))
}
