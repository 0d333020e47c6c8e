//! One delivery, from the request to the 202.

use std::time::{Duration, Instant};

use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chassis::time::deadline;
use http::{Method, StatusCode};
use serde_json::Value;
use store::Store;
use web::problem::Problem;
use web::rate::RateLimiter;

use crate::accept::{Tally, accept};
use crate::google::GoogleDoor;
use crate::handshake::{echo, token, token_in};
use crate::metrics::count;
use crate::notification::{DeliveryFault, read};

/// Graph counts an answer as slow after 3 s (change-notifications-delivery-webhooks, Graph v1.0).
const COMMIT: Duration = Duration::from_millis(2500);
/// Graph tries again for up to 4 h.
const COME_BACK: Duration = Duration::from_secs(30);
/// Deliveries of strangers that leave receipts; anyone can reach the door.
const STRANGERS_PER_MINUTE: u32 = 120;

/// The door; cheap to clone.
#[derive(Debug, Clone)]
pub struct Door {
    store: Store,
    realtime: bool,
    strangers: RateLimiter,
    pub(crate) google: GoogleDoor,
}

impl Door {
    /// A door in front of a database; with `realtime` off, notifications are acknowledged and cause nothing.
    pub fn new(store: Store, realtime: bool) -> Self {
        let google = GoogleDoor::new(store.clone(), realtime);
        Self { store, realtime, strangers: RateLimiter::per_minute(STRANGERS_PER_MINUTE), google }
    }

    /// Answers one request.
    pub(crate) async fn knock(&self, source: &'static str, request: Request) -> Response {
        let started = Instant::now();
        // Before anything else: the handshake must not need a body, a row or a database.
        if let Some(token) = token(request.uri(), request.headers()) {
            return echo(&token);
        }
        let response = match self.delivery(source, request).await {
            Ok(response) => response,
            Err(problem) => problem.into_response(),
        };
        metrics::histogram!("webhook_ack_duration_seconds", "source" => source).record(started.elapsed());
        response
    }

    async fn delivery(&self, source: &'static str, request: Request) -> Result<Response, Problem> {
        if request.method() != Method::POST {
            return Err(Problem::bad_request("a GET needs ?validationToken="));
        }
        let body = Bytes::from_request(request, &()).await.map_err(|rejection| {
            Problem::new(rejection.status(), "body_unreadable", rejection.body_text())
        })?;
        let body: Value = web::json::parse(&body)?;
        if let Some(token) = token_in(&body) {
            return Ok(echo(token));
        }
        let (notifications, malformed) = read(body).map_err(refuse)?;
        count(source, "malformed", malformed);
        if malformed > 0 {
            tracing::warn!(source, malformed, "notifications without a readable subscriptionId");
        }
        if !notifications.is_empty() {
            let keep = || self.strangers.check(source, Instant::now()).retry_after.is_none();
            let committed =
                deadline("the database", COMMIT, accept(&self.store, notifications, self.realtime, keep));
            match committed.await {
                Ok(Ok(tally)) => self.tell(source, tally),
                Ok(Err(error)) => return Err(away(&error)),
                Err(elapsed) => return Err(away(&elapsed)),
            }
        }
        Ok(StatusCode::ACCEPTED.into_response())
    }

    fn tell(&self, source: &'static str, tally: Tally) {
        count(source, "accepted", tally.accepted);
        count(source, "coalesced", tally.coalesced);
        count(source, "unknown", tally.unknown);
        count(source, "refused", tally.refused);
        count(source, "ignored", tally.ignored);
        tracing::debug!(source, realtime = self.realtime, ?tally, "notifications taken");
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
    Problem::unavailable("the notifications could not be stored; deliver them again").retry_after(COME_BACK)
}
