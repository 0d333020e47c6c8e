//! Heartbeats: how a worker keeps its leases.

use domain::ids::JobId;
use uuid::Uuid;

use super::claim::Fence;
use crate::error::{Doing, Result};
use crate::pool::Tx;

/// Answer to a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heartbeat {
    /// Lease extended.
    Alive,
    /// Lease extended; someone asked for cancellation.
    CancelRequested,
    /// The job is no longer ours.
    Lost,
    /// Its row is being written right now, most likely by its own last commit; ask again soon.
    Busy,
}

/// Extends the lease of the job and of its resource.
///
/// # Errors
/// As every statement.
pub async fn heartbeat(tx: &mut Tx, fence: &Fence, lease_seconds: i32) -> Result<Heartbeat> {
    let cancel = sqlx::query_scalar!(
        "WITH beat AS (
             UPDATE jobs_live SET lease_expires_at = clock_timestamp() + make_interval(secs => $3)
             WHERE id = $1 AND epoch = $2 AND state = 'running' AND lease_expires_at > clock_timestamp()
             RETURNING company_id, resource_key, lease_expires_at, cancel_requested
         ), resource AS (
             UPDATE resource_leases r SET expires_at = beat.lease_expires_at FROM beat
             WHERE r.company_id = beat.company_id AND r.resource_key = beat.resource_key AND r.job_id = $1
         )
         SELECT cancel_requested FROM beat",
        fence.job.uuid(),
        fence.epoch,
        f64::from(lease_seconds),
    )
    .fetch_optional(tx.conn())
    .await
    .doing("extending a lease")?;
    Ok(match cancel {
        None => Heartbeat::Lost,
        Some(true) => Heartbeat::CancelRequested,
        Some(false) => Heartbeat::Alive,
    })
}

/// Extends the leases of many jobs and of their resources, in one statement, in a dispatch transaction. Waits for
/// no job that is being written.
///
/// # Errors
/// As every statement.
pub async fn heartbeat_many(
    tx: &mut Tx,
    held: &[(JobId, i64)],
    lease_seconds: i32,
) -> Result<Vec<(JobId, Heartbeat)>> {
    let (ids, epochs): (Vec<Uuid>, Vec<i64>) = held.iter().map(|(job, epoch)| (job.uuid(), *epoch)).unzip();
    let rows = sqlx::query!(
        r#"SELECT b.id AS "id!", b.beat AS "beat!" FROM beat_jobs($1, $2, $3) b"#,
        &ids,
        &epochs,
        lease_seconds,
    )
    .fetch_all(tx.conn())
    .await
    .doing("extending leases")?;
    let beat_of = |beat: &str| match beat {
        "alive" => Heartbeat::Alive,
        "cancel" => Heartbeat::CancelRequested,
        "busy" => Heartbeat::Busy,
        _ => Heartbeat::Lost,
    };
    Ok(rows.into_iter().map(|row| (JobId(row.id), beat_of(&row.beat))).collect())
}
