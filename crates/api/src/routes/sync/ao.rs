//! `POST /api/sync/onedrive/{aoId}`

use axum::extract::State;
use axum::response::Response;
use contracts::jobs::{JobPayload, SyncAo, Trigger, drive_resource};
use domain::ids::CompanyId;
use serde::Deserialize;
use serde_json::json;
use store::jobs::{Enqueued, NewJob, enqueue, live_with_dedupe};
use store::{Tx, aos, drives};
use utoipa::IntoParams;
use uuid::Uuid;
use web::auth::Operator;
use web::path::Path;
use web::problem::Problem;
use web::query::Query;

use crate::actor::Actor;
use crate::error::Answer;
use crate::operation::{Call, Operation};
use crate::routes::jobs::Accepted;
use crate::state::ApiState;

/// How to synchronise.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Force {
    /// Bypass caches and delta link and reconcile by set difference (false).
    #[serde(default)]
    force: bool,
}

/// Synchronises one AO
#[utoipa::path(post, path = "/api/sync/onedrive/{aoId}", tag = "sync", params(("aoId" = String, Path), Force),
    responses(
        (status = 202, description = "A job was queued", body = Accepted),
        (status = 404, description = "No such AO (`ao_not_found`)", body = web::problem::ProblemBody),
        (status = 409, description = "`sync_already_in_progress`, with the `job_id`; or `no_drive`",
            body = web::problem::ProblemBody),
    ))]
pub async fn sync_ao(
    State(state): State<ApiState>,
    Operator(claims): Operator,
    Path(ao): Path<String>,
    Query(Force { force }): Query<Force>,
    actor: Actor,
    call: Call,
) -> Answer<Response> {
    let mut operation = Operation::begin(&state, &claims, call).await?;
    let company = operation.company;
    let tx = operation.tx();
    aos::get(tx, company, &ao).await?.ok_or_else(|| crate::routes::aos::unknown(&ao))?;
    if let Some((job, state)) = in_progress(tx, company, &ao, force).await? {
        return Err(already(&ao, job, &state).into());
    }
    let Some(drive) = drives::of_ao(tx, company, &ao).await? else {
        return Err(no_drive().into());
    };
    let job = ao_job(company, &ao, &drive, force, &claims.sub)?;
    let job = match enqueue(tx, job).await? {
        Enqueued::New(job) => job,
        // Another request came in between.
        Enqueued::Coalesced(job) => return Err(already(&ao, job.uuid(), "queued").into()),
    };
    let details = json!({ "job_id": job.uuid(), "force": force });
    let reason = actor.reason(None)?;
    actor.record(tx, company, "sync.ao", format!("ao:{ao}"), reason, details).await?;
    let accepted = Accepted::new(job);
    operation.accepted(Some(&accepted.location), &accepted).await
}

/// The job of one AO.
pub fn ao_job(company: CompanyId, ao: &str, drive: &str, force: bool, by: &str) -> store::Result<NewJob> {
    let payload = SyncAo { ao_id: ao.to_owned(), force, trigger: Trigger::Manual, dry_run: false };
    Ok(NewJob::new(company, &payload, by)?
        .dedupe(dedupe(ao, force))
        .resource(drive_resource(drive))
        .priority(9))
}

fn dedupe(ao: &str, force: bool) -> String {
    if force { format!("ao:{ao}:force") } else { format!("ao:{ao}") }
}

/// The live job that serves the request already: any running one, a waiting one that does as much.
async fn in_progress(
    tx: &mut Tx,
    company: CompanyId,
    ao: &str,
    force: bool,
) -> Answer<Option<(Uuid, String)>> {
    let forced = live_with_dedupe(tx, company, SyncAo::KIND, &dedupe(ao, true)).await?;
    let plain = live_with_dedupe(tx, company, SyncAo::KIND, &dedupe(ao, false)).await?;
    let plain = plain.filter(|(_, state)| !force || state == "running");
    Ok(forced.or(plain))
}

fn already(ao: &str, job: Uuid, state: &str) -> Problem {
    Problem::conflict("sync_already_in_progress", format!("a sync of {ao} is {state}"))
        .with("job_id", job)
        .with("location", format!("/api/sync/jobs/{job}"))
}

/// Nothing can be synchronised without a drive.
pub fn no_drive() -> Problem {
    Problem::conflict("no_drive", "no enabled drive is registered; PUT /api/drives/{driveId} registers one")
}
