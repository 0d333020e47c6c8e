//! The endpoints that Graph calls.

use std::time::{Duration, Instant};

use ::metrics::{counter, histogram};
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use web::problem::Problem;

use crate::accept::accept;
use crate::handshake;
use crate::notification::read_batch;
use crate::service::Door;

/// Wait that a sender is asked for while the database is away; Graph tries again for four hours.
const RETRY: Duration = Duration::from_secs(10);

/// `GET` and `POST` of every Graph path.
pub async fn receive(State(door): State<Door>, RawQuery(query): RawQuery, body: Bytes) -> Response {
    let source = "microsoft";
    if let Some(token) = query.as_deref().and_then(validation_token) {
        return answer_handshake(source, &token);
    }
    let started = Instant::now();
    if let Ok(json) = serde_json::from_slice::<serde_json::Value>(&body)
        && let Some(token) = handshake::token_in_body(&json)
    {
        return answer_handshake(source, token);
    }
    let Some((notifications, malformed)) = read_batch(&body) else {
        counter!("webhook_notifications_total", "source" => source, "result" => "malformed").increment(1);
        return Problem::bad_request(
            "the body is not a batch of change notifications: {\"value\": [...]} with at most 1000 elements",
        )
        .into_response();
    };
    match accept(&door.store, &notifications).await {
        Ok(tally) => {
            for (result, n) in tally {
                counter!("webhook_notifications_total", "source" => source, "result" => result).increment(n);
            }
            if malformed > 0 {
                let n = u64::try_from(malformed).unwrap_or(u64::MAX);
                counter!("webhook_notifications_total", "source" => source, "result" => "malformed")
                    .increment(n);
            }
            histogram!("webhook_ack_duration_seconds", "source" => source).record(started.elapsed());
            // 202 also for what was refused: a stranger learns nothing.
            StatusCode::ACCEPTED.into_response()
        }
        Err(error) => {
            counter!("webhook_notifications_total", "source" => source, "result" => "unavailable")
                .increment(1);
            tracing::error!(error = &error as &dyn std::error::Error, "notifications could not be stored");
            Problem::unavailable("notifications cannot be stored at present")
                .retry_after(RETRY)
                .into_response()
        }
    }
}

fn answer_handshake(source: &'static str, token: &str) -> Response {
    match handshake::echo(token) {
        Some(answer) => {
            counter!("webhook_notifications_total", "source" => source, "result" => "handshake").increment(1);
            answer
        }
        None => Problem::bad_request("validationToken is empty or longer than 4096 bytes").into_response(),
    }
}

/// The decoded token of the query string.
fn validation_token(query: &str) -> Option<String> {
    let pair = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        name.eq_ignore_ascii_case("validationToken").then(|| decode(value))
    };
    query.split('&').find_map(pair)
}

/// Percent-decodes, with `+` as a space; what does not decode stays as it is.
fn decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    domain::names::decode_segment(&spaced).unwrap_or(spaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_comes_back_decoded() {
        let token = validation_token("a=b&validationToken=Validation%3A+Testing+client%20application%2B1");
        assert_eq!(token.as_deref(), Some("Validation: Testing client application+1"));
        assert_eq!(validation_token("other=1"), None);
        assert_eq!(validation_token("validationToken=%E9").as_deref(), Some("%E9"));
    }
}
