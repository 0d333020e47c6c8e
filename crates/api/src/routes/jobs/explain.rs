//! `GET /api/sync/jobs/{id}/explain`

use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::JobId;
use serde::Serialize;
use store::explain::{Facts, facts};
use utoipa::ToSchema;
use uuid::Uuid;
use web::auth::Viewer;
use web::json::Json;
use web::path::Path;

use crate::error::Answer;
use crate::state::ApiState;

/// The one reason why a job is not running.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub struct Explanation {
    id: Uuid,
    state: String,
    /// running, ended, not_due, retry_delay, parked, cancelling, resource_busy, behind_another, relay, worker.
    reason: &'static str,
    /// The same for a person, with what to do.
    detail: String,
    /// The job that stands in the way.
    blocked_by: Option<Uuid>,
    /// When the reason ends by itself, as far as known.
    until: Option<DateTime<Utc>>,
}

/// The one reason why a job is not running
#[utoipa::path(get, path = "/api/sync/jobs/{id}/explain", tag = "jobs", params(("id" = Uuid, Path)), responses(
    (status = 200, description = "The reason", body = Explanation),
    (status = 404, description = "No such job", body = web::problem::ProblemBody),
))]
pub async fn explain(
    State(state): State<ApiState>,
    Viewer(claims): Viewer,
    Path(id): Path<Uuid>,
) -> Answer<Json<Explanation>> {
    let (mut tx, company) = state.tenant(&claims).await?;
    let facts = facts(&mut tx, company, JobId(id)).await?.ok_or_else(|| super::unknown(id))?;
    Ok(Json(reason(id, facts, state.now())))
}

fn reason(id: Uuid, facts: Facts, now: DateTime<Utc>) -> Explanation {
    let (mut blocked_by, mut until) = (None, None);
    let (reason, detail) = match facts.state.as_str() {
        "running" if facts.cancel_requested => {
            ("cancelling", "it was asked to stop and does so at its next heartbeat".to_owned())
        }
        "running" => ("running", "it runs".to_owned()),
        "scheduled" => {
            until = Some(facts.run_at);
            ("not_due", format!("it is due at {}", facts.run_at))
        }
        "retrying" => {
            until = Some(facts.run_at);
            let error = facts.last_error.as_deref().unwrap_or("no message");
            ("retry_delay", format!("the last attempt failed ({error}); the next is due at {}", facts.run_at))
        }
        "parked" => {
            let why = facts.park_reason.as_deref().unwrap_or("no reason stored");
            ("parked", format!("it waits for a person: {why}"))
        }
        "queued" => {
            let (reason, detail, by, end) = waiting(id, &facts, now);
            (blocked_by, until) = (by, end);
            (reason, detail)
        }
        ended => ("ended", format!("it has ended: {ended}")),
    };
    Explanation { id, state: facts.state, reason, detail, blocked_by, until }
}

type Waiting = (&'static str, String, Option<Uuid>, Option<DateTime<Utc>>);

fn waiting(id: Uuid, facts: &Facts, now: DateTime<Utc>) -> Waiting {
    let resource = facts.resource_key.as_deref().unwrap_or_default();
    if let Some(holder) = facts.held_by.filter(|holder| *holder != id) {
        let detail = format!("job {holder} works on {resource}; one at a time");
        return ("resource_busy", detail, Some(holder), facts.held_until);
    }
    if let Some(first) = facts.first_in_line.filter(|first| *first != id) {
        return ("behind_another", format!("job {first} is first in line for {resource}"), Some(first), None);
    }
    if let Some(since) = facts.bell_waits_since
        && now - since > TimeDelta::seconds(2)
    {
        let refusals = facts.bell_refusals.unwrap_or(0);
        let detail = format!(
            "its message has waited since {since} to be published (refused {refusals} times): look at scheduler \
             and RabbitMQ"
        );
        return ("relay", detail, None, None);
    }
    let running = facts.running_in_queue;
    let detail = format!(
        "its message was sent; no worker has taken it yet ({running} jobs of its queue run): look \
                          at sync-worker"
    );
    ("worker", detail, None, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(state: &str) -> Facts {
        Facts {
            state: state.to_owned(),
            run_at: DateTime::UNIX_EPOCH,
            queued_at: None,
            park_reason: None,
            cancel_requested: false,
            resource_key: Some("drive:d".to_owned()),
            held_by: None,
            held_until: None,
            first_in_line: None,
            bell_waits_since: None,
            bell_refusals: None,
            last_error: None,
            running_in_queue: 0,
        }
    }

    #[test]
    fn a_queued_job_has_exactly_one_reason_the_nearest() {
        let (me, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let now = DateTime::UNIX_EPOCH + TimeDelta::seconds(10);
        let of = |facts: Facts| reason(me, facts, now).reason;
        assert_eq!(of(facts("queued")), "worker");
        let late = Facts { bell_waits_since: Some(DateTime::UNIX_EPOCH), ..facts("queued") };
        assert_eq!(of(late.clone()), "relay");
        let behind = Facts { first_in_line: Some(other), ..late };
        assert_eq!(of(behind.clone()), "behind_another");
        let busy = Facts { held_by: Some(other), ..behind };
        assert_eq!(of(busy.clone()), "resource_busy");
        assert_eq!(reason(me, busy, now).blocked_by, Some(other));
        assert_eq!(of(Facts { first_in_line: Some(me), ..facts("queued") }), "worker");
        assert_eq!(of(facts("succeeded")), "ended");
        assert_eq!(of(facts("parked")), "parked");
    }
}
