//! Enqueue: an insert in the caller's transaction, with the bell beside it.

use chassis::trace::TraceContext;
use chrono::{DateTime, Utc};
use contracts::jobs::JobPayload;
use domain::ids::{CompanyId, JobId};
use serde_json::Value;
use uuid::Uuid;

use crate::error::{Doing, Result, StoreError};
use crate::pool::Tx;

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

/// Enqueues many jobs in one statement; results are in the order of the jobs. Jobs of one call that share a
/// dedupe key coalesce into the first.
///
/// # Errors
/// As every statement.
pub async fn enqueue_many(tx: &mut Tx, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
    let mut results = Vec::with_capacity(jobs.len());
    for chunk in jobs.chunks(1000) {
        let columns = Columns::of(chunk);
        let rows = sqlx::query!(
            r#"WITH asked AS (
                SELECT * FROM UNNEST(
                    $1::uuid[], $2::uuid[], $3::text[], $4::smallint[], $5::text[], $6::jsonb[], $7::text[],
                    $8::text[], $9::smallint[], $10::integer[], $11::integer[], $12::timestamptz[],
                    $13::timestamptz[], $14::uuid[], $15::text[], $16::text[], $17::text[]
                ) WITH ORDINALITY AS t (id, company_id, kind, version, queue, payload, dedupe_key,
                    resource_key, priority, max_attempts, attempt_seconds, run_at, deadline, batch_id,
                    requested_by, traceparent, tracestate, position)
            ), written AS (
                INSERT INTO jobs_live AS live (id, company_id, kind, version, queue, payload, dedupe_key,
                    resource_key, priority, state, max_attempts, attempt_seconds, run_at, queued_at, deadline,
                    batch_id, requested_by, traceparent, tracestate)
                SELECT id, company_id, kind, version, queue, payload, dedupe_key, resource_key, priority,
                    CASE WHEN run_at > clock_timestamp() THEN 'scheduled' ELSE 'queued' END,
                    max_attempts, attempt_seconds, coalesce(run_at, clock_timestamp()),
                    CASE WHEN run_at > clock_timestamp() THEN NULL ELSE clock_timestamp() END, deadline,
                    batch_id, requested_by, traceparent, tracestate
                FROM asked ORDER BY position
                ON CONFLICT (company_id, kind, dedupe_key)
                    WHERE dedupe_key IS NOT NULL AND state IN ('scheduled', 'queued', 'retrying', 'parked')
                    DO NOTHING
                RETURNING id, company_id, kind, epoch, state, traceparent, tracestate
            ), bells AS (
                INSERT INTO outbox (company_id, job_id, epoch, routing_key, traceparent, tracestate)
                SELECT company_id, id, epoch, kind, traceparent, tracestate FROM written
                WHERE state = 'queued'
            )
            SELECT a.id AS "asked!", w.id AS "written?"
            FROM asked a LEFT JOIN written w ON w.id = a.id ORDER BY a.position"#,
            &columns.id,
            &columns.company,
            &columns.kind,
            &columns.version,
            &columns.queue,
            &columns.payload,
            &columns.dedupe as &[Option<String>],
            &columns.resource as &[Option<String>],
            &columns.priority,
            &columns.max_attempts,
            &columns.attempt_seconds,
            &columns.run_at as &[Option<DateTime<Utc>>],
            &columns.deadline as &[Option<DateTime<Utc>>],
            &columns.batch as &[Option<Uuid>],
            &columns.requested_by,
            &columns.traceparent as &[Option<String>],
            &columns.tracestate as &[Option<String>],
        )
        .fetch_all(tx.conn())
        .await
        .doing("enqueueing jobs")?;
        for (row, job) in rows.into_iter().zip(chunk) {
            results.push(match row.written {
                Some(id) => Enqueued::New(JobId(id)),
                None => coalesced(tx, job).await?,
            });
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
             WHERE id = $1 RETURNING company_id, id, epoch, kind, traceparent, tracestate
         )
         INSERT INTO outbox (company_id, job_id, epoch, routing_key, traceparent, tracestate)
         SELECT company_id, id, epoch, kind, traceparent, tracestate FROM released",
        id,
    )
    .execute(tx.conn())
    .await
    .doing("releasing a parked job")
    .map(drop)
}

#[derive(Default)]
struct Columns {
    id: Vec<Uuid>,
    company: Vec<Uuid>,
    kind: Vec<String>,
    version: Vec<i16>,
    queue: Vec<String>,
    payload: Vec<Value>,
    dedupe: Vec<Option<String>>,
    resource: Vec<Option<String>>,
    priority: Vec<i16>,
    max_attempts: Vec<i32>,
    attempt_seconds: Vec<i32>,
    run_at: Vec<Option<DateTime<Utc>>>,
    deadline: Vec<Option<DateTime<Utc>>>,
    batch: Vec<Option<Uuid>>,
    requested_by: Vec<String>,
    traceparent: Vec<Option<String>>,
    tracestate: Vec<Option<String>>,
}

impl Columns {
    fn of(jobs: &[NewJob]) -> Self {
        let mut c = Columns::default();
        for job in jobs {
            c.id.push(job.id.uuid());
            c.company.push(job.company.uuid());
            c.kind.push(job.kind.to_owned());
            c.version.push(job.version);
            c.queue.push(job.queue.to_owned());
            c.payload.push(job.payload.clone());
            c.dedupe.push(job.dedupe_key.clone());
            c.resource.push(job.resource_key.clone());
            c.priority.push(job.priority);
            c.max_attempts.push(job.max_attempts);
            c.attempt_seconds.push(job.attempt_seconds);
            c.run_at.push(job.run_at);
            c.deadline.push(job.deadline);
            c.batch.push(job.batch);
            c.requested_by.push(job.requested_by.clone());
            c.traceparent.push(job.trace.traceparent.clone());
            c.tracestate.push(job.trace.tracestate.clone());
        }
        c
    }
}
