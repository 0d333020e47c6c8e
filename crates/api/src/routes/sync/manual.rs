//! `POST /api/sync/manual`

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::json;
use store::jobs::{Enqueued, enqueue_many};
use store::{aos, drives};
use utoipa::ToSchema;
use uuid::Uuid;
use web::auth::Operator;

use super::ao::ao_job;
use super::drive_job;
use crate::actor::Actor;
use crate::error::Answer;
use crate::operation::{Call, Operation};
use crate::state::ApiState;

/// AOs of one request.
const MAX_AOS: i64 = 20_000;

/// The jobs of one request.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchBody {
    /// `GET /api/sync/jobs?batch_id=` follows them.
    batch_id: Uuid,
    /// Number of jobs.
    count: usize,
    jobs: Vec<BatchJob>,
}

#[derive(Debug, Serialize, ToSchema)]
struct BatchJob {
    job_id: Uuid,
    /// `queued`, or `coalesced` with a job that waited already (which keeps its own batch).
    status: &'static str,
    /// Of a job for one AO.
    #[serde(skip_serializing_if = "Option::is_none")]
    ao_id: Option<String>,
    /// Of a job for a whole drive.
    #[serde(skip_serializing_if = "Option::is_none")]
    drive_id: Option<String>,
}

/// Synchronises every AO, one job each. A drive that was never read gets a job of its own: its AOs are not
/// known yet
#[utoipa::path(post, path = "/api/sync/manual", tag = "sync", responses(
    (status = 202, description = "The jobs of the batch", body = BatchBody),
))]
pub async fn sync_all(
    State(state): State<ApiState>,
    Operator(claims): Operator,
    actor: Actor,
    call: Call,
) -> Answer<Response> {
    let mut operation = Operation::begin(&state, &claims, call).await?;
    let company = operation.company;
    let batch = chassis::ids::new_id();
    let (mut jobs, mut targets) = (Vec::new(), Vec::new());
    let tx = operation.tx();
    for drive in drives::list_unread(tx, company).await? {
        jobs.push(drive_job(company, &drive, "manual", &claims.sub, |_| ())?.batch(batch));
        targets.push((None, Some(drive)));
    }
    for (ao, drive) in aos::ids_with_drive(tx, company, MAX_AOS).await? {
        // Without a drive there is nothing to read; GET /api/aos shows such an AO.
        let Some(drive) = drive else { continue };
        jobs.push(ao_job(company, &ao, &drive, false, &claims.sub)?.batch(batch));
        targets.push((Some(ao), None));
    }
    let enqueued = enqueue_many(tx, jobs).await?;
    let details = json!({ "batch_id": batch, "jobs": enqueued.len() });
    let reason = actor.reason(None)?;
    actor.record(tx, company, "sync.manual", "aos".to_owned(), reason, details).await?;
    let jobs: Vec<BatchJob> = enqueued
        .into_iter()
        .zip(targets)
        .map(|(job, (ao_id, drive_id))| BatchJob {
            job_id: job.id().uuid(),
            status: if matches!(job, Enqueued::New(_)) { "queued" } else { "coalesced" },
            ao_id,
            drive_id,
        })
        .collect();
    let location = format!("/api/sync/jobs?batch_id={batch}");
    operation.accepted(Some(&location), &BatchBody { batch_id: batch, count: jobs.len(), jobs }).await
}
