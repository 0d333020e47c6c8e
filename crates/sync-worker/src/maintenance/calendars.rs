//! Calendars of a company: the floor under push channels and under the wake-ups of app writes.

use async_trait::async_trait;
use contracts::jobs::{
    PullCalendar, PushCalendar, PushCalendars, SweepCalendars, Trigger, WatchCalendar, calendar_resource,
};
use domain::ids::CompanyId;
use job_runtime::{Handler, JobContext, JobError, Outcome};
use serde_json::json;
use store::Tx;
use store::calendar::{connections, queue, webhooks};
use store::jobs::{NewJob, enqueue_many};
use uuid::Uuid;

/// Calendars of one run of [`PushCalendars`]; more wait for the next one.
const PUSHES: i64 = 10_000;
/// A channel that ends before the next sweeps is renewed by a sweep: one that was lost, or that lives for less than
/// the nightly renewal expects.
const SWEEP_RENEWS_HOURS: i32 = 1;

/// Runs [`SweepCalendars`]: a pull for every active calendar, and a channel for those that are without.
#[derive(Debug, Clone, Copy)]
pub struct SweepCalendarsHandler;

#[async_trait]
impl Handler for SweepCalendarsHandler {
    type Payload = SweepCalendars;

    async fn run(&self, payload: SweepCalendars, job: JobContext) -> Result<Outcome, JobError> {
        let mut tx = job.begin().await?;
        let calendars = connections::active(&mut tx, job.company()).await?;
        // Work that nobody waits for comes after notifications and people.
        let priority = if payload.trigger == Trigger::Sweep { 1 } else { 4 };
        let mut jobs = Vec::with_capacity(calendars.len());
        for connection in &calendars {
            jobs.push(pull_job(job.company(), *connection, payload.trigger, priority)?);
        }
        let watched = renewals(&mut tx, &job, SWEEP_RENEWS_HOURS).await?;
        let watching = watched.len();
        jobs.extend(watched);
        enqueue_many(&mut tx, jobs).await?;
        job.commit_done(tx, &json!({ "calendars": calendars.len(), "watching": watching })).await
    }
}

/// Runs [`PushCalendars`]: a push for every calendar with app writes that are due.
#[derive(Debug, Clone, Copy)]
pub struct PushCalendarsHandler;

#[async_trait]
impl Handler for PushCalendarsHandler {
    type Payload = PushCalendars;

    async fn run(&self, PushCalendars {}: PushCalendars, job: JobContext) -> Result<Outcome, JobError> {
        let mut tx = job.begin().await?;
        // Row-level security leaves the calendars of this company.
        let due = queue::due(&mut tx, PUSHES).await?;
        let mut jobs = Vec::with_capacity(due.len());
        for calendar in &due {
            let connection = calendar.connection_id;
            jobs.push(
                NewJob::new(job.company(), &PushCalendar { connection_id: connection }, "sync-worker")?
                    .dedupe(format!("calendar.push:{connection}"))
                    .resource(calendar_resource(connection))
                    .priority(4),
            );
        }
        enqueue_many(&mut tx, jobs).await?;
        job.commit_done(tx, &json!({ "calendars": due.len() })).await
    }
}

/// A run that reads a calendar from its cursor; it coalesces with one that waits.
pub(crate) fn pull_job(
    company: CompanyId,
    connection_id: Uuid,
    trigger: Trigger,
    priority: i16,
) -> Result<NewJob, JobError> {
    let pull = PullCalendar { connection_id, trigger, full: false, approved_removals: None };
    Ok(NewJob::new(company, &pull, "sync-worker")?
        .dedupe(format!("calendar.pull:{connection_id}"))
        .resource(calendar_resource(connection_id))
        .priority(priority))
}

/// A job for each calendar of the company whose channel ends within `hours`, or is missing.
pub(crate) async fn renewals(tx: &mut Tx, job: &JobContext, hours: i32) -> Result<Vec<NewJob>, JobError> {
    let calendars = webhooks::to_renew(tx, job.company(), hours).await?;
    calendars.into_iter().map(|connection| watch_job(job, connection)).collect()
}

fn watch_job(job: &JobContext, connection: Uuid) -> Result<NewJob, JobError> {
    Ok(NewJob::new(job.company(), &WatchCalendar { connection_id: connection }, "sync-worker")?
        .dedupe(format!("calendar.watch:{connection}"))
        .resource(format!("calendar.watch:{connection}"))
        .priority(2))
}
