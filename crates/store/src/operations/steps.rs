//! The steps of a running operation. Each is called in the transaction of one job run, which holds the operation.

use std::time::Duration;

use contracts::jobs::RetryDeadLetters;
use domain::ids::CompanyId;
use domain::wave::Progress;
use uuid::Uuid;

use crate::dead_letters::{Retried, retry_many};
use crate::error::{Doing, Result};
use crate::jobs::{NewJob, enqueue};
use crate::pool::Tx;

/// Locks the operation until the transaction ends and answers its state; `None` when there is none.
///
/// # Errors
/// As every statement.
pub async fn hold(tx: &mut Tx, company: CompanyId, id: Uuid) -> Result<Option<String>> {
    sqlx::query_scalar!(
        "SELECT state FROM operations WHERE id = $1 AND company_id = $2 FOR UPDATE",
        id,
        company.uuid(),
    )
    .fetch_optional(tx.conn())
    .await
    .doing("holding an operation")
}

/// Looks at every job that was retried and has not ended, and writes down what became of it.
///
/// # Errors
/// As every statement.
pub async fn settle(tx: &mut Tx, id: Uuid) -> Result<u64> {
    sqlx::query!(
        "WITH unsettled AS MATERIALIZED (
             SELECT position, job_id FROM operation_items
             WHERE operation_id = $1 AND result IN ('retried', 'failing')
         ), seen AS (
             SELECT u.position, CASE
                 WHEN l.state = 'parked' THEN 'parked'
                 WHEN l.attempt >= 2 OR (l.attempt = 1 AND l.state <> 'running') THEN 'failing'
                 WHEN l.id IS NOT NULL THEN 'retried'
                 WHEN d.id IS NOT NULL THEN 'failed_again'
                 WHEN f.state = 'succeeded' THEN 'succeeded'
                 WHEN f.result ? 'coalesced_into' THEN 'coalesced'
                 WHEN f.state IS NOT NULL THEN 'cancelled'
                 ELSE 'unknown' END AS result,
                 CASE WHEN l.id IS NULL AND d.id IS NULL THEN (f.result ->> 'coalesced_into')::uuid END AS served_by
             FROM unsettled u
             LEFT JOIN jobs_live l ON l.id = u.job_id
             LEFT JOIN jobs_dead d ON d.id = u.job_id
             LEFT JOIN LATERAL (SELECT j.state, j.result FROM jobs_finished j WHERE j.id = u.job_id
                 ORDER BY j.finished_at DESC LIMIT 1) f ON l.id IS NULL AND d.id IS NULL
         )
         UPDATE operation_items i
         SET result = seen.result, served_by = coalesce(seen.served_by, i.served_by), decided_at = clock_timestamp()
         FROM seen WHERE i.operation_id = $1 AND i.position = seen.position AND i.result <> seen.result",
        id,
    )
    .execute(tx.conn())
    .await
    .doing("settling an operation's items")
    .map(|done| done.rows_affected())
}

/// How far the operation is, as `domain::wave` wants to know.
///
/// # Errors
/// As every statement.
pub async fn progress(tx: &mut Tx, id: Uuid) -> Result<Progress> {
    let row = sqlx::query!(
        r#"SELECT o.planned, o.taken, o.wave_from, o.wave_to,
               count(*) FILTER (WHERE c.current AND c.result IN ('skipped', 'coalesced', 'cancelled', 'unknown'))
                   AS "skipped!",
               count(*) FILTER (WHERE c.current AND c.result = 'retried') AS "open!",
               count(*) FILTER (WHERE c.current AND c.result IN ('failing', 'failed_again', 'parked')) AS "failed!",
               count(*) FILTER (WHERE c.result IN ('succeeded', 'failing', 'failed_again', 'parked')) AS "outcomes!",
               count(*) FILTER (WHERE c.result IN ('retried', 'failing')) AS "unsettled!"
           FROM operations o LEFT JOIN LATERAL (
               SELECT i.result, i.position >= o.wave_from AS current FROM operation_items i
               WHERE i.operation_id = o.id AND i.position <= o.taken) c ON true
           WHERE o.id = $1 GROUP BY o.id"#,
        id,
    )
    .fetch_one(tx.conn())
    .await
    .doing("measuring an operation")?;
    let of = |number: i32| u32::try_from(number).unwrap_or(0);
    let count = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
    Ok(Progress {
        planned: of(row.planned),
        taken: of(row.taken),
        wave_size: of(row.wave_to - row.wave_from + 1),
        wave_taken: of(row.taken - row.wave_from + 1),
        wave_skipped: count(row.skipped),
        wave_open: count(row.open),
        wave_failed: count(row.failed),
        outcomes: count(row.outcomes),
        unsettled: count(row.unsettled),
    })
}

