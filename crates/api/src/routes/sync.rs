//! `/api/sync`

mod ao;
mod config;
mod conflicts;
mod failures;
mod health;
mod history;
mod manual;
mod messages;
mod parked;
mod quarantine;
mod reset;
mod run;
mod state;
mod status;
mod switch;

use crate::table::{Table, routes};
use contracts::jobs::{SyncDrive, SyncMode, Trigger, drive_resource};
use domain::ids::CompanyId;
use store::jobs::NewJob;

pub use health::breaker_name;
pub(super) use messages::{channel_job, chat_job, mailbox_job};

/// Name of the document sync in history, quarantine and parked runs.
const SOURCE: &str = "onedrive";
/// The cron schedule of the runbook.
const SCHEDULE: &str = "onedrive-sync";
/// Every schedule that enable and disable switch.
const SCHEDULES: [&str; 2] = [SCHEDULE, "sweep-drives"];

/// Every route below `/api/sync` but the jobs.
pub fn routes<T: Table>() -> T {
    T::default()
        .routes(routes!(ao::sync_ao))
        .routes(routes!(manual::sync_all))
        .routes(routes!(run::run))
        .routes(routes!(health::health))
        .routes(routes!(status::status))
        .routes(routes!(history::list))
        .routes(routes!(history::latest))
        .routes(routes!(switch::enable))
        .routes(routes!(switch::disable))
        .routes(routes!(config::get, config::put))
        .routes(routes!(state::get))
        .routes(routes!(reset::reset))
        .routes(routes!(reset::full))
        .routes(routes!(reset::delta))
        .routes(routes!(quarantine::list))
        .routes(routes!(quarantine::retry))
        .routes(routes!(parked::list))
        .routes(routes!(parked::approve))
        .routes(routes!(parked::reject))
        .routes(routes!(failures::list))
        .routes(routes!(conflicts::list))
        .routes(routes!(conflicts::resolve))
}

/// A run of one drive that a person waits for. `purpose` keeps it from coalescing with a run that would do
/// something else, or less.
fn drive_job(
    company: CompanyId,
    drive_id: &str,
    purpose: &str,
    by: &str,
    change: impl FnOnce(&mut SyncDrive),
) -> store::Result<NewJob> {
    let mut payload = SyncDrive {
        drive_id: drive_id.to_owned(),
        mode: SyncMode::Delta,
        trigger: Trigger::Manual,
        dry_run: false,
        approved_removals: None,
    };
    change(&mut payload);
    let key = drive_resource(drive_id);
    Ok(NewJob::new(company, &payload, by)?.dedupe(format!("{key}:{purpose}")).resource(key).priority(9))
}
