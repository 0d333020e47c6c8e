//! `POST …/retention/run`, `…/verify`, `…/archives/{id}/restore`

use axum::extract::State;
use axum::response::Response;
use contracts::jobs::{JobPayload, RestoreArchive, RunRetention, VerifyAudit, audit_resource};
use domain::flags::Flag;
use domain::ids::CompanyId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::audit::archives;
use store::jobs::{NewJob, enqueue};
use utoipa::ToSchema;
use uuid::Uuid;
use web::path::Path;
use web::problem::Problem;

use crate::actor::Actor;
use crate::error::Answer;
use crate::operation::{Call, Operation};
use crate::routes::jobs::location;
use crate::state::ApiState;

/// A job that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditJobBody {
    job_id: Uuid,
    /// `queued`.
    status: &'static str,
    /// Where to follow it; also in the `Location` header.
    location: String,
}

/// How to run retention.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetentionRequest {
    /// Change nothing; the job's result says what would be done.
    #[serde(default)]
    dry_run: bool,
    /// Why, for those who look later.
    reason: Option<String>,
}

/// How to verify.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyRequest {
    /// Also read every archive back.
    #[serde(default)]
    archives: bool,
}

/// Archives and purges audit records as the organization's policies say, now
#[utoipa::path(post, path = "/api/v1/audit/organizations/{org}/retention/run", tag = "audit",
    params(("org" = Uuid, Path)), request_body(content = Option<RetentionRequest>), responses(
    (status = 202, description = "The job", body = AuditJobBody),
    (status = 404, description = "No such organization", body = web::problem::ProblemBody),
))]
pub async fn run(
    State(state): State<ApiState>,
    actor: Actor,
    Path(org): Path<Uuid>,
    call: Call,
) -> Answer<Response> {
    let request: RetentionRequest = call.json()?;
    let why = actor.reason(request.reason.as_deref())?;
    let asked = Asked { action: "retention.run", resource: format!("organization:{org}"), why };
    ask(&state, &actor, (CompanyId(org), call), asked, &RunRetention { dry_run: request.dry_run }).await
}

/// Judges the audit trail; the job's result is `{valid, checked, checkpoint, first_fault}`
#[utoipa::path(post, path = "/api/v1/audit/organizations/{org}/verify", tag = "audit",
    params(("org" = Uuid, Path)), request_body(content = Option<VerifyRequest>), responses(
    (status = 202, description = "The job", body = AuditJobBody),
    (status = 404, description = "No such organization", body = web::problem::ProblemBody),
))]
pub async fn verify(
    State(state): State<ApiState>,
    actor: Actor,
    Path(org): Path<Uuid>,
    call: Call,
) -> Answer<Response> {
    let request: VerifyRequest = call.json()?;
    let why = actor.reason(None)?;
    let asked = Asked { action: "audit.verify", resource: format!("organization:{org}"), why };
    ask(&state, &actor, (CompanyId(org), call), asked, &VerifyAudit { archives: request.archives }).await
}

/// Brings an archive back into the table `audit_restored`, verified
#[utoipa::path(post, path = "/api/v1/audit/organizations/{org}/archives/{id}/restore", tag = "audit",
    params(("org" = Uuid, Path), ("id" = Uuid, Path)), responses(
    (status = 202, description = "The job", body = AuditJobBody),
    (status = 404, description = "No such organization or archive", body = web::problem::ProblemBody),
    (status = 503, description = "The switch `heavy_exports` is off", body = web::problem::ProblemBody),
))]
pub async fn restore(
    State(state): State<ApiState>,
    actor: Actor,
    Path((org, id)): Path<(Uuid, Uuid)>,
    call: Call,
) -> Answer<Response> {
    actor.administers(CompanyId(org))?;
    state.unless_switched(&actor.claims, Flag::HeavyExports).await?;
    let (mut tx, company) = state.tenant(&actor.claims).await?;
    let known = archives::find(&mut tx, company, id).await?;
    tx.rollback().await?;
    if known.is_none_or(|archive| archive.state == "planned") {
        return Err(Problem::not_found(format!("there is no archive {id}")).into());
    }
    let why = actor.reason(None)?;
    let asked = Asked { action: "archive.restore", resource: format!("archive:{id}"), why };
    ask(&state, &actor, (CompanyId(org), call), asked, &RestoreArchive { archive_id: id }).await
}

struct Asked {
    action: &'static str,
    resource: String,
    why: Option<String>,
}

async fn ask<P: JobPayload>(
    state: &ApiState,
    actor: &Actor,
    (org, call): (CompanyId, Call),
    asked: Asked,
    payload: &P,
) -> Answer<Response> {
    actor.administers(org)?;
    let claims = &actor.claims;
    let mut operation = Operation::begin(state, claims, call).await?;
    let company = operation.company;
    let tx = operation.tx();
    let job = NewJob::new(company, payload, claims.sub.as_str())
        .map_err(|error| Problem::internal(&error))?
        .resource(audit_resource(company.uuid()))
        .priority(6);
    let id = enqueue(tx, job).await?.id().uuid();
    let details = json!({ "job_id": id, "payload": payload });
    actor.record(tx, company, asked.action, asked.resource, asked.why, details).await?;
    tracing::info!(user = %claims.sub, action = asked.action, job_id = %id, "audit job asked for");
    let location = location(id);
    let body = AuditJobBody { job_id: id, status: "queued", location: location.clone() };
    operation.accepted(Some(&location), &body).await
}
