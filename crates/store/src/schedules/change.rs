//! Changes that people make.

use domain::ids::CompanyId;
use domain::schedule::Missed;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// What to change of a schedule; `None` keeps what is stored. Check expression and zone with
/// `domain::schedule::CronExpr::parse` first.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Cron expression of five or six fields.
    pub schedule: Option<String>,
    /// IANA zone.
    pub time_zone: Option<String>,
    /// What happens to occurrences that nobody was there for.
    pub missed_policy: Option<Missed>,
    /// Seconds, 0 to 86400.
    pub jitter_seconds: Option<i32>,
}

/// Occurrences that are past, are not decided and will not be, since the schedule changes now: one row says so,
/// at the first of them. There are some only when no scheduler was there in time.
pub(super) async fn close_pending(tx: &mut Tx, company: CompanyId, jobname: &str) -> Result<()> {
    sqlx::query!(
        "INSERT INTO schedule_runs (jobid, occurrence_at, company_id, status, reason, end_time, return_message)
         SELECT jobid, next_run_at, company_id, 'skipped', CASE WHEN active THEN 'changed' ELSE 'paused' END,
             clock_timestamp(), 'the schedule was changed before this occurrence and those that followed were decided'
         FROM schedules WHERE company_id = $1 AND jobname = $2 AND next_run_at <= clock_timestamp()
         ON CONFLICT (jobid, occurrence_at) DO NOTHING",
        company.uuid(),
        jobname,
    )
    .execute(tx.conn())
    .await
    .doing("closing a schedule's occurrences")
    .map(drop)
}

/// Takes the schedule for this transaction and says whether it is switched on; `None` when there is none.
async fn lock(tx: &mut Tx, company: CompanyId, jobname: &str) -> Result<Option<bool>> {
    sqlx::query_scalar!(
        "SELECT active FROM schedules WHERE company_id = $1 AND jobname = $2 FOR UPDATE",
        company.uuid(),
        jobname,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("locking a schedule")
}

/// Switches a schedule on or off; false when there is none. Switched on, it starts with the next occurrence by
/// the database's clock, also after that clock was put back.
///
/// # Errors
/// As every statement.
pub async fn set_active(
    tx: &mut Tx,
    company: CompanyId,
    jobname: &str,
    active: bool,
    by: &str,
) -> Result<bool> {
    set_active_because(tx, company, jobname, active, (by, None)).await
}

/// As [`set_active`], for the reason that someone gave.
///
/// # Errors
/// As every statement.
pub async fn set_active_because(
    tx: &mut Tx,
    company: CompanyId,
    jobname: &str,
    active: bool,
    (by, reason): (&str, Option<&str>),
) -> Result<bool> {
    let Some(before) = lock(tx, company, jobname).await? else { return Ok(false) };
    if active && !before {
        close_pending(tx, company, jobname).await?;
    }
    sqlx::query!(
        "UPDATE schedules SET active = $3, updated_by = $4, updated_reason = $5, updated_at = clock_timestamp(),
             decided_until = CASE WHEN $3 AND NOT active THEN clock_timestamp() ELSE decided_until END,
             next_run_at = CASE WHEN $3 AND NOT active THEN NULL ELSE next_run_at END
         WHERE company_id = $1 AND jobname = $2",
        company.uuid(),
        jobname,
        active,
        by,
        reason,
    )
    .execute(tx.conn())
    .await
    .doing("switching a schedule")?;
    Ok(true)
}

/// Gives a schedule another expression and zone; false when there is none.
///
/// # Errors
/// As every statement.
pub async fn set_schedule(
    tx: &mut Tx,
    company: CompanyId,
    jobname: &str,
    (expression, time_zone): (&str, &str),
    by: &str,
) -> Result<bool> {
    let change = Change {
        schedule: Some(expression.to_owned()),
        time_zone: Some(time_zone.to_owned()),
        ..Change::default()
    };
    update(tx, company, jobname, &change, (by, None)).await
}

/// Changes a schedule, on behalf of someone and for the reason that they gave; false when there is none. With
/// another expression or zone it starts anew with the next occurrence.
///
/// # Errors
/// As every statement.
pub async fn update(
    tx: &mut Tx,
    company: CompanyId,
    jobname: &str,
    change: &Change,
    (by, reason): (&str, Option<&str>),
) -> Result<bool> {
    if lock(tx, company, jobname).await?.is_none() {
        return Ok(false);
    }
    let anew = change.schedule.is_some() || change.time_zone.is_some();
    if anew {
        close_pending(tx, company, jobname).await?;
    }
    sqlx::query!(
        "UPDATE schedules SET schedule = coalesce($3, schedule), time_zone = coalesce($4, time_zone),
             missed_policy = coalesce($5, missed_policy), jitter_seconds = coalesce($6, jitter_seconds),
             updated_by = $7, updated_reason = $8, updated_at = clock_timestamp(),
             decided_until = CASE WHEN $9 THEN clock_timestamp() ELSE decided_until END,
             next_run_at = CASE WHEN $9 THEN NULL ELSE next_run_at END
         WHERE company_id = $1 AND jobname = $2",
        company.uuid(),
        jobname,
        change.schedule,
        change.time_zone,
        change.missed_policy.map(Missed::as_str),
        change.jitter_seconds,
        by,
        reason,
        anew,
    )
    .execute(tx.conn())
    .await
    .doing("changing a schedule")?;
    Ok(true)
}
