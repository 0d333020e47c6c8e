//! The audit record of a job that changed something: one per job, with counts, in the transaction of its end. Jobs that
//! changed nothing leave none, and cost nothing.

use domain::audit::outcome::changes_of;
use serde_json::Value;
use uuid::Uuid;

use super::claim::Fence;
use crate::error::{Doing, Result};
use crate::pool::Tx;

/// The statement that records what a running job changed, to be sent before its end; `None` when it changed nothing.
pub(super) fn statement(fence: &Fence, result: &Value) -> Option<String> {
    let counts = super::finish::literal(&changes_of(result)?.to_string());
    let (id, job, epoch) = (chassis::ids::new_id(), fence.job, fence.epoch);
    Some(format!(
        "INSERT INTO audit_events (id, company_id, actor, role, action, resource, trace_id, details, job_id)
         SELECT '{id}', j.company_id, 'worker', 'service', 'job.done', 'job:' || j.id,
             nullif(split_part(coalesce(j.traceparent, ''), '-', 2), ''),
             jsonb_build_object('kind', j.kind, 'attempt', j.attempt) || {counts}::jsonb, j.id
         FROM jobs_live j WHERE j.id = '{job}' AND j.epoch = {epoch}"
    ))
}

/// As [`statement`] for many running jobs, in one.
pub(super) async fn record_many(tx: &mut Tx, fences: &[&Fence], results: &[Value]) -> Result<()> {
    let (mut ids, mut jobs, mut epochs, mut counts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (fence, result) in fences.iter().zip(results) {
        if let Some(changed) = changes_of(result) {
            ids.push(chassis::ids::new_id());
            jobs.push(fence.job.uuid());
            epochs.push(fence.epoch);
            counts.push(changed);
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO audit_events (id, company_id, actor, role, action, resource, trace_id, details, job_id)
         SELECT r.id, j.company_id, 'worker', 'service', 'job.done', 'job:' || j.id,
             nullif(split_part(coalesce(j.traceparent, ''), '-', 2), ''),
             jsonb_build_object('kind', j.kind, 'attempt', j.attempt) || r.counts, j.id
         FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::jsonb[]) AS r (id, job, epoch, counts)
         JOIN jobs_live j ON j.id = r.job AND j.epoch = r.epoch",
        &ids as &[Uuid],
        &jobs,
        &epochs,
        &counts,
    )
    .execute(tx.conn())
    .await
    .doing("recording what jobs changed")
    .map(drop)
}
