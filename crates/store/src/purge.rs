//! What leaves for good, of one company and of all. Every function removes at most `limit` rows of a table and says
//! how many; call it until it says 0.

use domain::ids::CompanyId;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// Removes the company's tombstoned documents, index rows and messages that are older than `days`.
///
/// # Errors
/// As every statement.
pub async fn tombstones(tx: &mut Tx, company: CompanyId, days: i32, limit: i64) -> Result<u64> {
    let row = sqlx::query!(
        r#"WITH line AS (SELECT clock_timestamp() - make_interval(days => $2) AS at),
        documents_gone AS (
            DELETE FROM documents WHERE id IN (SELECT id FROM documents, line
                WHERE company_id = $1 AND deleted_at < line.at LIMIT $3) RETURNING 1
        ), items_gone AS (
            DELETE FROM drive_items i USING (SELECT drive_no, item_id FROM drive_items, line
                WHERE company_id = $1 AND deleted_at < line.at LIMIT $3) old
            WHERE i.drive_no = old.drive_no AND i.item_id = old.item_id RETURNING 1
        ), messages_gone AS (
            DELETE FROM messages WHERE id IN (SELECT id FROM messages, line
                WHERE company_id = $1 AND deleted_at < line.at LIMIT $3) RETURNING 1
        )
        SELECT (SELECT count(*) FROM documents_gone) + (SELECT count(*) FROM items_gone)
            + (SELECT count(*) FROM messages_gone) AS "gone!""#,
        company.uuid(),
        days,
        limit,
    )
    .fetch_one(tx.conn())
    .await
    .doing("purging tombstones")?;
    Ok(u64::try_from(row.gone).unwrap_or(0))
}

/// Removes the company's judged notifications and remembered answers that are older than `days`.
///
/// # Errors
/// As every statement.
pub async fn queue(tx: &mut Tx, company: CompanyId, days: i32, limit: i64) -> Result<u64> {
    let row = sqlx::query!(
        r#"WITH line AS (SELECT clock_timestamp() - make_interval(days => $2) AS at),
        receipts_gone AS (
            DELETE FROM webhook_receipts WHERE id IN (SELECT id FROM webhook_receipts, line
                WHERE company_id = $1 AND received_at < line.at LIMIT $3) RETURNING 1
        ), keys_gone AS (
            DELETE FROM idempotency_keys WHERE (company_id, key) IN (SELECT company_id, key FROM idempotency_keys, line
                WHERE company_id = $1 AND created_at < line.at LIMIT $3) RETURNING 1
        )
        SELECT (SELECT count(*) FROM receipts_gone) + (SELECT count(*) FROM keys_gone) AS "gone!""#,
        company.uuid(),
        days,
        limit,
    )
    .fetch_one(tx.conn())
    .await
    .doing("cleaning the queue")?;
    Ok(u64::try_from(row.gone).unwrap_or(0))
}

/// Removes the company's finished runs of syncs that are older than `days`, but the newest of each source.
///
/// # Errors
/// As every statement.
pub async fn sync_history(tx: &mut Tx, company: CompanyId, days: i32, limit: i64) -> Result<u64> {
    sqlx::query!(
        "DELETE FROM sync_history WHERE id IN (
             SELECT h.id FROM sync_history h
             WHERE h.company_id = $1 AND h.finished_at < clock_timestamp() - make_interval(days => $2)
                 AND EXISTS (SELECT FROM sync_history newer WHERE newer.company_id = h.company_id
                     AND newer.source = h.source AND newer.started_at > h.started_at)
             LIMIT $3)",
        company.uuid(),
        days,
        limit,
    )
    .execute(tx.conn())
    .await
    .doing("purging the history of syncs")
    .map(|done| done.rows_affected())
}

/// Removes the company's items in quarantine that were resolved more than `days` ago. What is open stays.
///
/// # Errors
/// As every statement.
pub async fn quarantine(tx: &mut Tx, company: CompanyId, days: i32, limit: i64) -> Result<u64> {
    sqlx::query!(
        "DELETE FROM sync_quarantine WHERE id IN (
             SELECT id FROM sync_quarantine WHERE company_id = $1 AND state = 'resolved'
                 AND resolved_at < clock_timestamp() - make_interval(days => $2)
             LIMIT $3)",
        company.uuid(),
        days,
        limit,
    )
    .execute(tx.conn())
    .await
    .doing("purging resolved quarantine")
    .map(|done| done.rows_affected())
}

