//! The nightly jobs of the calendar seed: queue clean-up, channel renewal, clean-up of ended channels.

use async_trait::async_trait;
use contracts::jobs::{CleanExpiredChannels, CleanQueue, RenewChannels};
use job_runtime::{Handler, JobContext, JobError, Outcome};
use serde_json::json;
use store::calendar::{queue, webhooks};
use store::jobs::enqueue_many;
use store::retention_rules::{self as rule, What};
use store::subscriptions;

use crate::maintenance::renewals;

/// Rows that one transaction removes.
const CHUNK: i64 = 5_000;
/// Transactions of one run; what is left waits for the next night.
const ROUNDS: usize = 2_000;

/// Runs [`CleanQueue`].
#[derive(Debug, Clone, Copy)]
pub struct CleanQueueHandler;

#[async_trait]
impl Handler for CleanQueueHandler {
    type Payload = CleanQueue;

    async fn run(&self, payload: CleanQueue, job: JobContext) -> Result<Outcome, JobError> {
        let mut removed = 0_u64;
        for _ in 0..ROUNDS {
            let mut tx = job.begin().await?;
            let company = job.company();
            let days = rule::days(&mut tx, company, What::Notifications, payload.days).await?;
            let gone = store::purge::queue(&mut tx, company, days, CHUNK).await?
                + queue::purge(&mut tx, job.company(), payload.days, CHUNK).await?;
            job.commit(tx).await?;
            removed += gone;
            if gone == 0 {
                break;
            }
        }
        Ok(Outcome::Done(json!({ "removed": removed })))
    }
}

/// Runs [`RenewChannels`]: a job for each resource of Microsoft and each calendar whose channel ends soon or is missing.
#[derive(Debug, Clone, Copy)]
pub struct RenewChannelsHandler;

#[async_trait]
impl Handler for RenewChannelsHandler {
    type Payload = RenewChannels;

    async fn run(&self, payload: RenewChannels, job: JobContext) -> Result<Outcome, JobError> {
        let mut tx = job.begin().await?;
        let ending = subscriptions::to_renew(&mut tx, job.company(), payload.within_hours).await?;
        let mut jobs = subscriptions::ensure_jobs(job.company(), &ending, "sync-worker", 2)?;
        let calendars = renewals(&mut tx, &job, payload.within_hours).await?;
        let result = json!({ "renewing": ending.len() + calendars.len(), "calendars": calendars.len() });
        jobs.extend(calendars);
        enqueue_many(&mut tx, jobs).await?;
        job.commit_done(tx, &result).await
    }
}

/// Runs [`CleanExpiredChannels`].
#[derive(Debug, Clone, Copy)]
pub struct CleanExpiredChannelsHandler;

#[async_trait]
impl Handler for CleanExpiredChannelsHandler {
    type Payload = CleanExpiredChannels;

    async fn run(&self, payload: CleanExpiredChannels, job: JobContext) -> Result<Outcome, JobError> {
        let mut tx = job.begin().await?;
        let days = rule::days(&mut tx, job.company(), What::EndedChannels, payload.days).await?;
        let gone = store::purge::ended_subscriptions(&mut tx, job.company(), days, CHUNK).await?
            + webhooks::forget_ended(&mut tx, job.company(), days, CHUNK).await?;
        job.commit_done(tx, &json!({ "removed": gone })).await
    }
}
