//! Messages that the broker gave up, and what that means for their jobs. Call these in a dispatch transaction.

use domain::ids::CompanyId;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// A message that nobody could claim, as the archivist found it.
#[derive(Debug, Clone)]
pub struct DeadMessage {
    /// Id of the row; the same for the same message, so that archiving twice keeps one.
    pub id: Uuid,
    /// Owner, when the body says.
    pub company: Option<Uuid>,
    /// Job, when the body says.
    pub job: Option<Uuid>,
    /// Routing key.
    pub routing_key: String,
    /// Why the broker gave it up, or why it cannot be read.
    pub reason: String,
    /// AMQP headers.
    pub headers: Value,
    /// Body.
    pub body: Vec<u8>,
}

/// Keeps a message that nobody could claim, with its body and headers; false when it was kept before.
///
/// # Errors
/// As every statement.
pub async fn archive_broker_dead_letter(tx: &mut Tx, message: &DeadMessage) -> Result<bool> {
    sqlx::query!(
        "INSERT INTO broker_dead_letters (id, company_id, job_id, routing_key, reason, headers, body)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING",
        message.id,
        message.company,
        message.job,
        message.routing_key,
        message.reason,
        message.headers,
        message.body,
    )
    .execute(tx.conn())
    .await
    .doing("archiving a dead message")
    .map(|done| done.rows_affected() > 0)
}

/// Those of these jobs that still wait for a message of this epoch.
///
/// # Errors
/// As every statement.
pub async fn still_waiting(tx: &mut Tx, bells: &[(Uuid, i64)]) -> Result<Vec<Uuid>> {
    let (ids, epochs): (Vec<Uuid>, Vec<i64>) = bells.iter().copied().unzip();
    sqlx::query_scalar!(
        "SELECT j.id FROM UNNEST($1::uuid[], $2::bigint[]) AS bell (id, epoch)
         JOIN jobs_live j ON j.id = bell.id AND j.epoch = bell.epoch AND j.state = 'queued'",
        &ids,
        &epochs,
    )
    .fetch_all(tx.conn())
    .await
    .doing("finding the jobs of a dead message")
}

/// What followed for the job of a message that the broker gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterDeath {
    /// A fresh message follows: the deaths so far may be those of a neighbour in the same prefetch.
    RungAgain,
    /// It died too often: the job is a dead letter.
    Buried,
    /// The job is not waiting for this message: it runs, ended, or has another on its way.
    Nothing,
}

/// Rings the job of a dead message again, or buries it once `limit` of its messages have died.
///
/// # Errors
/// As every statement.
pub async fn after_death(
    tx: &mut Tx,
    company: CompanyId,
    job: Uuid,
    epoch: i64,
    limit: i64,
) -> Result<AfterDeath> {
    let waiting = sqlx::query!(
        r#"SELECT resource_key, attempt,
               (SELECT count(*) FROM broker_dead_letters d WHERE d.job_id = $1
                   AND d.archived_at >= j.created_at) AS "deaths!",
               EXISTS (SELECT FROM outbox o WHERE o.job_id = $1) AS "rings!"
           FROM jobs_live j WHERE id = $1 AND company_id = $2 AND epoch = $3 AND state = 'queued' FOR UPDATE"#,
        job,
        company.uuid(),
        epoch,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("finding the job of a dead message")?;
    let Some(waiting) = waiting else { return Ok(AfterDeath::Nothing) };
    if waiting.deaths >= limit {
        bury(tx, job, waiting.attempt, waiting.deaths).await?;
        if let Some(resource) = &waiting.resource_key {
            sqlx::query!("SELECT release_resource($1, $2, $3)", company.uuid(), resource, job)
                .execute(tx.conn())
                .await
                .doing("ringing the next in line")?;
        }
        return Ok(AfterDeath::Buried);
    }
    if waiting.rings {
        return Ok(AfterDeath::Nothing);
    }
    sqlx::query!(
        // Refused once: it gets a message of its own.
        "INSERT INTO outbox
             (company_id, job_id, epoch, routing_key, queue, priority, traceparent, tracestate, refusals)
         SELECT company_id, id, epoch, kind, queue, priority, traceparent, tracestate, 1 FROM jobs_live
         WHERE id = $1",
        job,
    )
    .execute(tx.conn())
    .await
    .doing("ringing the job of a dead message again")?;
    Ok(AfterDeath::RungAgain)
}

async fn bury(tx: &mut Tx, job: Uuid, attempt: i32, deaths: i64) -> Result<()> {
    let entry = json!([{
        "attempt": attempt, "code": "delivery_limit", "fingerprint": "delivery_limit", "chain": [],
        "message": format!("its message killed or exceeded its consumers (delivery limit), {deaths} times; the \
            messages are kept in broker_dead_letters"),
    }]);
    sqlx::query!(
        r#"WITH gone AS (DELETE FROM jobs_live WHERE id = $1 RETURNING *)
        INSERT INTO jobs_dead (id, company_id, seq, kind, version, queue, payload, dedupe_key, resource_key,
            priority, state, attempt, max_attempts, epoch, interruptions, run_at, queued_at, deadline,
            attempt_seconds, started_at, checkpoint, progress_done, progress_total, progress_unit, errors,
            error_fingerprint, first_failed_at, batch_id, requested_by, traceparent, tracestate, created_at,
            updated_at, finished_at)
        SELECT id, company_id, seq, kind, version, queue, payload, dedupe_key, resource_key, priority, 'dead',
            attempt, max_attempts, epoch, interruptions, run_at, queued_at, deadline, attempt_seconds,
            started_at, checkpoint, progress_done, progress_total, progress_unit,
            CASE WHEN jsonb_array_length(errors) >= 20 THEN errors - 0 ELSE errors END || $2::jsonb,
            'delivery_limit', coalesce(first_failed_at, clock_timestamp()), batch_id, requested_by, traceparent,
            tracestate, created_at, clock_timestamp(), clock_timestamp()
        FROM gone"#,
        job,
        entry,
    )
    .execute(tx.conn())
    .await
    .doing("burying a job whose messages died")
    .map(drop)
}
