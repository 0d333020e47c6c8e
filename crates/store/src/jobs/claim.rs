//! Claim, fence, heartbeat, checkpoint.

use chassis::trace::TraceContext;
use domain::ids::{CompanyId, JobId};
use serde_json::Value;
use uuid::Uuid;

use crate::error::{Doing, Result, StoreError};
use crate::pool::Tx;

/// Proof that an attempt owns its job. Every write of the attempt checks it in its own transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// Owner.
    pub company: CompanyId,
    /// The job.
    pub job: JobId,
    /// Fencing token of this attempt.
    pub epoch: i64,
    /// Resource held with the job.
    pub resource: Option<String>,
}

impl ClaimOutcome {
    /// A word for logs.
    pub const fn label(&self) -> &'static str {
        match self {
            ClaimOutcome::Claimed(_) => "claimed",
            ClaimOutcome::Gone => "gone",
            ClaimOutcome::Stale => "stale",
            ClaimOutcome::Waiting => "waiting",
            ClaimOutcome::Cancelled => "cancelled",
            ClaimOutcome::Expired => "expired",
            ClaimOutcome::Locked => "locked",
            ClaimOutcome::Displaced => "displaced",
        }
    }
}

impl Fence {
    pub(crate) fn lost(&self) -> StoreError {
        StoreError::Fenced { job_id: self.job.uuid(), epoch: self.epoch }
    }
}

/// A claimed attempt.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Proof of ownership.
    pub fence: Fence,
    /// Kind.
    pub kind: String,
    /// Version of the payload.
    pub version: i16,
    /// Payload; moves to the handler.
    pub payload: Value,
    /// 1 for the first attempt.
    pub attempt: i32,
    /// Attempts before the job is dead.
    pub max_attempts: i32,
    /// Longest run of this attempt, in seconds.
    pub attempt_seconds: i32,
    /// Interruptions so far.
    pub interruptions: i32,
    /// Where an earlier attempt stopped.
    pub checkpoint: Option<Value>,
    /// Who asked.
    pub requested_by: Option<String>,
    /// Batch.
    pub batch: Option<Uuid>,
    /// Trace of the request that enqueued the job.
    pub trace: TraceContext,
    /// Seconds between being queued and this claim.
    pub waited_seconds: f64,
}

/// Answer to a claim.
#[derive(Debug, Clone)]
pub enum ClaimOutcome {
    /// The attempt is ours.
    Claimed(Box<Claim>),
    /// No such live job: finished, dead or cancelled.
    Gone,
    /// Another attempt was or is made; the bell was old.
    Stale,
    /// The resource is in use, or another job is first in its line; whoever holds it rings us.
    Waiting,
    /// Cancelled before it started.
    Cancelled,
    /// Its deadline passed before it started.
    Expired,
    /// Someone else is writing it; it was rung again.
    Locked,
    /// A job that a person waits for took its place; it was rung again.
    Displaced,
}

/// What a batch of bells came to.
#[derive(Debug, Clone, Default)]
pub struct Claimed {
    /// Attempts of ours, at most one per bell. A job that no bell of the batch named is a more urgent one that
    /// took another's place.
    pub claims: Vec<Claim>,
    /// Bells that led to nothing, and why.
    pub rest: Vec<(JobId, ClaimOutcome)>,
}

/// Claims a queued job and its resource, on the database's clock. A cancelled or expired one is left as it is.
///
/// # Errors
/// As every statement.
pub async fn claim(
    tx: &mut Tx,
    company: CompanyId,
    job: JobId,
    epoch: i64,
    owner: Uuid,
    lease_seconds: i32,
) -> Result<ClaimOutcome> {
    let row = sqlx::query!(
        r#"SELECT r.outcome AS "outcome!", (r.job).epoch, (r.job).kind, (r.job).version, (r.job).payload,
               (r.job).attempt, (r.job).max_attempts, (r.job).attempt_seconds, (r.job).interruptions,
               (r.job).checkpoint, (r.job).resource_key, (r.job).requested_by, (r.job).batch_id,
               (r.job).traceparent, (r.job).tracestate,
               extract(epoch FROM clock_timestamp() - (r.job).queued_at)::float8 AS waited
           FROM claim_job($1, $2, $3, $4) r"#,
        job.uuid(),
        epoch,
        owner,
        lease_seconds,
    )
    .fetch_one(tx.conn())
    .await
    .doing("claiming a job")?;
    Ok(match row.outcome.as_str() {
        "claimed" => ClaimOutcome::Claimed(Box::new(Claim {
            fence: Fence { company, job, epoch: row.epoch.unwrap_or(epoch + 1), resource: row.resource_key },
            kind: row.kind.unwrap_or_default(),
            version: row.version.unwrap_or_default(),
            payload: row.payload.unwrap_or_default(),
            attempt: row.attempt.unwrap_or(1),
            max_attempts: row.max_attempts.unwrap_or(1),
            attempt_seconds: row.attempt_seconds.unwrap_or(60),
            interruptions: row.interruptions.unwrap_or(0),
            checkpoint: row.checkpoint,
            requested_by: row.requested_by,
            batch: row.batch_id,
            trace: TraceContext { traceparent: row.traceparent, tracestate: row.tracestate },
            waited_seconds: row.waited.unwrap_or(0.0).max(0.0),
        })),
        "gone" => ClaimOutcome::Gone,
        "busy" | "behind" => ClaimOutcome::Waiting,
        "cancelled" => ClaimOutcome::Cancelled,
        "expired" => ClaimOutcome::Expired,
        _ => ClaimOutcome::Stale,
    })
}

