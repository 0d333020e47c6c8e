//! Schedules and occurrences as people read them.

use chrono::{DateTime, Utc};
use domain::schedule::CronExpr;
use serde::Serialize;
use store::schedules::{Schedule, ScheduleRun};
use utoipa::ToSchema;
use uuid::Uuid;

/// Run times that are shown.
const SHOWN: usize = 3;

/// Whether a paused schedule shows when it would run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upcoming {
    /// It shows nothing.
    WhenActive,
    /// It shows when it would, for whoever changes it.
    Always,
}

/// A schedule.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScheduleBody {
    /// Such as `onedrive-sync`.
    name: String,
    description: String,
    /// Cron expression of five fields, or six with seconds first.
    schedule: String,
    /// IANA zone in which the expression is read.
    time_zone: String,
    /// Paused when false.
    active: bool,
    /// What happens to runs that nobody was there for: `run_once` or `skip`.
    missed_policy: &'static str,
    /// A run starts up to this many seconds after its time.
    jitter_seconds: i32,
    /// Kind of the jobs.
    kind: String,
    /// The last occurrence that ran.
    last_run: Option<RunBody>,
    /// The next three times; empty while it is paused.
    next_runs: Vec<DateTime<Utc>>,
    /// A user, or `environment`.
    updated_by: Option<String>,
    /// What the user gave as the reason.
    updated_reason: Option<String>,
    updated_at: DateTime<Utc>,
}

impl ScheduleBody {
    /// A schedule with its last run.
    pub fn new(
        schedule: Schedule,
        last: Option<ScheduleRun>,
        now: DateTime<Utc>,
        upcoming: Upcoming,
    ) -> Self {
        let next_runs = if schedule.active || upcoming == Upcoming::Always {
            // Decided is decided, also after the clock went back.
            let from = now.max(schedule.decided_until);
            CronExpr::parse(&schedule.schedule, &schedule.time_zone)
                .map(|expression| expression.occurrences(from, DateTime::<Utc>::MAX_UTC, SHOWN))
                .unwrap_or_default()
        } else {
            Vec::new()
        };
        Self {
            name: schedule.jobname,
            description: schedule.description,
            schedule: schedule.schedule,
            time_zone: schedule.time_zone,
            active: schedule.active,
            missed_policy: schedule.missed_policy.as_str(),
            jitter_seconds: schedule.jitter_seconds,
            kind: schedule.command,
            last_run: last.map(RunBody::from),
            next_runs,
            updated_by: schedule.updated_by,
            updated_reason: schedule.updated_reason,
            updated_at: schedule.updated_at,
        }
    }
}

/// What became of an occurrence.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OccurrenceBody)]
pub struct RunBody {
    /// The time that the schedule names, or the moment of a manual run.
    occurrence_at: DateTime<Utc>,
    /// `enqueued` (its job is not over), `succeeded`, `failed`, `cancelled` or `skipped`.
    status: String,
    /// Why it ran (`due`, `catch_up`, `dst_gap`, `manual`) or did not (`missed`, `superseded`, `paused`,
    /// `overlap`, `changed`, `invalid`).
    reason: Option<String>,
    /// Occurrences that the row stands for; more than one after a long outage.
    covers: i64,
    job_id: Option<Uuid>,
    /// State of the job now, while it is kept.
    job_state: Option<String>,
    start_time: DateTime<Utc>,
    end_time: Option<DateTime<Utc>>,
    return_message: Option<String>,
}

impl From<ScheduleRun> for RunBody {
    fn from(run: ScheduleRun) -> Self {
        // The row is settled a little later; what the job says now counts.
        let status = match run.job_state.as_deref() {
            Some("succeeded") if run.status != "skipped" => "succeeded".to_owned(),
            Some("dead") if run.status != "skipped" => "failed".to_owned(),
            Some("cancelled") if run.status != "skipped" => "cancelled".to_owned(),
            // A failed job that was taken up again.
            Some(_) if run.status == "failed" => "enqueued".to_owned(),
            _ => run.status,
        };
        Self {
            occurrence_at: run.occurrence_at,
            status,
            reason: run.reason,
            covers: run.covers,
            job_id: run.job_id,
            job_state: run.job_state,
            start_time: run.start_time,
            end_time: run.end_time,
            return_message: run.return_message,
        }
    }
}
