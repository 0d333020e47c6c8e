//! One delivery, from the request to the 202.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chassis::health::Dependency;
use chassis::lifecycle::{Shutdown, Tasks};
use chassis::time::deadline;
use domain::time::SharedClock;
use http::{Method, StatusCode};
use serde_json::Value;
use store::Store;
use web::problem::Problem;

use crate::arrival::{Arrival, Content, Source, sender};
use crate::handshake::{echo, token, token_in};
use crate::intake::{Intake, Keeper, Taken, intake};
use crate::memory::Memories;
use crate::metrics::count;
use crate::notification::{DeliveryFault, Notification, read};
use crate::replay::replay;
use crate::rich::Rich;
use crate::sources::Sources;
use crate::spool::Spool;

/// Graph counts an answer as slow after 3 s (change-notifications-delivery-webhooks, Graph v1.0).
const ANSWER: Duration = Duration::from_millis(2900);
/// Graph tries again for up to 4 h.
const COME_BACK: Duration = Duration::from_secs(30);

/// What a door is made of.
#[derive(Debug)]
pub struct Parts {
    /// PostgreSQL.
    pub store: Store,
    /// Whether notifications cause runs; else they are acknowledged and cause nothing.
    pub realtime: bool,
    /// Where deliveries wait while PostgreSQL is away.
    pub spool: Spool,
    /// What opens and proves encrypted resources.
    pub rich: Rich,
    /// Proxies in front of us that append to `X-Forwarded-For`.
    pub proxy_hops: usize,
    /// Wall clock.
    pub clock: SharedClock,
    /// Up while a delivery can be made durable.
    pub room: Dependency,
}

/// The door; cheap to clone. Its task ends when the last clone is gone.
#[derive(Debug, Clone)]
pub struct Door {
    pub(crate) intake: Intake,
    pub(crate) memories: Memories,
    pub(crate) sources: Sources,
    rich: Rich,
}

impl Door {
    /// Starts a door.
    pub fn open(parts: Parts, tasks: &Tasks, shutdown: &Shutdown) -> Self {
        let Parts { store, realtime, spool, rich, proxy_hops, clock, room } = parts;
        let memories = Memories::default();
        let keeper = Arc::new(Keeper::new(store, realtime, memories.clone(), Arc::new(spool), clock));
        let (intake, commit) = intake(Arc::clone(&keeper));
        tasks.spawn_critical("commit deliveries", async move {
            commit.await;
            Ok::<(), std::convert::Infallible>(())
        });
        tasks.spawn("replay the spool", replay(keeper, room, shutdown.clone()));
        let sources = Sources::new(proxy_hops, memories.good_sources.clone());
        Self { intake, memories, sources, rich }
    }

    /// Answers one request.
    pub(crate) async fn knock(&self, source: Source, request: Request) -> Response {
        let started = Instant::now();
        // Before anything else: the handshake must not need a body, a row or a database.
        if let Some(token) = token(request.uri(), request.headers()) {
            return echo(&token);
        }
        let response = match self.delivery(source, request, started).await {
            Ok(response) => response,
            Err(problem) => problem.into_response(),
        };
        metrics::histogram!("webhook_ack_duration_seconds", "source" => source.as_str())
            .record(started.elapsed());
        response
    }

    async fn delivery(&self, source: Source, request: Request, now: Instant) -> Result<Response, Problem> {
        if request.method() != Method::POST {
            return Err(Problem::bad_request("a GET needs ?validationToken="));
        }
        let address = self.sources.of(&request);
        if let Some(wait) = self.sources.turned_away(&address, now) {
            count(source.as_str(), "turned_away", 1);
            return Err(Problem::too_many(wait));
        }
        let body = Bytes::from_request(request, &()).await.map_err(|rejection| {
            Problem::new(rejection.status(), "body_unreadable", rejection.body_text())
        })?;
        let body: Value = serde_json::from_slice(&body).map_err(|error| {
            count(source.as_str(), "malformed", 1);
            Problem::new(StatusCode::BAD_REQUEST, "malformed_json", format!("the body is not JSON: {error}"))
        })?;
        if let Some(token) = token_in(&body) {
            return Ok(echo(token));
        }
        let mut delivery = read(body, chassis::ids::new_id).map_err(refuse)?;
        count(source.as_str(), "malformed", delivery.malformed);
        if delivery.malformed > 0 {
            tracing::warn!(
                source = source.as_str(),
                malformed = delivery.malformed,
                "unreadable notifications"
            );
        }
        self.sources.note(&address, delivery.malformed, false, now);
        match deadline("the signing keys", ANSWER, self.rich.judge(&mut delivery)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(away(&error)),
            Err(elapsed) => return Err(away(&elapsed)),
        }
        let notifications = self.without_strangers(source, &address, delivery.notifications, now);
        if notifications.is_empty() {
            return Ok(StatusCode::ACCEPTED.into_response());
        }
        let arrival = Arrival::new(source, Content::Graph(notifications));
        let left = ANSWER.saturating_sub(now.elapsed());
        match deadline("the commit", left, self.intake.take(arrival, address.clone())).await {
            Ok(Taken::Committed(tally)) => {
                self.sources.note(&address, tally.strange(), tally.has_friends(), now);
                tracing::debug!(source = source.as_str(), ?tally, "notifications taken");
                Ok(StatusCode::ACCEPTED.into_response())
            }
            Ok(Taken::Spooled) => Ok(StatusCode::ACCEPTED.into_response()),
            Ok(Taken::Refused) => Err(come_back()),
            Err(elapsed) => Err(away(&elapsed)),
        }
    }

    /// Leaves out those who were nobody a moment ago: they cost no look at the database.
    fn without_strangers(
        &self,
        source: Source,
        address: &str,
        mut notifications: Vec<Notification>,
        now: Instant,
    ) -> Vec<Notification> {
        let before = notifications.len();
        notifications.retain(|notification| !self.memories.strangers.knows(&sender(notification), now));
        let strange = before - notifications.len();
        count(source.as_str(), "unknown", strange);
        self.sources.note(address, strange, false, now);
        notifications
    }
}

fn refuse(fault: DeliveryFault) -> Problem {
    match fault {
        DeliveryFault::NoValue => Problem::bad_request(fault.to_string()),
        DeliveryFault::TooMany => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many", fault.to_string()),
    }
}

/// Nothing was acknowledged: the provider delivers it again.
fn away(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::error!(error = chassis::telemetry::chain(error), "notifications could not be stored");
    come_back()
}

fn come_back() -> Problem {
    Problem::unavailable("the notifications could not be stored; deliver them again").retry_after(COME_BACK)
}