/// Claims the jobs of many bells (id and epoch) and their resources, in one statement, in a dispatch transaction.
/// Ends those that were cancelled, and buries those whose deadline passed. A queued job of priority 8 or 9 whose
/// own bell is still behind is claimed in the place of a less urgent one, which is rung again unless it has
/// waited for 30 s.
///
/// # Errors
/// As every statement.
pub async fn claim_many(
    tx: &mut Tx,
    bells: &[(JobId, i64)],
    owner: Uuid,
    lease_seconds: i32,
) -> Result<Claimed> {
    let mut claimed = Claimed::default();
    for answer in ask(tx, bells, owner, lease_seconds).await? {
        match (answer.outcome, answer.company) {
            (ClaimOutcome::Claimed(claim), _) => claimed.claims.push(*claim),
            (ClaimOutcome::Cancelled, Some(company)) => {
                super::finish::request_cancel(tx, company, answer.job, "claim").await?;
                claimed.rest.push((answer.job, ClaimOutcome::Cancelled));
            }
            (ClaimOutcome::Expired, Some(company)) => {
                super::expire::bury_expired(tx, company, answer.job).await?;
                claimed.rest.push((answer.job, ClaimOutcome::Expired));
            }
            (outcome, _) => claimed.rest.push((answer.job, outcome)),
        }
    }
    Ok(claimed)
}

/// Answer about one job.
struct Answer {
    job: JobId,
    company: Option<CompanyId>,
    outcome: ClaimOutcome,
}

async fn ask(tx: &mut Tx, bells: &[(JobId, i64)], owner: Uuid, lease_seconds: i32) -> Result<Vec<Answer>> {
    let (ids, epochs): (Vec<Uuid>, Vec<i64>) = bells.iter().map(|(job, epoch)| (job.uuid(), *epoch)).unzip();
    let rows = sqlx::query!(
        r#"SELECT c.asked, c.outcome AS "outcome!", c.id, c.company_id, c.epoch, c.kind, c.version, c.payload,
               c.attempt, c.max_attempts, c.attempt_seconds, c.interruptions, c.checkpoint, c.resource_key,
               c.requested_by, c.batch_id, c.traceparent, c.tracestate, c.waited
           FROM claim_jobs($1, $2, $3, $4) c"#,
        &ids,
        &epochs,
        owner,
        lease_seconds,
    )
    .fetch_all(tx.conn())
    .await
    .doing("claiming jobs")?;
    let mut answers = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(job) = row.id.or(row.asked).map(JobId) else { continue };
        let company = row.company_id.map(CompanyId);
        let outcome = match (row.outcome.as_str(), company, row.epoch) {
            ("claimed", Some(company), Some(epoch)) => ClaimOutcome::Claimed(Box::new(Claim {
                fence: Fence { company, job, epoch, resource: row.resource_key },
                kind: row.kind.unwrap_or_default(),
                version: row.version.unwrap_or_default(),
                payload: row.payload.unwrap_or_default(),
                attempt: row.attempt.unwrap_or(1),
                max_attempts: row.max_attempts.unwrap_or(1),
                attempt_seconds: row.attempt_seconds.unwrap_or(60),
                interruptions: row.interruptions.unwrap_or(0),
                checkpoint: row.checkpoint,
                requested_by: row.requested_by,
                batch: row.batch_id,
                trace: TraceContext { traceparent: row.traceparent, tracestate: row.tracestate },
                waited_seconds: row.waited.unwrap_or(0.0).max(0.0),
            })),
            ("gone", ..) => ClaimOutcome::Gone,
            ("waiting", ..) => ClaimOutcome::Waiting,
            ("locked", ..) => ClaimOutcome::Locked,
            ("displaced", ..) => ClaimOutcome::Displaced,
            ("cancelled", ..) => ClaimOutcome::Cancelled,
            ("expired", ..) => ClaimOutcome::Expired,
            _ => ClaimOutcome::Stale,
        };
        answers.push(Answer { job, company, outcome });
    }
    Ok(answers)
}

/// Checks the fence and keeps the row locked until the transaction ends, so that nobody takes the job over
/// between this check and the commit.
///
/// # Errors
/// [`StoreError::Fenced`] when the attempt no longer owns the job.
pub async fn hold(tx: &mut Tx, fence: &Fence) -> Result<()> {
    sqlx::query_scalar!(
        "SELECT 1 FROM jobs_live WHERE id = $1 AND epoch = $2 AND state = 'running'
             AND lease_expires_at > clock_timestamp() FOR NO KEY UPDATE",
        fence.job.uuid(),
        fence.epoch,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("checking the fence")?
    .map(drop)
    .ok_or_else(|| fence.lost())
}

/// Stores progress and where to resume; checks the fence as [`hold`] does. A job that advances is no crash
/// loop, so its interruptions are forgotten.
///
/// # Errors
/// [`StoreError::Fenced`] when the attempt no longer owns the job.
pub async fn checkpoint(
    tx: &mut Tx,
    fence: &Fence,
    checkpoint: Option<&Value>,
    done: i64,
    total: Option<i64>,
    unit: &str,
) -> Result<()> {
    let updated = sqlx::query!(
        "UPDATE jobs_live SET checkpoint = coalesce($3, checkpoint), progress_done = $4, progress_total = $5,
             progress_unit = $6, updated_at = clock_timestamp(),
             interruptions = CASE WHEN $4 > progress_done THEN 0 ELSE interruptions END
         WHERE id = $1 AND epoch = $2 AND state = 'running' AND lease_expires_at > clock_timestamp()",
        fence.job.uuid(),
        fence.epoch,
        checkpoint,
        done,
        total,
        unit,
    )
    .execute(tx.conn())
    .await
    .doing("storing a checkpoint")?;
    if updated.rows_affected() == 1 { Ok(()) } else { Err(fence.lost()) }
}
