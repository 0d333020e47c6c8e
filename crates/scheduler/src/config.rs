//! Configuration, and the schedules that it asks for.

use std::time::Duration;

use broker::BrokerConfig;
use chassis::config::{Env, FromEnv};
use contracts::jobs::{
    CleanExpiredChannels, CleanQueue, JobPayload, PurgeFinished, PushCalendars, RenewChannels, RunRetention,
    SweepCalendars, SweepDrives, SweepMessages, Trigger, VerifyAudit,
};
use domain::schedule::{CronExpr, Missed};
use serde_json::{Value, json};
use store::DatabaseConfig;
use store::schedules::DefaultSchedule;

/// Days after which a tombstoned document row leaves.
const TOMBSTONE_DAYS: i32 = 30;
/// Days after which judged notifications and remembered answers leave.
const QUEUE_DAYS: i32 = 30;
/// A push channel that ends within this time is renewed at night.
const RENEW_HOURS: i32 = 36;
/// Days after its end that a push channel's row stays.
const ENDED_DAYS: i32 = 7;
/// Nightly jobs of all companies do not start in the same second.
const NIGHTLY_JITTER_SECONDS: i32 = 300;
/// The runbook's: every five minutes.
const PUSH_CALENDARS: &str = "*/5 * * * *";
/// Calendars and mailboxes of all companies are not asked for in the same second (provider facts A7: spread periodic work).
const CALENDAR_JITTER_SECONDS: i32 = 60;
/// Minutes of a day.
const DAY: u32 = 24 * 60;

/// Settings of the scheduler.
#[derive(Debug, Clone)]
pub struct SchedulerConfig {
    /// The database.
    pub database: DatabaseConfig,
    /// The broker.
    pub broker: BrokerConfig,
    /// Schedules that every company has: `ONEDRIVE_SYNC_SCHEDULE`, `ONEDRIVE_SYNC_TIME_ZONE`,
    /// `ONEDRIVE_SYNC_ENABLED`, `SYNC_INTERVAL_MINUTES`.
    pub schedules: Vec<DefaultSchedule>,
    /// `LOST_BELL_SECONDS` (default 20): a queued job whose message the broker lost is rung again after this and
    /// a few looks, 40 s in all.
    pub lost_after: Duration,
    /// `JOB_HISTORY_DAYS` (default 30): finished jobs, occurrences and notifications leave after this.
    pub history_days: i32,
    /// `ENABLE_REALTIME_SYNC` (default true): calendars are to have push channels, and are counted without.
    pub realtime: bool,
}

impl FromEnv for SchedulerConfig {
    fn from_env(env: &mut Env) -> Self {
        Self {
            database: DatabaseConfig::from_env(env),
            broker: BrokerConfig::from_env(env),
            schedules: schedules(env),
            lost_after: env.seconds("LOST_BELL_SECONDS", 20),
            history_days: history_days(env),
            realtime: env.flag("ENABLE_REALTIME_SYNC", true),
        }
    }
}

fn history_days(env: &mut Env) -> i32 {
    let days = env.parse("JOB_HISTORY_DAYS", 30_i32);
    if !(1..=3650).contains(&days) {
        env.fault("JOB_HISTORY_DAYS", format!("must be 1 to 3650 days, got `{days}`; correct it"));
    }
    days
}

