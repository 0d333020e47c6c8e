//! `messages.sweep`: what is due of a company's mailboxes, channels and chats, and their subscriptions.

use async_trait::async_trait;
use chassis::time::SystemClock;
use contracts::jobs::{
    SweepMessages, SyncChannel, SyncChat, SyncMailbox, SyncMode, Trigger, channel_resource, chat_resource,
    mailbox_resource,
};
use domain::ids::CompanyId;
use domain::teams::{Repair, may_repair};
use domain::time::Clock;
use job_runtime::{Handler, JobContext, JobError, Outcome};
use serde_json::json;
use store::jobs::{NewJob, enqueue_many};
use store::{mailboxes, subscriptions, teams};

/// Channels or chats that one sweep looks at.
const MANY: i64 = 10_000;
/// A subscription that ends within this is renewed by a sweep, in hours.
const RENEW_HOURS: i32 = 1;

/// Runs [`SweepMessages`].
#[derive(Debug, Clone, Copy)]
pub struct SweepMessagesHandler {
    /// `ENABLE_REALTIME_SYNC`.
    pub realtime: bool,
}

#[async_trait]
impl Handler for SweepMessagesHandler {
    type Payload = SweepMessages;

    async fn run(&self, SweepMessages {}: SweepMessages, job: JobContext) -> Result<Outcome, JobError> {
        let (company, now) = (job.company(), SystemClock.now());
        let due = |last| may_repair(Repair::Routine, last, now);
        let mut tx = job.begin().await?;
        let mut jobs = Vec::new();
        for user_id in mailboxes::list_enabled(&mut tx, company).await? {
            jobs.push(mailbox_job(company, &user_id, Trigger::Sweep)?);
        }
        let found = jobs.len();
        for channel in teams::channels(&mut tx, company, None, None, MANY).await? {
            if channel.enabled && due(channel.last_repair_at) {
                jobs.push(channel_job(company, &channel.team_id, &channel.channel_id, Trigger::Sweep)?);
            }
        }
        for chat in teams::chats(&mut tx, company, None, None, MANY).await? {
            if chat.enabled && due(chat.last_repair_at) {
                jobs.push(chat_job(company, &chat.chat_id, Trigger::Sweep)?);
            }
        }
        let repairs = jobs.len() - found;
        let mut renewing = 0;
        if self.realtime {
            let mut missing = subscriptions::to_renew(&mut tx, company, RENEW_HOURS).await?;
            // Drives have a sweep of their own.
            missing.retain(|(kind, _)| kind != "drive");
            renewing = missing.len();
            jobs.extend(subscriptions::ensure_jobs(company, &missing, "sync-worker", 2)?);
        }
        enqueue_many(&mut tx, jobs).await?;
        job.commit_done(tx, &json!({ "mailboxes": found, "repairs": repairs, "renewing": renewing })).await
    }
}

/// Work that nobody waits for comes after notifications and people.
const fn priority(trigger: Trigger) -> i16 {
    if matches!(trigger, Trigger::Sweep) { 1 } else { 4 }
}

/// A run of a mailbox, coalescing with one that waits.
pub(super) fn mailbox_job(company: CompanyId, user_id: &str, trigger: Trigger) -> Result<NewJob, JobError> {
    let payload =
        SyncMailbox { user_id: user_id.to_owned(), mode: SyncMode::Delta, trigger, approved_removals: None };
    let key = mailbox_resource(user_id);
    // A run that only reads what was named must not stand in for one that walks.
    let dedupe = if trigger == Trigger::Webhook { key.clone() } else { format!("{key}:walk") };
    Ok(NewJob::new(company, &payload, "sync-worker")?
        .dedupe(dedupe)
        .resource(key)
        .priority(priority(trigger)))
}

/// A run of a channel.
pub(super) fn channel_job(
    company: CompanyId,
    team_id: &str,
    channel_id: &str,
    trigger: Trigger,
) -> Result<NewJob, JobError> {
    let payload = SyncChannel {
        team_id: team_id.to_owned(),
        channel_id: channel_id.to_owned(),
        mode: SyncMode::Delta,
        trigger,
    };
    let key = channel_resource(team_id, channel_id);
    let dedupe = if trigger == Trigger::Webhook { key.clone() } else { format!("{key}:repair") };
    Ok(NewJob::new(company, &payload, "sync-worker")?
        .dedupe(dedupe)
        .resource(key)
        .priority(priority(trigger)))
}

/// A run of a chat.
pub(super) fn chat_job(company: CompanyId, chat_id: &str, trigger: Trigger) -> Result<NewJob, JobError> {
    let payload = SyncChat { chat_id: chat_id.to_owned(), mode: SyncMode::Delta, trigger };
    let key = chat_resource(chat_id);
    let dedupe = if trigger == Trigger::Webhook { key.clone() } else { format!("{key}:repair") };
    Ok(NewJob::new(company, &payload, "sync-worker")?
        .dedupe(dedupe)
        .resource(key)
        .priority(priority(trigger)))
}
