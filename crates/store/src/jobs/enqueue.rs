//! Enqueue: an insert in the caller's transaction, with the bell beside it.

mod write;

use chassis::trace::TraceContext;
use chrono::{DateTime, Utc};
use contracts::jobs::JobPayload;
use domain::ids::{CompanyId, JobId};
use serde_json::Value;
use uuid::Uuid;

use crate::error::{Doing, Result, StoreError};
use crate::pool::Tx;
use write::Columns;

/// Jobs of one statement: more of them hardly cost less each.
const CHUNK: usize = 2500;

/// A job to be written.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Id, minted by the caller.
    pub id: JobId,
    /// Owner.
    pub company: CompanyId,
    /// Kind; the routing key.
    pub kind: &'static str,
    /// Version of the payload.
    pub version: i16,
    /// Queue name.
    pub queue: &'static str,
    /// Payload as JSON.
    pub payload: Value,
    /// At most one waiting job per (company, kind, key).
    pub dedupe_key: Option<String>,
    /// At most one running job per (company, key).
    pub resource_key: Option<String>,
    /// 0 sweeps, 5 ordinary, 9 a person waits.
    pub priority: i16,
    /// Attempts before it is dead.
    pub max_attempts: i32,
    /// Longest run of one attempt, in seconds.
    pub attempt_seconds: i32,
    /// Not before; `None` = now.
    pub run_at: Option<DateTime<Utc>>,
    /// Not started after.
    pub deadline: Option<DateTime<Utc>>,
    /// Request that enqueued several.
    pub batch: Option<Uuid>,
    /// Subject of the user, or the service, that asked.
    pub requested_by: String,
    /// Trace of the request.
    pub trace: TraceContext,
}

impl NewJob {
    /// A job of the payload's kind with its defaults, due now, carrying the current trace.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when the payload does not serialise.
    pub fn new<P: JobPayload>(
        company: CompanyId,
        payload: &P,
        requested_by: impl Into<String>,
    ) -> Result<Self> {
        let payload = serde_json::to_value(payload)
            .map_err(|e| StoreError::Malformed { what: "job payload", value: e.to_string() })?;
        Ok(Self {
            id: JobId(chassis::ids::new_id()),
            company,
            kind: P::KIND,
            version: P::VERSION,
            queue: P::QUEUE.name(),
            payload,
            dedupe_key: None,
            resource_key: None,
            priority: 5,
            max_attempts: P::MAX_ATTEMPTS,
            attempt_seconds: P::DEADLINE_SECONDS,
            run_at: None,
            deadline: None,
            batch: None,
            requested_by: requested_by.into(),
            trace: TraceContext::current(),
        })
    }

    /// Coalesces with a waiting job of the same kind and key.
    #[must_use]
    pub fn dedupe(mut self, key: impl Into<String>) -> Self {
        self.dedupe_key = Some(key.into());
        self
    }

    /// Serialises with every job on the same resource.
    #[must_use]
    pub fn resource(mut self, key: impl Into<String>) -> Self {
        self.resource_key = Some(key.into());
        self
    }

    /// Sets the priority (0 to 9).
    #[must_use]
    pub fn priority(mut self, priority: i16) -> Self {
        self.priority = priority;
        self
    }

    /// Not before this moment.
    #[must_use]
    pub fn run_at(mut self, at: DateTime<Utc>) -> Self {
        self.run_at = Some(at);
        self
    }

    /// Not started after this moment: then it is dead with code `deadline`.
    #[must_use]
    pub fn deadline(mut self, at: DateTime<Utc>) -> Self {
        self.deadline = Some(at);
        self
    }

    /// Attempts before it is dead (at least 1), instead of the kind's own number.
    #[must_use]
    pub fn max_attempts(mut self, attempts: i32) -> Self {
        self.max_attempts = attempts.max(1);
        self
    }

