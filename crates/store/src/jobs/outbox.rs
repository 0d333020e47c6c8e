//! The relay's side of the outbox. Call these in a dispatch transaction: the rows that it takes are its own
//! until it commits, and a relay that dies leaves them as they were.

use chassis::trace::TraceContext;
use domain::ids::{CompanyId, JobId};
use uuid::Uuid;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// A bell to ring.
#[derive(Debug, Clone)]
pub struct OutboxRow {
    /// `outbox.id`.
    pub id: i64,
    /// Owner of the job.
    pub company: CompanyId,
    /// The job.
    pub job_id: Uuid,
    /// Epoch for the bell.
    pub epoch: i64,
    /// Routing key: the job's kind.
    pub routing_key: String,
    /// Queue of the job; empty in rows of older builds.
    pub queue: String,
    /// 0 sweeps, 5 ordinary, 9 a person waits.
    pub priority: i16,
    /// How often the broker returned or refused it.
    pub refusals: i32,
    /// Trace of the request that enqueued the job.
    pub trace: TraceContext,
}

/// Bells of one queue, tenant and priority that wait, as far as they are due and visible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingLane {
    /// Queue of the jobs.
    pub queue: String,
    /// Tenant.
    pub company: CompanyId,
    /// Priority.
    pub priority: i16,
    /// How many.
    pub waiting: i64,
    /// Id of the oldest.
    pub oldest: i64,
    /// Id of the newest.
    pub newest: i64,
}

/// How many bells to take from a lane, and from which id on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanePick {
    /// Queue of the jobs.
    pub queue: String,
    /// Tenant.
    pub company: CompanyId,
    /// Priority.
    pub priority: i16,
    /// Smallest id that can still wait.
    pub from: i64,
    /// How many.
    pub count: i64,
}

macro_rules! bells {
    ($rows:expr) => {
        $rows
            .into_iter()
            .map(|r| OutboxRow {
                id: r.id,
                company: CompanyId(r.company_id),
                job_id: r.job_id,
                epoch: r.epoch,
                routing_key: r.routing_key,
                queue: r.queue,
                priority: r.priority,
                refusals: r.refusals,
                trace: TraceContext { traceparent: r.traceparent, tracestate: r.tracestate },
            })
            .collect()
    };
}