/// Begins a wave of the next `size` items.
///
/// # Errors
/// As every statement.
pub async fn begin_wave(tx: &mut Tx, id: Uuid, size: u32) -> Result<()> {
    sqlx::query!(
        "UPDATE operations SET wave = wave + 1, wave_from = taken + 1, wave_to = least(taken + $2, planned),
             wave_at = clock_timestamp()
         WHERE id = $1",
        id,
        i32::try_from(size).unwrap_or(i32::MAX),
    )
    .execute(tx.conn())
    .await
    .doing("beginning a wave")
    .map(drop)
}

/// How long ago the current wave began.
///
/// # Errors
/// As every statement.
pub async fn wave_age(tx: &mut Tx, id: Uuid) -> Result<Duration> {
    let seconds = sqlx::query_scalar!(
        r#"SELECT coalesce(extract(epoch FROM clock_timestamp() - wave_at), 0)::float8 AS "age!"
           FROM operations WHERE id = $1"#,
        id,
    )
    .fetch_one(tx.conn())
    .await
    .doing("reading the age of a wave")?;
    Ok(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default())
}

/// Retries the next `count` items of the current wave, in the order of the plan.
///
/// # Errors
/// As every statement.
pub async fn release(tx: &mut Tx, company: CompanyId, id: Uuid, count: u32, by: &str) -> Result<()> {
    let taken = sqlx::query!(
        "WITH upto AS (
             UPDATE operations SET taken = least(taken + $2, wave_to) WHERE id = $1 RETURNING taken, wave
         )
         SELECT i.position, i.job_id, upto.taken, upto.wave FROM operation_items i, upto
         WHERE i.operation_id = $1 AND i.position <= upto.taken AND i.result = 'planned'
         ORDER BY i.position",
        id,
        i32::try_from(count).unwrap_or(i32::MAX),
    )
    .fetch_all(tx.conn())
    .await
    .doing("taking an operation's next items")?;
    let Some(last) = taken.last() else { return Ok(()) };
    let (upto, wave) = (last.taken, last.wave);
    let jobs: Vec<Uuid> = taken.iter().map(|item| item.job_id).collect();
    let (mut ids, mut served): (Vec<Uuid>, Vec<Option<Uuid>>) = (Vec::new(), Vec::new());
    for outcome in retry_many(tx, company, &jobs, by).await? {
        let (job, into) = match outcome {
            Retried::Queued(job) => (job, None),
            Retried::Coalesced { id, into } => (id, Some(into)),
        };
        ids.push(job);
        served.push(into);
    }
    sqlx::query!(
        "UPDATE operation_items i
         SET wave = $4, decided_at = clock_timestamp(), served_by = done.into_id, result = CASE
             WHEN done.id IS NULL THEN 'skipped' WHEN done.into_id IS NULL THEN 'retried' ELSE 'coalesced' END
         FROM operation_items own LEFT JOIN UNNEST($2::uuid[], $3::uuid[]) AS done (id, into_id)
             ON done.id = own.job_id
         WHERE own.operation_id = $1 AND own.position <= $5 AND own.result = 'planned'
             AND i.operation_id = own.operation_id AND i.position = own.position",
        id,
        &ids,
        &served as &[Option<Uuid>],
        wave,
        upto,
    )
    .execute(tx.conn())
    .await
    .doing("writing an operation's results")
    .map(drop)
}

/// How an operation was ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Jobs that are dead letters again.
    pub back: u64,
    /// Nothing that it retried is under way any more.
    pub settled: bool,
}