/// Removes the company's push subscriptions that ended more than `days` ago.
///
/// # Errors
/// As every statement.
pub async fn ended_subscriptions(tx: &mut Tx, company: CompanyId, days: i32, limit: i64) -> Result<u64> {
    sqlx::query!(
        "DELETE FROM microsoft_subscriptions WHERE id IN (
             SELECT id FROM microsoft_subscriptions
             WHERE company_id = $1 AND (
                 (state = 'active' AND expires_at < clock_timestamp() - make_interval(days => $2))
                 OR (state <> 'active' AND updated_at < clock_timestamp() - make_interval(days => $2)))
             LIMIT $3)",
        company.uuid(),
        days,
        limit,
    )
    .execute(tx.conn())
    .await
    .doing("forgetting ended subscriptions")
    .map(|done| done.rows_affected())
}

/// What has a history of all companies, removed by age in the dispatch role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aged {
    /// Finished jobs outside the weekly partitions.
    FinishedJobs,
    /// Occurrences of schedules, but the newest of each.
    ScheduleRuns,
    /// Notifications.
    Receipts,
    /// Messages that no worker could claim.
    DeadMessages,
}

impl Aged {
    /// All of them.
    pub const ALL: [Aged; 4] = [Aged::FinishedJobs, Aged::ScheduleRuns, Aged::Receipts, Aged::DeadMessages];

    /// The table.
    pub const fn table(self) -> &'static str {
        match self {
            Aged::FinishedJobs => "jobs_finished_rest",
            Aged::ScheduleRuns => "schedule_runs",
            Aged::Receipts => "webhook_receipts",
            Aged::DeadMessages => "broker_dead_letters",
        }
    }
}

/// Removes rows of all companies that are older than `days`. In a dispatch transaction.
///
/// # Errors
/// As every statement.
pub async fn aged(tx: &mut Tx, what: Aged, days: i32, limit: i64) -> Result<u64> {
    let done = match what {
        Aged::FinishedJobs => {
            sqlx::query!(
                "DELETE FROM jobs_finished_rest WHERE ctid = ANY (ARRAY (
                     SELECT ctid FROM jobs_finished_rest
                     WHERE finished_at < clock_timestamp() - make_interval(days => $1)
                     ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
                days,
                limit,
            )
            .execute(tx.conn())
            .await
        }
        Aged::ScheduleRuns => {
            sqlx::query!(
                "DELETE FROM schedule_runs WHERE ctid = ANY (ARRAY (
                     SELECT r.ctid FROM schedule_runs r
                     WHERE r.start_time < clock_timestamp() - make_interval(days => $1) AND EXISTS (
                         SELECT FROM schedule_runs later
                         WHERE later.jobid = r.jobid AND later.occurrence_at > r.occurrence_at)
                     ORDER BY r.start_time LIMIT $2 FOR UPDATE OF r SKIP LOCKED))",
                days,
                limit,
            )
            .execute(tx.conn())
            .await
        }
        Aged::Receipts => {
            sqlx::query!(
                "DELETE FROM webhook_receipts WHERE ctid = ANY (ARRAY (
                     SELECT ctid FROM webhook_receipts
                     WHERE received_at < clock_timestamp() - make_interval(days => $1)
                     ORDER BY received_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
                days,
                limit,
            )
            .execute(tx.conn())
            .await
        }
        Aged::DeadMessages => {
            sqlx::query!(
                "DELETE FROM broker_dead_letters WHERE ctid = ANY (ARRAY (
                     SELECT ctid FROM broker_dead_letters
                     WHERE archived_at < clock_timestamp() - make_interval(days => $1)
                     ORDER BY archived_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
                days,
                limit,
            )
            .execute(tx.conn())
            .await
        }
    };
    done.doing("purging history").map(|done| done.rows_affected())
}

/// One step of making the weekly partitions of finished jobs, up to `weeks` ahead; what it did, `None` when nothing
/// is left to do. In a dispatch transaction of its own.
///
/// # Errors
/// As every statement; a lock that is not had within 300 ms is [`crate::StoreError::Unavailable`] or such: try again.
pub async fn extend_history(tx: &mut Tx, weeks: i32) -> Result<Option<String>> {
    sqlx::query_scalar!("SELECT extend_job_history($1)", weeks)
        .fetch_one(tx.conn())
        .await
        .doing("making a partition of finished jobs")
}

/// Drops the oldest weekly partition whose jobs all finished more than `days` ago; its name, `None` when there is
/// none. In a dispatch transaction of its own.
///
/// # Errors
/// As [`extend_history`].
pub async fn drop_history(tx: &mut Tx, days: i32) -> Result<Option<String>> {
    sqlx::query_scalar!("SELECT drop_job_history($1)", days)
        .fetch_one(tx.conn())
        .await
        .doing("dropping a partition of finished jobs")
}