/// Takes up to `limit` due bells with an id of at least `from`, oldest first, for this transaction; those
/// that another relay holds are skipped.
///
/// # Errors
/// As every statement.
pub async fn take_bells(tx: &mut Tx, from: i64, limit: i64) -> Result<Vec<OutboxRow>> {
    let rows = sqlx::query!(
        "SELECT id, company_id, job_id, epoch, routing_key, queue, priority, refusals, traceparent, tracestate
         FROM outbox WHERE id >= $1 AND (not_before IS NULL OR not_before <= clock_timestamp())
         ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED",
        from,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("taking bells")?;
    Ok(bells!(rows))
}

/// Takes the oldest due bells of each of these lanes, as [`take_bells`] does.
///
/// Priority is one value, but written as a range: were it an equality, the primary key would be in order too,
/// and is what the planner takes as long as the table has no statistics; it walks all other lanes.
///
/// # Errors
/// As every statement.
pub async fn take_from_lanes(tx: &mut Tx, picks: &[LanePick]) -> Result<Vec<OutboxRow>> {
    let queues: Vec<String> = picks.iter().map(|p| p.queue.clone()).collect();
    let companies: Vec<Uuid> = picks.iter().map(|p| p.company.uuid()).collect();
    let priorities: Vec<i16> = picks.iter().map(|p| p.priority).collect();
    let from: Vec<i64> = picks.iter().map(|p| p.from).collect();
    let counts: Vec<i64> = picks.iter().map(|p| p.count).collect();
    let rows = sqlx::query!(
        r#"SELECT b.id AS "id!", b.company_id AS "company_id!", b.job_id AS "job_id!", b.epoch AS "epoch!",
               b.routing_key AS "routing_key!", b.queue AS "queue!", b.priority AS "priority!",
               b.refusals AS "refusals!", b.traceparent, b.tracestate
           FROM UNNEST($1::text[], $2::uuid[], $3::smallint[], $4::bigint[], $5::bigint[])
               AS lane (queue, company_id, priority, first, number)
           CROSS JOIN LATERAL (
               SELECT * FROM outbox o
               WHERE o.queue = lane.queue AND o.company_id = lane.company_id
                   AND (o.priority, o.id) >= (lane.priority, lane.first) AND o.priority <= lane.priority
                   AND (o.not_before IS NULL OR o.not_before <= clock_timestamp())
               ORDER BY o.priority, o.id LIMIT lane.number FOR UPDATE SKIP LOCKED
           ) b"#,
        &queues,
        &companies,
        &priorities,
        &from,
        &counts,
    )
    .fetch_all(tx.conn())
    .await
    .doing("taking bells of lanes")?;
    Ok(bells!(rows))
}

/// What waits from an id on, by lane.
///
/// # Errors
/// As every statement.
pub async fn waiting_lanes(tx: &mut Tx, from: i64) -> Result<Vec<WaitingLane>> {
    let rows = sqlx::query!(
        r#"SELECT queue, company_id, priority, count(*) AS "waiting!", min(id) AS "oldest!", max(id) AS "newest!"
           FROM outbox WHERE id >= $1 AND (not_before IS NULL OR not_before <= clock_timestamp())
           GROUP BY queue, company_id, priority"#,
        from,
    )
    .fetch_all(tx.conn())
    .await
    .doing("counting bells by lane")?;
    Ok(rows
        .into_iter()
        .map(|r| WaitingLane {
            queue: r.queue,
            company: CompanyId(r.company_id),
            priority: r.priority,
            waiting: r.waiting,
            oldest: r.oldest,
            newest: r.newest,
        })
        .collect())
}

/// Rings those of these jobs that are queued.
///
/// # Errors
/// As every statement.
pub async fn ring(tx: &mut Tx, jobs: &[JobId]) -> Result<()> {
    let jobs: Vec<Uuid> = jobs.iter().map(|job| job.uuid()).collect();
    sqlx::query!("SELECT ring_jobs($1)", &jobs).execute(tx.conn()).await.doing("ringing jobs").map(drop)
}

/// Removes bells that the broker has confirmed.
///
/// # Errors
/// As every statement.
pub async fn remove_bells(tx: &mut Tx, ids: &[i64]) -> Result<u64> {
    sqlx::query!("DELETE FROM outbox WHERE id = ANY($1)", ids)
        .execute(tx.conn())
        .await
        .doing("removing confirmed bells")
        .map(|done| done.rows_affected())
}

/// Keeps bells that were returned, refused or of unknown fate; they are due again after `seconds`.
///
/// # Errors
/// As every statement.
pub async fn put_back_bells(tx: &mut Tx, ids: &[i64], seconds: f64) -> Result<u64> {
    sqlx::query!(
        "UPDATE outbox SET not_before = clock_timestamp() + make_interval(secs => $2), refusals = refusals + 1
         WHERE id = ANY($1)",
        ids,
        seconds,
    )
    .execute(tx.conn())
    .await
    .doing("putting bells back")
    .map(|done| done.rows_affected())
}

/// Parks the jobs of bells that no queue takes, with that as their error, and removes the bells. Returns the
/// jobs that were parked; one that was claimed or cancelled meanwhile only loses the bell.
///
/// # Errors
/// As every statement.
pub async fn park_unroutable(tx: &mut Tx, ids: &[i64]) -> Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "WITH bell AS (DELETE FROM outbox WHERE id = ANY($1) RETURNING job_id, epoch, routing_key, refusals)
         UPDATE jobs_live j SET state = 'parked', park_reason = 'unknown_kind', queued_at = NULL,
             updated_at = clock_timestamp(), error_fingerprint = 'unroutable',
             first_failed_at = coalesce(first_failed_at, clock_timestamp()),
             errors = CASE WHEN jsonb_array_length(errors) >= 20 THEN errors - 0 ELSE errors END
                 || jsonb_build_array(jsonb_build_object('attempt', j.attempt, 'code', 'unroutable',
                     'fingerprint', 'unroutable', 'chain', '[]'::jsonb, 'message',
                     format('no queue of the broker takes messages of kind %s (returned %s times): deploy a '
                         'build that knows the kind and release the job, or discard it',
                         bell.routing_key, bell.refusals + 1)))
         FROM bell WHERE j.id = bell.job_id AND j.epoch = bell.epoch AND j.state = 'queued'
         RETURNING j.id",
        ids,
    )
    .fetch_all(tx.conn())
    .await
    .doing("parking jobs whose bell no queue takes")
}

/// Bells waiting, and the age of the oldest in seconds.
///
/// # Errors
/// As every statement.
pub async fn backlog(tx: &mut Tx) -> Result<(i64, f64)> {
    backlog_from(tx, 0).await
}

/// As [`backlog`], of the bells with an id of at least `from`.
///
/// # Errors
/// As every statement.
pub async fn backlog_from(tx: &mut Tx, from: i64) -> Result<(i64, f64)> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "waiting!",
               coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8 AS "age!"
           FROM outbox WHERE id >= $1"#,
        from,
    )
    .fetch_one(tx.conn())
    .await
    .doing("counting the outbox")?;
    Ok((row.waiting, row.age))
}