fn schedules(env: &mut Env) -> Vec<DefaultSchedule> {
    let zone = env.string("ONEDRIVE_SYNC_TIME_ZONE", "UTC");
    let cron = env.string("ONEDRIVE_SYNC_SCHEDULE", "0 */6 * * *");
    if let Err(fault) = CronExpr::parse("0 0 * * *", &zone) {
        env.fault("ONEDRIVE_SYNC_TIME_ZONE", format!("cannot be used ({fault}); correct it"));
    }
    if let Err(fault) = CronExpr::parse(&cron, "UTC") {
        env.fault("ONEDRIVE_SYNC_SCHEDULE", format!("cannot be used ({fault}), got `{cron}`; correct it"));
    }
    let enabled = env.flag("ONEDRIVE_SYNC_ENABLED", true);
    let minutes = env.parse("SYNC_INTERVAL_MINUTES", 15_u32);
    let every = every_minutes(minutes).unwrap_or_else(|| {
        env.fault(
            "SYNC_INTERVAL_MINUTES",
            format!("must be 1 to 59, or whole hours up to {DAY}, got `{minutes}`; correct it"),
        );
        "*/15 * * * *".to_owned()
    });
    let sweep = |trigger| json!(SweepDrives { trigger });
    let mut onedrive = schedule("onedrive-sync", (&cron, &zone), SweepDrives::KIND, sweep(Trigger::Schedule));
    onedrive.active = enabled;
    "Brings every drive up to date (ONEDRIVE_SYNC_SCHEDULE).".clone_into(&mut onedrive.description);
    let mut floor = schedule("sweep-drives", (&every, "UTC"), SweepDrives::KIND, sweep(Trigger::Sweep));
    "Finds what notifications missed (SYNC_INTERVAL_MINUTES).".clone_into(&mut floor.description);
    let mut push = schedule(
        "process-google-calendar-sync-queue",
        (PUSH_CALENDARS, "UTC"),
        PushCalendars::KIND,
        json!(PushCalendars {}),
    );
    "Carries waiting app writes to Google that no wake-up carried.".clone_into(&mut push.description);
    let mut pull = schedule(
        "sync-google-calendar-incremental",
        (&every, "UTC"),
        SweepCalendars::KIND,
        json!(SweepCalendars { trigger: Trigger::Sweep }),
    );
    "Finds what Google's messages missed (SYNC_INTERVAL_MINUTES).".clone_into(&mut pull.description);
    let mut messages =
        schedule("sweep-messages", (&every, "UTC"), SweepMessages::KIND, json!(SweepMessages {}));
    "Finds the mail that notifications missed (SYNC_INTERVAL_MINUTES); repairs Teams once a day."
        .clone_into(&mut messages.description);
    for spread in [&mut push, &mut pull, &mut messages] {
        spread.jitter_seconds = CALENDAR_JITTER_SECONDS;
    }
    let mut all = vec![onedrive, floor, push, pull, messages];
    all.extend(nightly());
    all
}

/// The nightly jobs: names and times of the calendar seed, and the purge of what was deleted.
fn nightly() -> [DefaultSchedule; 6] {
    let nightly =
        |name: &str, cron: &str, command: &str, payload: Value, description: &str| DefaultSchedule {
            description: description.to_owned(),
            jitter_seconds: NIGHTLY_JITTER_SECONDS,
            ..schedule(name, (cron, "UTC"), command, payload)
        };
    [
        nightly(
            "purge-finished",
            "0 2 * * *",
            PurgeFinished::KIND,
            json!(PurgeFinished { tombstone_days: TOMBSTONE_DAYS }),
            "Removes documents that were deleted long ago.",
        ),
        nightly(
            "cleanup-google-calendar-sync-queue",
            "0 2 * * *",
            CleanQueue::KIND,
            json!(CleanQueue { days: QUEUE_DAYS }),
            "Queue clean-up: removes app writes that Google confirmed, judged notifications, remembered answers.",
        ),
        nightly(
            "renew-google-calendar-webhooks",
            "0 3 * * *",
            RenewChannels::KIND,
            json!(RenewChannels { within_hours: RENEW_HOURS }),
            "Channel renewal: renews push channels of calendars and drives that end soon.",
        ),
        nightly(
            "cleanup-expired-google-webhooks",
            "0 4 * * *",
            CleanExpiredChannels::KIND,
            json!(CleanExpiredChannels { days: ENDED_DAYS }),
            "Clean-up of ended channels: forgets push channels of calendars and drives that ended.",
        ),
        nightly(
            "audit-retention",
            "30 2 * * *",
            RunRetention::KIND,
            json!(RunRetention { dry_run: false }),
            "Archives audit records, and purges archived ones, as the organization's policies say.",
        ),
        nightly(
            "audit-verify",
            "30 4 * * *",
            VerifyAudit::KIND,
            json!(VerifyAudit { archives: false }),
            "Judges the audit trail: altered, missing, inserted or reordered records, broken checkpoints.",
        ),
    ]
}

