//! The part of the door that Google knocks at.
//!
//! Success is 2xx; 500, 502, 503 and 504 come again; Google drops the message on every other answer.

pub mod message;

use std::time::{Duration, Instant};

use axum::response::{IntoResponse, Response};
use http::{Extensions, HeaderMap, StatusCode};
use web::problem::Problem;

use crate::arrival::{Arrival, Content, Source};
use crate::door::Door;
use crate::intake::Taken;
use crate::memory::{google_channel, google_sender};
use crate::metrics::count;

const SOURCE: Source = Source::Google;
/// When a message is to come again that could not be stored.
const COME_BACK: Duration = Duration::from_secs(5);

impl Door {
    /// Answers one message of Google.
    pub(crate) async fn google(&self, headers: &HeaderMap, extensions: &Extensions) -> Response {
        let started = Instant::now();
        let response = match self.message(headers, extensions, started).await {
            Ok(status) => status.into_response(),
            Err(problem) => problem.into_response(),
        };
        metrics::histogram!("webhook_ack_duration_seconds", "source" => SOURCE.as_str())
            .record(started.elapsed());
        response
    }

    async fn message(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
        now: Instant,
    ) -> Result<StatusCode, Problem> {
        let address = self.sources.address(headers, extensions);
        if let Some(wait) = self.sources.turned_away(&address, now) {
            count(SOURCE.as_str(), "turned_away", 1);
            return Err(Problem::too_many(wait));
        }
        let message = message::read(headers, chassis::ids::new_id()).map_err(|fault| {
            count(SOURCE.as_str(), "malformed", 1);
            Problem::bad_request(fault.to_string())
        })?;
        let strangers = &self.memories.strangers;
        if strangers.knows(&google_channel(&message.channel), now) {
            count(SOURCE.as_str(), "unknown", 1);
            return Ok(StatusCode::NO_CONTENT);
        }
        if strangers.knows(&google_sender(&message.channel, message.proof.bytes(), &message.resource), now) {
            count(SOURCE.as_str(), "refused", 1);
            return Err(refused());
        }
        match self.intake.take(Arrival::new(SOURCE, Content::Google(message)), address.clone()).await {
            Taken::Committed(tally) => {
                self.sources.note(&address, tally.strange(), tally.has_friends(), now);
                // A zombie fires until it expires: success is the cheapest answer, for Google and for us.
                if tally.refused > 0 { Err(refused()) } else { Ok(StatusCode::NO_CONTENT) }
            }
            Taken::Spooled => Ok(StatusCode::NO_CONTENT),
            Taken::Refused => {
                Err(Problem::unavailable("the message could not be stored; send it again")
                    .retry_after(COME_BACK))
            }
        }
    }
}

fn refused() -> Problem {
    Problem::forbidden("token or resource are not those of the channel")
}
