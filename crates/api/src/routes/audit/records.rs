//! `GET …/records`, `…/records/{sequence}/proof`, `…/checkpoints`, `…/consistency`

use audit_trail::people;
use audit_trail::prove::{self, ProveError};
use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::audit::{Record, Sealed};
use domain::ids::CompanyId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::audit::{checkpoints as notes, read};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use web::json::Json;
use web::page::Page;
use web::path::Path;
use web::problem::Problem;
use web::query::Query;

use super::lists::ListQuery;
use crate::actor::Actor;
use crate::error::Answer;
use crate::state::ApiState;

/// Records that a proof may have to read; beyond it `syncctl audit prove` does it.
const MOST: u64 = 200_000;

/// A sealed record, as it is shown: whoever was erased is `erased`.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordBody {
    id: Uuid,
    /// Place in the organization's chain, from 1 without gaps.
    sequence: u64,
    occurred_at: DateTime<Utc>,
    actor: String,
    role: String,
    address: Option<String>,
    action: String,
    resource: String,
    reason: Option<String>,
    request_id: Option<String>,
    trace_id: Option<String>,
    job_id: Option<Uuid>,
    /// Member by member `{before, after}`.
    #[schema(value_type = Object)]
    changes: Option<Value>,
    #[schema(value_type = Object)]
    details: Value,
    /// Key that sealed it.
    key_id: String,
    /// Link of the chain, in hex.
    hash: String,
}

/// A checkpoint.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckpointBody {
    number: i64,
    /// Records under it.
    size: i64,
    /// The signed note (c2sp.org/tlog-checkpoint).
    note: String,
}

/// Two checkpoints.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ConsistencyQuery {
    /// Number of the older checkpoint.
    from: i64,
    /// Number of the newer one.
    to: i64,
}

/// Sealed audit records, newest first; a record is here moments after it was written
#[utoipa::path(get, path = "/api/v1/audit/organizations/{org}/records", tag = "audit",
    params(("org" = Uuid, Path), ListQuery), responses(
    (status = 200, description = "A page of records", body = Page<RecordBody>),
    (status = 404, description = "No such organization", body = web::problem::ProblemBody),
))]
pub async fn list(
    State(state): State<ApiState>,
    actor: Actor,
    Path(org): Path<Uuid>,
    Query(query): Query<ListQuery>,
) -> Answer<Json<Page<RecordBody>>> {
    actor.administers(CompanyId(org))?;
    let page = crate::routes::page(query.limit, query.cursor)?;
    let before: Option<i64> = page.after()?;
    let keys = state.subjects()?;
    let (mut tx, company) = state.tenant(&actor.claims).await?;
    let rows = read::newest(&mut tx, company, before, page.fetch()).await?;
    let (mut records, hashes): (Vec<Record>, Vec<_>) =
        rows.into_iter().map(|row| (row.record, row.hash)).unzip();
    people::reveal(&mut tx, keys, company, &mut records).await.map_err(|error| Problem::internal(&error))?;
    let rows = records.into_iter().zip(hashes).map(|(record, hash)| Sealed { record, hash }).collect();
    let cut = Page::cut(&page, rows, |row: &Sealed| i64::try_from(row.record.sequence).unwrap_or(0));
    Ok(Json(cut.map(RecordBody::from)))
}

/// Proof that a record is under a signed checkpoint, checkable with `syncctl audit verify-proof` from this alone
#[utoipa::path(get, path = "/api/v1/audit/organizations/{org}/records/{sequence}/proof", tag = "audit",
    params(("org" = Uuid, Path), ("sequence" = u64, Path)), responses(
    (status = 200, description = "`{kind, record, hash, index, proof[], checkpoint}`; the record as it was sealed",
        body = Value),
    (status = 404, description = "No such record online, or no checkpoint over it yet",
        body = web::problem::ProblemBody),
    (status = 409, description = "`too_far`: only `syncctl audit prove` reads so much",
        body = web::problem::ProblemBody),
))]
pub async fn proof(
    State(state): State<ApiState>,
    actor: Actor,
    Path((org, sequence)): Path<(Uuid, u64)>,
) -> Answer<Json<Value>> {
    actor.administers(CompanyId(org))?;
    let mut tx = state.store.tenant_bulk(actor.claims.org).await?;
    let found = prove::inclusion(&mut tx, actor.claims.org, sequence, MOST).await.map_err(refusal)?;
    Ok(Json(json!(found)))
}

/// Proof that a checkpoint's records are the beginning of a later one's
#[utoipa::path(get, path = "/api/v1/audit/organizations/{org}/consistency", tag = "audit",
    params(("org" = Uuid, Path), ConsistencyQuery), responses(
    (status = 200, description = "`{kind, proof[], from, to}` with both signed notes", body = Value),
    (status = 404, description = "No such checkpoints", body = web::problem::ProblemBody),
    (status = 409, description = "`too_far`: only `syncctl audit prove` reads so much",
        body = web::problem::ProblemBody),
))]
pub async fn consistency(
    State(state): State<ApiState>,
    actor: Actor,
    Path(org): Path<Uuid>,
    Query(query): Query<ConsistencyQuery>,
) -> Answer<Json<Value>> {
    actor.administers(CompanyId(org))?;
    let mut tx = state.store.tenant_bulk(actor.claims.org).await?;
    let numbers = (query.from, query.to);
    let found = prove::consistency(&mut tx, actor.claims.org, numbers, MOST).await.map_err(refusal)?;
    Ok(Json(json!(found)))
}

/// Signed checkpoints, in the order of their numbers
#[utoipa::path(get, path = "/api/v1/audit/organizations/{org}/checkpoints", tag = "audit",
    params(("org" = Uuid, Path), ListQuery), responses(
    (status = 200, description = "A page of checkpoints", body = Page<CheckpointBody>),
    (status = 404, description = "No such organization", body = web::problem::ProblemBody),
))]
pub async fn checkpoints(
    State(state): State<ApiState>,
    actor: Actor,
    Path(org): Path<Uuid>,
    Query(query): Query<ListQuery>,
) -> Answer<Json<Page<CheckpointBody>>> {
    actor.administers(CompanyId(org))?;
    let page = crate::routes::page(query.limit, query.cursor)?;
    let after: Option<i64> = page.after()?;
    let (mut tx, company) = state.tenant(&actor.claims).await?;
    let rows = notes::list(&mut tx, Some(company), after.unwrap_or(0), page.fetch()).await?;
    Ok(Json(Page::cut(&page, rows, |row| row.number).map(|row| CheckpointBody {
        number: row.number,
        size: row.size,
        note: row.note,
    })))
}

fn refusal(error: ProveError) -> Problem {
    match error {
        ProveError::NotThere { .. } => Problem::not_found(error.to_string()),
        ProveError::TooFar { .. } => Problem::new(http::StatusCode::CONFLICT, "too_far", error.to_string()),
        ProveError::Trail(error) => Problem::internal(&error),
    }
}

impl From<Sealed> for RecordBody {
    fn from(Sealed { record, hash }: Sealed) -> Self {
        Self {
            id: record.id,
            sequence: record.sequence,
            occurred_at: record.occurred_at,
            actor: record.actor,
            role: record.role,
            address: record.address,
            action: record.action,
            resource: record.resource,
            reason: record.reason,
            request_id: record.request_id,
            trace_id: record.trace_id,
            job_id: record.job_id,
            changes: record.changes,
            details: record.details,
            key_id: record.key_id,
            hash: hash.to_string(),
        }
    }
}