    /// Belongs to a batch.
    #[must_use]
    pub fn batch(mut self, batch: Uuid) -> Self {
        self.batch = Some(batch);
        self
    }
}

/// What became of a request to enqueue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enqueued {
    /// A new row.
    New(JobId),
    /// A waiting job with the same dedupe key serves the request.
    Coalesced(JobId),
}

impl Enqueued {
    /// The job that will do the work.
    pub fn id(self) -> JobId {
        match self {
            Enqueued::New(id) | Enqueued::Coalesced(id) => id,
        }
    }
}

/// Enqueues one job in the caller's transaction.
///
/// # Errors
/// As every statement.
pub async fn enqueue(tx: &mut Tx, job: NewJob) -> Result<Enqueued> {
    let mut results = enqueue_many(tx, vec![job]).await?;
    results.pop().ok_or(StoreError::Malformed { what: "enqueue result", value: "empty".to_owned() })
}

/// Enqueues many jobs, [`CHUNK`] in a statement; results are in the order of the jobs. Jobs of one call that
/// share a dedupe key coalesce into the first.
///
/// # Errors
/// As every statement.
pub async fn enqueue_many(tx: &mut Tx, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
    let mut results = Vec::with_capacity(jobs.len());
    let mut jobs = jobs.into_iter().peekable();
    while jobs.peek().is_some() {
        let chunk: Vec<NewJob> = jobs.by_ref().take(CHUNK).collect();
        if chunk.iter().all(|job| job.dedupe_key.is_none()) {
            results.extend(chunk.iter().map(|job| Enqueued::New(job.id)));
            write::all(tx, &Columns::of(chunk)).await?;
            continue;
        }
        for (job, new) in chunk.iter().zip(write::coalescing(tx, &Columns::of(chunk.clone())).await?) {
            results.push(if new { Enqueued::New(job.id) } else { coalesced(tx, job).await? });
        }
    }
    Ok(results)
}

/// The waiting job that a refused insert ran into. Locks it, so that it cannot be claimed before the
/// caller's transaction (whose change it must see) has committed.
async fn coalesced(tx: &mut Tx, job: &NewJob) -> Result<Enqueued> {
    let existing = sqlx::query!(
        "SELECT id, state FROM jobs_live WHERE company_id = $1 AND kind = $2 AND dedupe_key = $3
             AND state IN ('scheduled', 'queued', 'retrying', 'parked') FOR UPDATE",
        job.company.uuid(),
        job.kind,
        job.dedupe_key.as_deref().unwrap_or_default(),
    )
    .fetch_optional(tx.conn())
    .await
    .doing("finding the coalescing job")?;
    if let Some(waiting) = existing {
        if waiting.state == "parked" {
            release_parked(tx, waiting.id).await?;
        }
        return Ok(Enqueued::Coalesced(JobId(waiting.id)));
    }
    // It was claimed between the two statements: our change needs a follow-up of its own.
    Box::pin(enqueue(tx, job.clone())).await
}

/// Someone asks for the work of a parked job: it is tried again, since the cause may have been mended meanwhile. If
/// it was not, the job is parked again; without this a request would vanish in a job that never runs.
async fn release_parked(tx: &mut Tx, id: Uuid) -> Result<()> {
    sqlx::query!(
        "WITH released AS (
             UPDATE jobs_live SET state = 'queued', attempt = 0, park_reason = NULL, run_at = clock_timestamp(),
                 queued_at = clock_timestamp(), updated_at = clock_timestamp()
             WHERE id = $1
             RETURNING company_id, id, epoch, kind, queue, priority, traceparent, tracestate
         )
         INSERT INTO outbox (company_id, job_id, epoch, routing_key, queue, priority, traceparent, tracestate)
         SELECT company_id, id, epoch, kind, queue, priority, traceparent, tracestate FROM released",
        id,
    )
    .execute(tx.conn())
    .await
    .doing("releasing a parked job")
    .map(drop)
}
