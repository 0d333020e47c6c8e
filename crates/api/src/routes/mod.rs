//! One file per resource.

mod aos;
mod audit;
mod auth;
mod cache;
mod calendar_sync;
mod connections;
mod documents;
mod drives;
mod events;
mod flags;
mod health;
mod jobs;
mod mailboxes;
mod messages;
mod metrics;
mod oauth;
mod queue;
mod schedules;
mod sync;
mod teams;
mod webhooks;

use crate::table::{Table, routes};
use chrono::{DateTime, Utc};
use web::page::{DEFAULT_LIMIT, MAX_LIMIT, PageQuery};
use web::problem::{FieldError, Problem};

/// Every route.
pub fn all<T: Table>() -> T {
    T::default()
        .routes(routes!(health::health))
        .routes(routes!(health::api_health))
        .merge(sync::routes())
        .merge(schedules::routes())
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::get))
        .routes(routes!(jobs::cancel))
        .routes(routes!(jobs::explain))
        .merge(queue::routes())
        .routes(routes!(aos::list))
        .routes(routes!(aos::get, aos::put))
        .routes(routes!(documents::of_ao))
        .routes(routes!(documents::list))
        .routes(routes!(drives::list))
        .routes(routes!(drives::put))
        .merge(events::routes())
        .routes(routes!(calendar_sync::sync))
        .merge(messages::routes())
        .routes(routes!(mailboxes::list))
        .routes(routes!(mailboxes::get, mailboxes::put))
        .routes(routes!(teams::channels))
        .routes(routes!(teams::put_channel))
        .routes(routes!(teams::chats))
        .routes(routes!(teams::put_chat))
        .routes(routes!(webhooks::setup::setup))
        .routes(routes!(webhooks::setup::verify))
        .routes(routes!(webhooks::list))
        .routes(routes!(webhooks::renew))
        .routes(routes!(webhooks::cleanup))
        .routes(routes!(auth::health))
        .routes(routes!(auth::login_microsoft))
        .routes(routes!(oauth::start))
        .routes(routes!(oauth::callback))
        .merge(connections::routes())
        .merge(audit::routes())
        .routes(routes!(cache::clear))
        .routes(routes!(flags::list))
        .routes(routes!(flags::put))
        .routes(routes!(metrics::queue))
        .routes(routes!(metrics::sync))
}

/// A page request out of the two fields that every filter has.
///
/// # Errors
/// 422 when the limit is not from 1 to 200.
fn page(limit: Option<u32>, cursor: Option<String>) -> Result<PageQuery, Problem> {
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        let message = format!("is a number from 1 to {MAX_LIMIT}");
        return Err(Problem::unprocessable(vec![FieldError::new("limit", message)]));
    }
    Ok(PageQuery { limit, cursor })
}

/// A time that the connector counts in microseconds.
fn micros(us: Option<i64>) -> Option<DateTime<Utc>> {
    us.and_then(DateTime::from_timestamp_micros)
}
