//! `GET /api/sync/jobs/{id}/explain`

mod words;

use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::explain::{Reason, explain as nearest};
use domain::ids::JobId;
use domain::job::JobState;
use serde::Serialize;
use store::explain::{Explained, facts, newest_running};
use utoipa::ToSchema;
use uuid::Uuid;
use web::auth::Viewer;
use web::json::Json;
use web::path::Path;

use crate::error::Answer;
use crate::state::ApiState;

/// State of the breaker in the connector's status.
const OPEN: i32 = 2;

/// The one reason why a job is not running.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub struct Explanation {
    id: Uuid,
    kind: String,
    queue: String,
    state: String,
    /// running, cancelling, ended, dead, not_due, scheduler, rate_limited, breaker_open, retry_delay, parked,
    /// deadline_passed, resource_busy, behind_another, tenants_turn, relay, no_worker or worker.
    reason: &'static str,
    /// The same for a person, with what to do.
    detail: String,
    /// The job that stands in the way.
    blocked_by: Option<Uuid>,
    /// Where to look at that job.
    blocked_by_location: Option<String>,
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
    let mut job = facts(&mut tx, company, JobId(id)).await?.ok_or_else(|| super::unknown(id))?;
    drop(tx);
    match job.facts.state {
        JobState::Queued => {
            let mut tx = state.store.dispatch().await?;
            job.facts.queue_runs = newest_running(&mut tx, &job.queue).await?.is_some();
        }
        JobState::Retrying if asks_graph(&job) => ask_connector(&state, &mut job).await,
        _ => {}
    }
    Ok(Json(of(&job, &nearest(&job.facts))))
}

/// Whether the job's work goes through graph-connector.
fn asks_graph(job: &Explained) -> bool {
    job.kind.starts_with("documents.") || job.kind.ends_with("_drive_subscription")
}

/// An answer that does not come leaves the job's own error to tell.
async fn ask_connector(state: &ApiState, job: &mut Explained) {
    let Ok(status) = state.connector.status().await else { return };
    let soon = Some(job.facts.run_at);
    if status.breaker_state == OPEN {
        job.facts.breaker_until = crate::routes::micros(status.breaker_retry_at_us).or(soon);
    }
    job.facts.throttled_until = crate::routes::micros(status.throttled_until_us);
}

fn of(job: &Explained, reason: &Reason) -> Explanation {
    let blocked_by = match reason {
        Reason::ResourceBusy(by, _) | Reason::BehindAnother(by) => Some(*by),
        _ => None,
    };
    let until = match reason {
        Reason::NotDue(at)
        | Reason::RateLimited(at)
        | Reason::BreakerOpen(at)
        | Reason::RetryDelay(at)
        | Reason::ResourceBusy(_, at) => Some(*at),
        _ => None,
    };
    Explanation {
        id: job.facts.id,
        kind: job.kind.clone(),
        queue: job.queue.clone(),
        state: job.facts.state.to_string(),
        reason: reason.name(),
        detail: words::of(job, reason),
        blocked_by,
        blocked_by_location: blocked_by.map(super::body::location),
        until,
    }
}
