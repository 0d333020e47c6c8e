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
        let new = write::coalescing(tx, &Columns::of(chunk.clone())).await?;
        let refused: Vec<&NewJob> =
            chunk.iter().zip(&new).filter(|(_, new)| !**new).map(|(job, _)| job).collect();
        let mut waiting = coalesced(tx, &refused).await?.into_iter();
        for (job, new) in chunk.iter().zip(new) {
            if new {
                results.push(Enqueued::New(job.id));
                continue;
            }
            results.push(match waiting.next().flatten() {
                Some(id) => Enqueued::Coalesced(id),
                // It was claimed between the two statements: our change needs a follow-up of its own.
                None => Box::pin(enqueue(tx, job.clone())).await?,
            });
        }
    }
    Ok(results)
}

/// The waiting jobs that refused inserts ran into, in their order; none where it was claimed meanwhile. Locks them, so
/// that they cannot be claimed before the caller's transaction (whose change they must see) has committed.
async fn coalesced(tx: &mut Tx, jobs: &[&NewJob]) -> Result<Vec<Option<JobId>>> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let companies: Vec<Uuid> = jobs.iter().map(|job| job.company.uuid()).collect();
    let kinds: Vec<String> = jobs.iter().map(|job| job.kind.to_owned()).collect();
    let keys: Vec<String> = jobs.iter().map(|job| job.dedupe_key.clone().unwrap_or_default()).collect();
    let existing = sqlx::query!(
        r#"SELECT asked.position AS "position!", waiting.id, waiting.state
         FROM UNNEST($1::uuid[], $2::text[], $3::text[]) WITH ORDINALITY AS asked (company_id, kind, key, position)
         CROSS JOIN LATERAL (
             SELECT j.id, j.state FROM jobs_live j
             WHERE j.company_id = asked.company_id AND j.kind = asked.kind AND j.dedupe_key = asked.key
                 AND j.state IN ('scheduled', 'queued', 'retrying', 'parked')
             FOR UPDATE
         ) AS waiting"#,
        &companies,
        &kinds,
        &keys,
    )
    .fetch_all(tx.conn())
    .await
    .doing("finding the coalescing jobs")?;
    for waiting in existing.iter().filter(|waiting| waiting.state == "parked") {
        release_parked(tx, waiting.id).await?;
    }
    let mut found = vec![None; jobs.len()];
    for waiting in existing {
        let place = usize::try_from(waiting.position - 1).unwrap_or(usize::MAX);
        if let Some(found) = found.get_mut(place) {
            *found = Some(JobId(waiting.id));
        }
    }
    Ok(found)
}

/// Someone asks for the work of a parked job: it is tried again, since the cause may have been mended meanwhile. If
/// it was not, the job is parked again; without this a request would vanish in a job that never runs. What an operator's
/// switch holds stays: it is released when the switch ends.
async fn release_parked(tx: &mut Tx, id: Uuid) -> Result<()> {
    sqlx::query!(
        "WITH released AS (
             UPDATE jobs_live SET state = 'queued', attempt = 0, park_reason = NULL, run_at = clock_timestamp(),
                 queued_at = clock_timestamp(), updated_at = clock_timestamp()
             WHERE id = $1 AND park_reason IS DISTINCT FROM 'flag'
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
