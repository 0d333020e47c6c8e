//! Configuration, and the schedules that it asks for.

use std::time::Duration;

use broker::BrokerConfig;
use chassis::config::{Env, FromEnv};
use contracts::jobs::{JobPayload, PurgeFinished, SweepDrives, Trigger};
use domain::schedule::{CronExpr, Missed};
use serde_json::{Value, json};
use store::DatabaseConfig;
use store::schedules::DefaultSchedule;

/// Days after which a tombstoned document row leaves.
const TOMBSTONE_DAYS: i32 = 30;
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
    /// `LOST_BELL_SECONDS` (default 30): a queued job without a message on its way is rung again after this.
    pub lost_after: Duration,
}

impl FromEnv for SchedulerConfig {
    fn from_env(env: &mut Env) -> Self {
        Self {
            database: DatabaseConfig::from_env(env),
            broker: BrokerConfig::from_env(env),
            schedules: schedules(env),
            lost_after: env.seconds("LOST_BELL_SECONDS", 30),
        }
    }
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
    vec![
        schedule("onedrive-sync", (&cron, &zone), SweepDrives::KIND, sweep(Trigger::Schedule), enabled),
        schedule("sweep-drives", (&every, "UTC"), SweepDrives::KIND, sweep(Trigger::Sweep), true),
        schedule(
            "purge-finished",
            ("0 2 * * *", "UTC"),
            PurgeFinished::KIND,
            json!(PurgeFinished { tombstone_days: TOMBSTONE_DAYS }),
            true,
        ),
    ]
}

fn schedule(
    name: &str,
    (cron, zone): (&str, &str),
    command: &str,
    payload: Value,
    active: bool,
) -> DefaultSchedule {
    DefaultSchedule {
        jobname: name.to_owned(),
        schedule: cron.to_owned(),
        time_zone: zone.to_owned(),
        command: command.to_owned(),
        payload,
        active,
        missed_policy: Missed::RunOnce,
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
    fn the_environment_names_three_schedules() {
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
                ("purge-finished", "0 2 * * *", true)
            ]
        );
        for schedule in schedules {
            CronExpr::parse(&schedule.schedule, &schedule.time_zone).expect("a schedule");
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
