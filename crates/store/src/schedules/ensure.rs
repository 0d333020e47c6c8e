//! Schedules that the environment asks for.

use domain::ids::CompanyId;
use domain::schedule::Missed;
use serde_json::{Value, json};

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// What the environment says about a schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct DefaultSchedule {
    /// Name, unique in a company.
    pub jobname: String,
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
}

/// Writes the schedule if the company has none of that name, and applies what the environment says now
/// differently from the last time it was applied, value by value: a rollout with another value wins over an
/// operator's change, a restart with the same value leaves it alone. True when something was written.
///
/// # Errors
/// As every statement.
pub async fn ensure(tx: &mut Tx, company: CompanyId, default: &DefaultSchedule) -> Result<bool> {
    let environment = json!({
        "schedule": default.schedule, "time_zone": default.time_zone, "active": default.active,
        "command": default.command, "payload": default.payload,
    });
    sqlx::query!(
        "INSERT INTO schedules AS s (company_id, jobname, schedule, time_zone, command, payload, active,
             missed_policy, environment, updated_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'environment')
         ON CONFLICT ON CONSTRAINT schedules_name_unique DO UPDATE SET
             schedule = CASE WHEN s.environment -> 'schedule' IS DISTINCT FROM excluded.environment -> 'schedule'
                 THEN excluded.schedule ELSE s.schedule END,
             time_zone = CASE WHEN s.environment -> 'time_zone' IS DISTINCT FROM excluded.environment -> 'time_zone'
                 THEN excluded.time_zone ELSE s.time_zone END,
             active = CASE WHEN s.environment -> 'active' IS DISTINCT FROM excluded.environment -> 'active'
                 THEN excluded.active ELSE s.active END,
             command = excluded.command, payload = excluded.payload, environment = excluded.environment,
             missed_policy = excluded.missed_policy, updated_by = 'environment', updated_at = clock_timestamp(),
             decided_until = greatest(s.decided_until, clock_timestamp()), next_run_at = NULL
         WHERE s.environment IS DISTINCT FROM excluded.environment",
        company.uuid(),
        default.jobname,
        default.schedule,
        default.time_zone,
        default.command,
        default.payload,
        default.active,
        default.missed_policy.as_str(),
        environment,
    )
    .execute(tx.conn())
    .await
    .doing("ensuring a schedule")
    .map(|done| done.rows_affected() > 0)
}
