//! Calendars: what Google or Outlook changed comes into `events`, what the application changed goes there. All decisions are
//! `domain::calendar`'s; here they are carried out, each in a transaction that checks the job's fence.

mod ends;
mod google;
mod outlook;
mod page;
mod provider;
mod pull;
mod push;
mod told;
mod watch;

use chrono::{DateTime, Utc};
use domain::calendar::dialect::Dialect;
use domain::calendar::engine::{Direction, Setting};
use domain::calendar::merge::{Loser, Owner, Policy};
use domain::drive::MassChange;
use domain::ids::CompanyId;
use job_runtime::{JobContext, JobError};
use serde_json::{Value, json};
use store::Tx;
use store::calendar::conflicts::{NewConflict, record};
use store::calendar::rows::{Calendar, Stored};
use uuid::Uuid;

pub use google::{Google, GoogleError};
pub use outlook::Outlook;
pub use provider::Providers;
pub use pull::PullHandler;
pub use push::PushHandler;
pub use watch::WatchHandler;

/// A calendar at work.
#[derive(Debug, Clone)]
struct Work {
    calendar: Calendar,
    company: CompanyId,
    tenant: String,
    /// Whose calendar it is.
    dialect: Dialect,
    direction: Direction,
    policy: Policy,
    /// What the company lets a run end without asking.
    limits: MassChange,
}

/// The calendar of a job, when it takes part in syncing.
async fn load(job: &JobContext, connection: Uuid) -> Result<Option<Work>, JobError> {
    let company = job.company();
    let mut tx = job.begin().await?;
    let found = store::calendar::connections::get(&mut tx, company, connection).await?;
    let settings = store::settings::get(&mut tx, company).await?;
    tx.rollback().await?;
    let Some(found) = found.filter(|found| found.enabled && found.state == "active") else { return Ok(None) };
    let direction = match found.sync_direction.as_str() {
        "to_google" => Direction::ToGoogle,
        "from_google" => Direction::FromGoogle,
        _ => Direction::Both,
    };
    let (dialect, source) = match found.provider.as_str() {
        store::calendar::outlook::PROVIDER => (Dialect::Outlook, store::calendar::outlook::PROVIDER),
        _ => (Dialect::Google, "google"),
    };
    let calendar = Calendar { connection, id: found.calendar_id, user_id: found.user_id, source };
    let policy = policy_of(&settings.conflict_policy);
    let limits = MassChange {
        max_share: f64::from(settings.mass_change_share),
        min_count: u64::try_from(settings.mass_change_minimum).unwrap_or(0),
    };
    Ok(Some(Work { calendar, company, tenant: company.to_string(), dialect, direction, policy, limits }))
}

impl Work {
    /// Name of the source in metrics, quarantine and parked runs.
    const fn source(&self) -> &'static str {
        match self.dialect {
            Dialect::Google => "google_calendar",
            Dialect::Outlook => "outlook_calendar",
        }
    }

    /// Counts events that came from the provider.
    fn count_in(&self, operation: &'static str, number: u64) {
        let direction = match self.dialect {
            Dialect::Google => "from_google",
            Dialect::Outlook => "from_outlook",
        };
        count(direction, operation, number);
    }

    /// Counts a write that took effect at the provider.
    fn count_out(&self, operation: &'static str) {
        let direction = match self.dialect {
            Dialect::Google => "to_google",
            Dialect::Outlook => "to_outlook",
        };
        count(direction, operation, 1);
    }

    fn setting(&self, generation: u64, bootstrapped: bool, now: DateTime<Utc>) -> Setting<'_> {
        Setting {
            tenant: &self.tenant,
            calendar: &self.calendar.id,
            dialect: self.dialect,
            direction: self.direction,
            policy: self.policy,
            generation,
            bootstrapped,
            now,
        }
    }

    /// Keeps what did not survive.
    async fn keep(&self, tx: &mut Tx, stored: &Stored, losers: &[Loser]) -> Result<(), JobError> {
        let Some(event_id) = stored.id() else { return Ok(()) };
        for loser in losers {
            let field = match &loser.key {
                Some(key) => format!("{}/{key}", loser.field.as_str()),
                None => loser.field.as_str().to_owned(),
            };
            let (app, provider, kept) = match loser.side {
                Owner::App => (&loser.value, &loser.winner, "provider"),
                Owner::Provider => (&loser.winner, &loser.value, "app"),
            };
            let base = base_of(stored, loser);
            let conflict = NewConflict {
                event_id,
                connection_id: Some(self.calendar.connection),
                calendar_id: Some(&self.calendar.id),
                google_event_id: stored.row.link.as_ref().map(|link| link.id.as_str()),
                field: &field,
                base: base.as_ref(),
                app: Some(app),
                provider: Some(provider),
                kept,
                policy: policy_name(self.policy),
            };
            record(tx, self.company, &conflict).await?;
        }
        Ok(())
    }
}

/// The last agreement's value of a field, when the row still has it.
fn base_of(stored: &Stored, loser: &Loser) -> Option<Value> {
    let base = stored.row.link.as_ref()?.base.as_ref()?.side.event()?;
    serde_json::to_value(base).ok()?.get(loser.field.as_str()).cloned()
}

/// The company's choice; its default where a later version wrote one that this one does not know.
fn policy_of(name: &str) -> Policy {
    [Policy::NewestWins, Policy::AppWins, Policy::ProviderWins]
        .into_iter()
        .find(|policy| policy_name(*policy) == name)
        .unwrap_or_default()
}

const fn policy_name(policy: Policy) -> &'static str {
    match policy {
        Policy::NewestWins => "newest_wins",
        Policy::AppWins => "app_wins",
        Policy::ProviderWins => "provider_wins",
    }
}

fn skipped() -> Value {
    json!({ "skipped": "the calendar is unknown, switched off or not connected" })
}

fn count(direction: &'static str, operation: &'static str, number: u64) {
    if number > 0 {
        metrics::counter!("calendar_events_synced_total", "direction" => direction, "operation" => operation)
            .increment(number);
    }
}
