//! An operation as scripts read it.

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use domain::wave;
use serde::Serialize;
use serde_json::Value;
use store::Tx;
use store::operations::{self, Counts, GroupCount, Operation};
use utoipa::ToSchema;
use uuid::Uuid;
use web::problem::Problem;

use crate::error::ApiError;

/// A retry of many dead letters.
#[derive(Debug, Serialize, ToSchema)]
pub struct OperationBody {
    id: Uuid,
    /// planned, running, succeeded (every item had its turn), aborted (too many failed again) or cancelled.
    state: String,
    /// What was asked for.
    filter: Value,
    /// Dead letters of the plan.
    planned: i64,
    /// Of them queued again so far.
    retried: i64,
    /// Of them no dead letters any more when their turn came.
    skipped: i64,
    /// Of them left, or put back, among the dead letters because the operation was aborted or cancelled.
    aborted: i64,
    results: OperationResults,
    wave: WaveBody,
    requested_by: String,
    reason: Option<String>,
    /// Why it was aborted or cancelled.
    ended_because: Option<String>,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    /// Nothing is queued any more since then.
    ended_at: Option<DateTime<Utc>>,
    /// Every job that it queued has ended since then.
    settled_at: Option<DateTime<Utc>>,
    /// By kind and error fingerprint as they were planned, the largest first; at most 100.
    groups: Vec<OperationGroup>,
    items_location: String,
}

/// What became of the items so far.
#[derive(Debug, Serialize, ToSchema)]
pub struct OperationResults {
    /// Not their turn yet.
    waiting: i64,
    /// Queued again; no attempt has ended yet.
    open: i64,
    succeeded: i64,
    /// Dead letters once more.
    failed_again: i64,
    /// Failed once more and tried again by themselves.
    failing: i64,
    /// Wait for a person.
    parked: i64,
    /// Another job does their work.
    coalesced: i64,
    cancelled: i64,
}

/// Where the operation is.
#[derive(Debug, Serialize, ToSchema)]
pub struct WaveBody {
    /// 0 before the first.
    number: i32,
    size: i32,
    /// Waves of the whole plan when all goes well.
    estimated: usize,
}

/// Items of one cause.
#[derive(Debug, Serialize, ToSchema)]
pub struct OperationGroup {
    kind: String,
    fingerprint: Option<String>,
    planned: i64,
    succeeded: i64,
    failed_again: i64,
}

impl OperationBody {
    fn new(operation: Operation, counts: &Counts, groups: Vec<GroupCount>) -> Self {
        let left = counts.of("planned");
        let over = matches!(operation.state.as_str(), "aborted" | "cancelled");
        let idle = counts.of("skipped") + counts.of("coalesced") + counts.of("returned");
        let planned = i64::from(operation.planned);
        let estimated = wave::waves(u32::try_from(operation.planned).unwrap_or(0)).len();
        Self {
            items_location: format!("{}/items", location(operation.id)),
            id: operation.id,
            state: operation.state,
            filter: operation.filter,
            planned,
            retried: planned - left - idle,
            skipped: counts.of("skipped"),
            aborted: if over { left + counts.of("returned") } else { 0 },
            results: OperationResults {
                waiting: if over { 0 } else { left },
                open: counts.of("retried"),
                succeeded: counts.of("succeeded"),
                failed_again: counts.of("failed_again"),
                failing: counts.of("failing"),
                parked: counts.of("parked"),
                coalesced: counts.of("coalesced"),
                cancelled: counts.of("cancelled") + counts.of("unknown"),
            },
            wave: WaveBody {
                number: operation.wave,
                size: if operation.wave == 0 { 0 } else { operation.wave_size },
                estimated,
            },
            requested_by: operation.requested_by,
            reason: operation.reason,
            ended_because: operation.ended_because,
            created_at: operation.created_at,
            started_at: operation.started_at,
            ended_at: operation.ended_at,
            settled_at: operation.settled_at,
            groups: groups
                .into_iter()
                .map(|group| OperationGroup {
                    kind: group.kind,
                    fingerprint: group.fingerprint,
                    planned: group.planned,
                    succeeded: group.succeeded,
                    failed_again: group.failed_again,
                })
                .collect(),
        }
    }

    /// What was asked for.
    pub fn filter(&self) -> &Value {
        &self.filter
    }
}

/// Address of an operation.
pub fn location(id: Uuid) -> String {
    format!("/api/queue/operations/{id}")
}

/// Reads an operation with its counts; 404 when there is none.
pub async fn read(tx: &mut Tx, company: CompanyId, id: Uuid) -> Result<OperationBody, ApiError> {
    let operation = operations::find(tx, company, id).await?;
    let operation = operation.ok_or_else(|| Problem::not_found(format!("there is no operation {id}")))?;
    let (counts, groups) = operations::groups(tx, id).await?;
    Ok(OperationBody::new(operation, &counts, groups))
}
