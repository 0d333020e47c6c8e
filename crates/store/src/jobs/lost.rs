//! Jobs whose message the broker lost: a purged queue, a wiped broker. Call these in a dispatch transaction.
//!
//! A queued job waits for one of three things: its row in the outbox, the resource that another job holds
//! (whose end rings it), or its message at the broker. Those of the last kind were *rung*; a queue of the
//! broker that holds fewer messages than jobs were rung has lost some.

use chrono::{DateTime, Utc};

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// Rung jobs of one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rung {
    /// The queue, as in `jobs.queue`.
    pub queue: String,
    /// Queued jobs that wait for nothing but their message.
    pub rung: i64,
    /// Those among them that have waited longer than asked about.
    pub late: i64,
}

/// A look at the queued jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RungLook {
    /// By queue; empty when no job is late.
    pub queues: Vec<Rung>,
    /// The next look may begin here: nothing that is queued now is older.
    pub oldest: DateTime<Utc>,
}

/// Counts rung jobs queued since `from`, when any has been queued for longer than `seconds`.
///
/// # Errors
/// As every statement.
pub async fn rung(tx: &mut Tx, from: DateTime<Utc>, seconds: f64) -> Result<RungLook> {
    let look = sqlx::query!(
        r#"SELECT q.oldest AS "oldest?", q.oldest < clock_timestamp() - make_interval(secs => $2) AS late,
               clock_timestamp() - interval '10 seconds' AS "recent!"
           FROM (SELECT min(queued_at) AS oldest FROM jobs_live WHERE state = 'queued' AND queued_at >= $1) q"#,
        from,
        seconds,
    )
    .fetch_one(tx.conn())
    .await
    .doing("looking for late jobs")?;
    // Whoever enqueued in a transaction that is still open wrote an earlier time than its commit.
    let oldest = look.oldest.map_or(look.recent, |oldest| oldest.min(look.recent));
    if look.late != Some(true) {
        return Ok(RungLook { queues: Vec::new(), oldest });
    }
    let queues = sqlx::query_as!(
        Rung,
        r#"SELECT j.queue, count(*) AS "rung!",
               count(*) FILTER (WHERE j.queued_at < clock_timestamp() - make_interval(secs => $2)) AS "late!"
           FROM jobs_live j
           WHERE j.state = 'queued' AND j.queued_at >= $1
               AND NOT EXISTS (SELECT FROM outbox o WHERE o.job_id = j.id)
               AND (j.resource_key IS NULL OR (
                   NOT EXISTS (SELECT FROM resource_leases r WHERE r.company_id = j.company_id
                       AND r.resource_key = j.resource_key AND r.expires_at > clock_timestamp())
                   AND j.id = (SELECT h.id FROM jobs_live h WHERE h.company_id = j.company_id
                       AND h.resource_key = j.resource_key AND h.state = 'queued'
                       ORDER BY h.priority DESC, h.seq LIMIT 1)))
           GROUP BY j.queue"#,
        from,
        seconds,
    )
    .fetch_all(tx.conn())
    .await
    .doing("counting rung jobs")?;
    Ok(RungLook { queues, oldest })
}

/// Rings the longest waiting of the rung jobs of a queue again, at most `limit` and only those that have
/// waited for `seconds`. Returns how many.
///
/// # Errors
/// As every statement.
pub async fn ring_again(
    tx: &mut Tx,
    queue: &str,
    from: DateTime<Utc>,
    seconds: f64,
    limit: i64,
) -> Result<u64> {
    sqlx::query!(
        "INSERT INTO outbox (company_id, job_id, epoch, routing_key, queue, priority, traceparent, tracestate)
         SELECT company_id, id, epoch, kind, queue, priority, traceparent, tracestate FROM jobs_live j
         WHERE j.state = 'queued' AND j.queue = $1 AND j.queued_at >= $2
             AND j.queued_at < clock_timestamp() - make_interval(secs => $3)
             AND NOT EXISTS (SELECT FROM outbox o WHERE o.job_id = j.id)
             AND (j.resource_key IS NULL OR (
                 NOT EXISTS (SELECT FROM resource_leases r WHERE r.company_id = j.company_id
                     AND r.resource_key = j.resource_key AND r.expires_at > clock_timestamp())
                 AND j.id = (SELECT h.id FROM jobs_live h WHERE h.company_id = j.company_id
                     AND h.resource_key = j.resource_key AND h.state = 'queued'
                     ORDER BY h.priority DESC, h.seq LIMIT 1)))
         ORDER BY j.queued_at LIMIT $4 FOR UPDATE OF j SKIP LOCKED",
        queue,
        from,
        seconds,
        limit,
    )
    .execute(tx.conn())
    .await
    .doing("ringing lost jobs again")
    .map(|done| done.rows_affected())
}