/// Ends an operation before its end, as `aborted` or `cancelled`: jobs that it retried and that wait (for a worker,
/// or for another attempt) are dead letters again.
///
/// # Errors
/// As every statement.
pub async fn stop(tx: &mut Tx, id: Uuid, state: &str, because: &str) -> Result<Stopped> {
    settle(tx, id).await?;
    let back = sqlx::query!(
        "WITH gone AS (
             DELETE FROM jobs_live l USING operation_items i
             WHERE i.operation_id = $1 AND i.result IN ('retried', 'failing') AND l.id = i.job_id
                 AND l.state IN ('scheduled', 'queued', 'retrying')
             RETURNING l.*, i.position
         ), kept AS (
             INSERT INTO jobs_dead (id, company_id, seq, kind, version, queue, payload, dedupe_key, resource_key,
                 priority, state, attempt, max_attempts, epoch, interruptions, run_at, queued_at, deadline,
                 attempt_seconds, started_at, checkpoint, progress_done, progress_total, progress_unit, errors,
                 error_fingerprint, first_failed_at, batch_id, requested_by, traceparent, tracestate, created_at,
                 updated_at, finished_at)
             SELECT id, company_id, seq, kind, version, queue, payload, dedupe_key, resource_key, priority, 'dead',
                 attempt, max_attempts, epoch + 1, interruptions, run_at, queued_at, deadline, attempt_seconds,
                 started_at, checkpoint, progress_done, progress_total, progress_unit, errors, error_fingerprint,
                 first_failed_at, batch_id, requested_by, traceparent, tracestate, created_at, clock_timestamp(),
                 clock_timestamp()
             FROM gone
         )
         UPDATE operation_items i
         SET result = CASE WHEN gone.attempt > 0 THEN 'failed_again' ELSE 'returned' END,
             decided_at = clock_timestamp()
         FROM gone WHERE i.operation_id = $1 AND i.position = gone.position",
        id,
    )
    .execute(tx.conn())
    .await
    .doing("putting retried jobs back")?;
    let settled = sqlx::query_scalar!(
        r#"UPDATE operations SET state = $2, ended_because = $3, ended_at = clock_timestamp(),
             settled_at = CASE WHEN EXISTS (SELECT FROM operation_items i WHERE i.operation_id = $1
                 AND i.result IN ('retried', 'failing')) THEN NULL ELSE clock_timestamp() END
         WHERE id = $1 RETURNING settled_at IS NOT NULL AS "settled!""#,
        id,
        state,
        because,
    )
    .fetch_one(tx.conn())
    .await
    .doing("ending an operation")?;
    Ok(Stopped { back: back.rows_affected(), settled })
}

/// The operation has come to its end.
///
/// # Errors
/// As every statement.
pub async fn finish(tx: &mut Tx, id: Uuid) -> Result<()> {
    sqlx::query!(
        "UPDATE operations SET state = 'succeeded', ended_at = clock_timestamp(), settled_at = clock_timestamp()
         WHERE id = $1",
        id,
    )
    .execute(tx.conn())
    .await
    .doing("finishing an operation")
    .map(drop)
}

/// Everything that an ended operation had retried has ended, too.
///
/// # Errors
/// As every statement.
pub async fn settled(tx: &mut Tx, id: Uuid) -> Result<()> {
    sqlx::query!(
        "UPDATE operations SET settled_at = clock_timestamp() WHERE id = $1 AND settled_at IS NULL",
        id
    )
    .execute(tx.conn())
    .await
    .doing("settling an operation")
    .map(drop)
}

/// Enqueues the next step, `after` from now on the database's clock; at most one waits per operation.
///
/// # Errors
/// As every statement.
pub async fn enqueue_step(
    tx: &mut Tx,
    company: CompanyId,
    id: Uuid,
    after: Duration,
    by: &str,
) -> Result<()> {
    let mut step = NewJob::new(company, &RetryDeadLetters { operation_id: id }, by)?
        .dedupe(format!("operation:{id}"))
        .priority(7);
    if !after.is_zero() {
        let at = sqlx::query_scalar!(
            r#"SELECT clock_timestamp() + make_interval(secs => $1) AS "at!""#,
            after.as_secs_f64()
        )
        .fetch_one(tx.conn())
        .await
        .doing("reading the database's clock")?;
        step = step.run_at(at);
    }
    enqueue(tx, step).await.map(drop)
}