fn schedule(name: &str, (cron, zone): (&str, &str), command: &str, payload: Value) -> DefaultSchedule {
    DefaultSchedule {
        jobname: name.to_owned(),
        description: String::new(),
        schedule: cron.to_owned(),
        time_zone: zone.to_owned(),
        command: command.to_owned(),
        payload,
        active: true,
        missed_policy: Missed::RunOnce,
        jitter_seconds: 0,
    }
}

/// A cron expression for an interval that divides the clock's dial, or nearly.
fn every_minutes(minutes: u32) -> Option<String> {
    match minutes {
        1..=59 => Some(format!("*/{minutes} * * * *")),
        DAY => Some("0 0 * * *".to_owned()),
        60..DAY if minutes.is_multiple_of(60) => Some(format!("0 */{} * * *", minutes / 60)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (Vec<DefaultSchedule>, usize) {
        let mut env = Env::from_pairs(pairs.iter().copied());
        let schedules = schedules(&mut env);
        (schedules, env.finish().map_or_else(|faults| faults.0.len(), |()| 0))
    }

    #[test]
    fn the_environment_names_the_schedules() {
        let (schedules, faults) =
            read(&[("SYNC_INTERVAL_MINUTES", "120"), ("ONEDRIVE_SYNC_ENABLED", "false")]);
        assert_eq!(faults, 0);
        let shown: Vec<_> =
            schedules.iter().map(|s| (s.jobname.as_str(), s.schedule.as_str(), s.active)).collect();
        assert_eq!(
            shown,
            [
                ("onedrive-sync", "0 */6 * * *", false),
                ("sweep-drives", "0 */2 * * *", true),
                ("process-google-calendar-sync-queue", "*/5 * * * *", true),
                ("sync-google-calendar-incremental", "0 */2 * * *", true),
                ("sweep-messages", "0 */2 * * *", true),
                ("purge-finished", "0 2 * * *", true),
                ("cleanup-google-calendar-sync-queue", "0 2 * * *", true),
                ("renew-google-calendar-webhooks", "0 3 * * *", true),
                ("cleanup-expired-google-webhooks", "0 4 * * *", true),
                ("audit-retention", "30 2 * * *", true),
                ("audit-verify", "30 4 * * *", true),
            ]
        );
        for schedule in schedules {
            CronExpr::parse(&schedule.schedule, &schedule.time_zone).expect("a schedule");
            let job = store::schedules::job_of(&stored(schedule), "test").expect("a job that can be written");
            job.expect("a kind that schedules may enqueue, with a payload of its own");
        }
    }

    /// As the table has it.
    fn stored(default: DefaultSchedule) -> store::schedules::Schedule {
        let epoch = chrono::DateTime::UNIX_EPOCH;
        store::schedules::Schedule {
            jobid: 1,
            company: domain::ids::CompanyId(uuid::Uuid::nil()),
            jobname: default.jobname,
            schedule: default.schedule,
            time_zone: default.time_zone,
            command: default.command,
            payload: default.payload,
            active: default.active,
            missed_policy: default.missed_policy,
            jitter_seconds: default.jitter_seconds,
            description: default.description,
            decided_until: epoch,
            next_run_at: None,
            updated_by: None,
            updated_reason: None,
            updated_at: epoch,
        }
    }

    #[test]
    fn what_cannot_be_used_is_a_fault_each() {
        let wrong = [
            ("SYNC_INTERVAL_MINUTES", "90"),
            ("ONEDRIVE_SYNC_SCHEDULE", "every day"),
            ("ONEDRIVE_SYNC_TIME_ZONE", "Mars/Base"),
        ];
        assert_eq!(read(&wrong).1, 3);
    }
}
