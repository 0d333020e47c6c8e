//! Schedules that the environment asks for.

use domain::ids::CompanyId;
use domain::schedule::Missed;
use serde_json::{Value, json};

use super::change::close_pending;
use crate::error::{Doing, Result};
use crate::pool::Tx;

/// What the environment says about a schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct DefaultSchedule {
    /// Name, unique in a company.
    pub jobname: String,
    /// What it is for.
    pub description: String,
    /// Cron expression.
    pub schedule: String,
    /// IANA zone.
    pub time_zone: String,
    /// Job kind.
    pub command: String,
    /// Payload of the job.
    pub payload: Value,
    /// Whether it is on.
    pub active: bool,
    /// What happens to missed occurrences.
    pub missed_policy: Missed,
    /// A job starts up to this many seconds after its occurrence.
    pub jitter_seconds: i32,
}

impl DefaultSchedule {
    /// What is remembered of it, to see what a rollout changes.
    fn environment(&self) -> Value {
        json!({
            "schedule": self.schedule, "time_zone": self.time_zone, "active": self.active,
            "command": self.command, "payload": self.payload, "missed_policy": self.missed_policy,
            "jitter_seconds": self.jitter_seconds, "description": self.description,
        })
    }
}

/// Writes the schedule if the company has none of that name, and applies what the environment says now
/// differently from the last time it was applied, value by value: a rollout with another value wins over an
/// operator's change, a restart with the same value leaves it alone. True when something was written.
///
/// # Errors
/// As every statement.
pub async fn ensure(tx: &mut Tx, company: CompanyId, default: &DefaultSchedule) -> Result<bool> {
    let environment = default.environment();
    let created = sqlx::query!(
        "INSERT INTO schedules (company_id, jobname, schedule, time_zone, command, payload, active, missed_policy,
             jitter_seconds, description, environment, updated_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'environment')
         ON CONFLICT ON CONSTRAINT schedules_name_unique DO NOTHING",
        company.uuid(),
        default.jobname,
        default.schedule,
        default.time_zone,
        default.command,
        default.payload,
        default.active,
        default.missed_policy.as_str(),
        default.jitter_seconds,
        default.description,
        environment,
    )
    .execute(tx.conn())
    .await
    .doing("ensuring a schedule")?;
    if created.rows_affected() > 0 {
        return Ok(true);
    }
    let applied = sqlx::query_scalar!(
        "SELECT environment FROM schedules WHERE company_id = $1 AND jobname = $2 FOR UPDATE",
        company.uuid(),
        default.jobname,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading what the environment said")?;
    let Some(applied) = applied.filter(|applied| *applied != environment) else { return Ok(false) };
    let differs = |name: &str| applied[name] != environment[name];
    // Switched on or read differently, it starts anew; otherwise missed occurrences are still made up for.
    let anew = differs("schedule") || differs("time_zone") || (differs("active") && default.active);
    if anew {
        close_pending(tx, company, &default.jobname).await?;
    }
    sqlx::query!(
        "UPDATE schedules SET
             schedule = CASE WHEN $3 THEN $4 ELSE schedule END, time_zone = CASE WHEN $5 THEN $6 ELSE time_zone END,
             active = CASE WHEN $7 THEN $8 ELSE active END,
             missed_policy = CASE WHEN $9 THEN $10 ELSE missed_policy END,
             jitter_seconds = CASE WHEN $11 THEN $12 ELSE jitter_seconds END,
             command = $13, payload = $14, description = $15, environment = $16,
             updated_by = 'environment', updated_reason = NULL, updated_at = clock_timestamp(),
             decided_until = CASE WHEN $17 THEN clock_timestamp() ELSE decided_until END,
             next_run_at = CASE WHEN $17 THEN NULL ELSE next_run_at END
         WHERE company_id = $1 AND jobname = $2",
        company.uuid(),
        default.jobname,
        differs("schedule"),
        default.schedule,
        differs("time_zone"),
        default.time_zone,
        differs("active"),
        default.active,
        differs("missed_policy"),
        default.missed_policy.as_str(),
        differs("jitter_seconds"),
        default.jitter_seconds,
        default.command,
        default.payload,
        default.description,
        environment,
        anew,
    )
    .execute(tx.conn())
    .await
    .doing("applying the environment to a schedule")?;
    Ok(true)
}
