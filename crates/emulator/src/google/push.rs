//! Push: the `watch` calls, and messages on their way (A6).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::DateTime;
use url::Url;

use super::deliveries::Attempt;
use super::model::{ApiError, Message};
use super::oauth::Access;
use super::routes::{self, Answer};
use crate::client::{self, ClientError};
use crate::faults::DeliveryAction;
use crate::http::Call;
use crate::world::World;

/// Changes within this time make one message.
const COALESCE: Duration = Duration::from_millis(20);
/// Time for the receiver's answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How long the answer of a watch waits for the `sync` message to arrive first (E29).
const SYNC_FIRST: Duration = Duration::from_secs(1);
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// `events`, `acl`, `calendarList` and `settings` can be watched.
pub(crate) async fn watch(
    world: &Arc<World>,
    access: &Access,
    segments: &[&str],
    call: &Call,
) -> Result<Answer, ApiError> {
    let (kind, calendar) = match segments {
        ["calendars", calendar, kind @ ("events" | "acl"), "watch"] => (*kind, *calendar),
        ["users", "me", "calendarList", "watch"] => ("list", ""),
        ["users", "me", "settings", "watch"] => ("settings", ""),
        _ => return Err(ApiError::not_found()),
    };
    if call.method != http::Method::POST {
        return Err(ApiError::not_found());
    }
    let body = routes::body(call)?;
    let base = format!("{}{}", call.origin, routes::BASE.trim_end_matches('/'));
    let (answer, messages) = {
        let mut model = world.google.model();
        let caller = routes::caller(world, access);
        let answer = model.watch(&caller, kind, calendar, &body, &base)?;
        (answer, model.take_messages(caller.now.timestamp_millis()))
    };
    let mut first = None;
    for message in messages {
        let is_sync = message.state == "sync" && Some(message.channel.id.as_str()) == answer["id"].as_str();
        let task = world.tasks.spawn(dispatch(world.clone(), message));
        if is_sync {
            first = Some(task);
        }
    }
    if let Some(task) = first {
        // A receiver that waits for this answer itself must not wait for ever.
        let _ = tokio::time::timeout(SYNC_FIRST, task).await;
    }
    Ok(Answer::Json(answer))
}

/// Sends messages until the world stops.
pub(crate) async fn run(world: Arc<World>) {
    loop {
        tokio::select! {
            () = world.stop.cancelled() => return,
            () = world.google.bell.notified() => {}
        }
        chassis::time::pause(COALESCE).await;
        let messages = world.google.model().take_messages(world.clock.now_ms());
        for message in messages {
            world.tasks.spawn(dispatch(world.clone(), message));
        }
    }
}

async fn dispatch(world: Arc<World>, message: Message) {
    let fault = world.faults.delivery("google", &message.channel.address);
    match fault {
        None => deliver(&world, &message, "send").await,
        Some((DeliveryAction::Drop, _)) => note(&world, &message, 0, "drop"),
        Some((DeliveryAction::Duplicate, _)) => {
            deliver(&world, &message, "send").await;
            deliver(&world, &message, "duplicate").await;
        }
        Some((DeliveryAction::Delay, late)) => {
            chassis::time::pause(late).await;
            deliver(&world, &message, "delay").await;
        }
        Some((DeliveryAction::Reorder, _)) => {
            world.google.deliveries.hold(message);
            return;
        }
        Some((DeliveryAction::Forge, _)) => {
            let mut forged = message.clone();
            forged.channel.token = Some("forged-token-of-nobody".into());
            forged.channel.resource_id = "forgedresourceid".into();
            deliver(&world, &forged, "forge").await;
            deliver(&world, &message, "send").await;
        }
    }
    // What was held back comes after this one.
    for held in world.google.deliveries.take_held() {
        deliver(&world, &held, "reorder").await;
    }
}

fn note(world: &World, message: &Message, status: u16, action: &'static str) {
    world.google.deliveries.note(Attempt {
        time_ms: world.clock.now_ms(),
        channel: message.channel.id.clone(),
        number: message.number,
        state: message.state,
        status,
        action,
    });
}

fn headers(message: &Message) -> Vec<(&'static str, String)> {
    let channel = &message.channel;
    let expiration = DateTime::from_timestamp_millis(channel.expiration_ms).unwrap_or_default();
    let mut headers = vec![
        ("accept", "*/*".to_owned()),
        ("content-length", "0".to_owned()),
        (
            "user-agent",
            "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)".to_owned(),
        ),
        ("x-goog-channel-id", channel.id.clone()),
        ("x-goog-channel-expiration", expiration.format("%a, %d %b %Y %H:%M:%S GMT").to_string()),
        ("x-goog-resource-id", channel.resource_id.clone()),
        ("x-goog-resource-uri", channel.resource_uri.clone()),
        ("x-goog-resource-state", message.state.to_owned()),
        ("x-goog-message-number", message.number.to_string()),
    ];
    if let Some(token) = &channel.token {
        headers.push(("x-goog-channel-token", token.clone()));
    }
    headers
}

/// E32: five statuses are success, four are retried, everything else drops the message.
async fn deliver(world: &World, message: &Message, action: &'static str) {
    let Ok(url) = Url::parse(&message.channel.address) else { return };
    let headers = headers(message);
    let begun = world.config.clock.now();
    let mut wait = FIRST_RETRY;
    loop {
        let sent = client::post_with(&url, &headers, Bytes::new(), ANSWER);
        let outcome = tokio::select! {
            () = world.stop.cancelled() => return,
            outcome = sent => outcome,
        };
        let unreachable = matches!(outcome, Err(ClientError::Url(_)));
        let status = outcome.map_or(0, |answer| answer.status);
        note(world, message, status, action);
        if unreachable || !matches!(status, 0 | 500 | 502 | 503 | 504) {
            return;
        }
        let waited = (world.config.clock.now() - begun).to_std().unwrap_or_default();
        if waited + wait > world.config.notification_patience {
            tracing::warn!(channel = %message.channel.id, status, "a message is discarded");
            return;
        }
        tokio::select! {
            () = world.stop.cancelled() => return,
            () = chassis::time::pause(wait) => {}
        }
        wait = (wait * 2).min(LONGEST_RETRY);
    }
}
