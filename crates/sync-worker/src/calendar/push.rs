//! `calendar.push`: what the application changed, event by event. Each step commits what it prepared before it calls, and
//! what the answer means after it.

use std::time::Duration;

use async_trait::async_trait;
use chassis::time::SystemClock;
use contracts::graph::v1::ProviderFault;
use contracts::jobs::{PullCalendar, PushCalendar, Trigger, calendar_resource};
use domain::calendar::engine::{Call, Cause, Next, Plan, Row, Sight, Why, conclude, push};
use domain::calendar::quota::ACCOUNT_REST;
use domain::time::Clock;
use job_runtime::{Handler, JobContext, JobError, Outcome};
use serde_json::json;
use store::Tx;
use store::calendar::queue::{self, Entry, Next as Then};
use store::calendar::rows::{self, Stored};
use store::jobs::{NewJob, enqueue};
use uuid::Uuid;

use super::pull::cursor;
use super::told::Told;
use super::{Providers, Work, ends, load, skipped};

/// Entries that are taken into work at a time.
const BATCH: i64 = 50;
/// Plans and calls for one event in one go; what is left waits a moment.
const STEPS: usize = 8;
/// Pause before an event whose series, or calendar, is not there yet.
const SOON: f64 = 1.0;

/// Runs [`PushCalendar`].
#[derive(Debug, Clone)]
pub struct PushHandler(pub Providers);

/// How the work on one entry ended.
enum End {
    /// The entry is settled.
    Settled,
    /// Nothing of this account is called for a while.
    Rest,
}

#[async_trait]
impl Handler for PushHandler {
    type Payload = PushCalendar;

    async fn run(&self, payload: PushCalendar, job: JobContext) -> Result<Outcome, JobError> {
        let Some(work) = load(&job, payload.connection_id).await? else {
            return Ok(Outcome::Done(skipped()));
        };
        let connection = work.calendar.connection;
        let mut pushed = 0_u64;
        // Left over from a run that was killed; this one holds the calendar.
        put_back_all(&job, &work).await?;
        'work: loop {
            let mut tx = job.begin().await?;
            let entries = queue::claim(&mut tx, work.company, connection, BATCH).await?;
            job.commit(tx).await?;
            if entries.is_empty() {
                break;
            }
            for entry in entries {
                if job.cancelled().is_cancelled() || job.draining().is_cancelled() {
                    put_back_all(&job, &work).await?;
                    return Ok(Outcome::HandBack);
                }
                pushed += 1;
                if let End::Rest = self.carry(&job, &work, &entry).await? {
                    put_back_all(&job, &work).await?;
                    break 'work;
                }
            }
        }
        Ok(Outcome::Done(json!({ "entries": pushed })))
    }

    fn retry_policy(&self) -> domain::retry::RetryPolicy {
        crate::documents::RETRY
    }
}

impl PushHandler {
    async fn carry(&self, job: &JobContext, work: &Work, entry: &Entry) -> Result<End, JobError> {
        for _ in 0..STEPS {
            let Some(call) = plan(job, work, entry).await? else { return Ok(End::Settled) };
            let told = self.0.perform(job, work, &call).await;
            if let Some(end) = answered(job, work, entry, &call, told).await? {
                return Ok(end);
            }
        }
        let mut tx = job.begin().await?;
        settle(&mut tx, work, entry, Then::Wait(SOON), "more steps than one run takes", None).await?;
        job.commit(tx).await?;
        Ok(End::Settled)
    }
}

async fn put_back_all(job: &JobContext, work: &Work) -> Result<(), JobError> {
    let mut tx = job.begin().await?;
    queue::reclaim(&mut tx, work.company, work.calendar.connection).await?;
    job.commit(tx).await
}

async fn settle(
    tx: &mut Tx,
    work: &Work,
    entry: &Entry,
    then: Then,
    message: &str,
    body: Option<&str>,
) -> Result<(), JobError> {
    queue::put_back(tx, work.company, entry.id, then, message, body).await?;
    Ok(())
}

/// The event's row, or what is left of it.
async fn row(tx: &mut Tx, work: &Work, entry: &Entry) -> Result<Option<Stored>, JobError> {
    match rows::lock(tx, work.company, entry.event_id).await? {
        Some(stored) => Ok(Some(stored)),
        None => Ok(rows::left_over(tx, work.company, entry.id).await?),
    }
}

async fn master(tx: &mut Tx, work: &Work, stored: &Stored) -> Result<Option<Row>, JobError> {
    let Some(place) = &stored.row.place else { return Ok(None) };
    if let Some(id) = place.row.as_ref().and_then(|row| row.parse::<Uuid>().ok())
        && let Some(found) = rows::lock(tx, work.company, id).await?
    {
        return Ok(Some(found.row));
    }
    let Some(id) = place.master.clone() else { return Ok(None) };
    let found = rows::by_google_ids(tx, &work.calendar.id, &[id]).await?;
    Ok(found.into_iter().next().map(|stored| stored.row))
}

/// Plans the next call and commits what it needs to be repeated after a crash; `None` when the entry is settled.
async fn plan(job: &JobContext, work: &Work, entry: &Entry) -> Result<Option<Call>, JobError> {
    let mut tx = job.begin().await?;
    rows::as_engine(&mut tx).await?;
    let at = cursor(&mut tx, work).await?.unwrap_or_default();
    let Some(mut stored) = row(&mut tx, work, entry).await? else {
        queue::complete(&mut tx, work.company, entry.id).await?;
        job.commit(tx).await?;
        return Ok(None);
    };
    let now = SystemClock.now();
    let master = master(&mut tx, work, &stored).await?;
    let plan = push(&mut stored.row, master.as_ref(), &work.setting(at.generation, at.bootstrapped, now));
    if stored.is_changed() {
        rows::save(&mut tx, work.company, &work.calendar, &[(&stored, None)], now).await?;
    }
    let call = match plan {
        Plan::Call(call) => Some(call),
        Plan::Park(cause) => {
            settle(&mut tx, work, entry, Then::Park, &words(&cause), None).await?;
            None
        }
        Plan::Nothing(Why::Agreed | Why::Direction | Why::NotOurs) => {
            queue::complete(&mut tx, work.company, entry.id).await?;
            None
        }
        Plan::Nothing(Why::Parked) => {
            let cause = stored.row.link.as_ref().and_then(|link| link.parked.as_ref());
            let message = cause.map_or_else(|| "parked".to_owned(), |(cause, _)| words(cause));
            settle(&mut tx, work, entry, Then::Park, &message, None).await?;
            None
        }
        Plan::Nothing(Why::AwaitsMaster) => {
            settle(&mut tx, work, entry, Then::Wait(SOON), "its series is not at the provider yet", None)
                .await?;
            None
        }
        Plan::Nothing(Why::NotBootstrapped) => {
            ask_for_pull(&mut tx, work).await?;
            let message = "the calendar is enumerated first: the event may be there already";
            settle(&mut tx, work, entry, Then::Wait(SOON), message, None).await?;
            None
        }
    };
    job.commit(tx).await?;
    Ok(call)
}

/// Takes an answer into the row as it is by now; `None` when there is more to do at once.
async fn answered(
    job: &JobContext,
    work: &Work,
    entry: &Entry,
    call: &Call,
    told: Told,
) -> Result<Option<End>, JobError> {
    let Told { answer, retry_after, refusal } = told;
    let mut tx = job.begin().await?;
    rows::as_engine(&mut tx).await?;
    let at = cursor(&mut tx, work).await?.unwrap_or_default();
    let Some(mut stored) = row(&mut tx, work, entry).await? else {
        queue::complete(&mut tx, work.company, entry.id).await?;
        job.commit(tx).await?;
        return Ok(Some(End::Settled));
    };
    let now = SystemClock.now();
    let set = work.setting(at.generation, at.bootstrapped, now);
    let concluded = conclude(&mut stored.row, call, answer, &set);
    let pulled = concluded.pulled;
    let source = pulled
        .as_ref()
        .filter(|pulled| pulled.changed && pulled.sight == Sight::Fresh)
        .map(|_| work.calendar.source);
    if stored.is_changed() {
        rows::save(&mut tx, work.company, &work.calendar, &[(&stored, source)], now).await?;
    }
    if let Some(pulled) = &pulled {
        work.keep(&mut tx, &stored, &pulled.losers).await?;
        if let Some(cascade) = pulled.cascade {
            let id = stored.row.link.as_ref().map(|link| link.id.clone()).unwrap_or_default();
            ends::cascade(&mut tx, work, cascade, stored.id(), &id).await?;
        }
    }
    let took_effect =
        matches!(concluded.next, Next::Done | Next::Again) && !matches!(call, Call::Look { .. });
    let message = refusal
        .as_deref()
        .map_or_else(|| "the provider did not answer".to_owned(), |fault| said(work, fault));
    let body = refusal.as_deref().map(|fault| fault.body.as_str()).filter(|body| !body.is_empty());
    let end = match concluded.next {
        Next::Again | Next::Refresh => None,
        Next::Done => {
            queue::complete(&mut tx, work.company, entry.id).await?;
            Some(End::Settled)
        }
        Next::Retry { after } => {
            let wait = grown(after, entry).max(retry_after).as_secs_f64();
            settle(&mut tx, work, entry, Then::Wait(wait), &message, body).await?;
            Some(End::Settled)
        }
        Next::Pull => {
            ask_for_pull(&mut tx, work).await?;
            settle(&mut tx, work, entry, Then::Wait(SOON), "the provider has news of it first", None).await?;
            Some(End::Settled)
        }
        Next::ParkAccount { after } => {
            let wait = after.max(retry_after).min(ACCOUNT_REST * 12).as_secs_f64();
            settle(&mut tx, work, entry, Then::Wait(wait), &message, body).await?;
            Some(End::Rest)
        }
        Next::ParkConnection => {
            settle(&mut tx, work, entry, Then::Park, &message, body).await?;
            Some(End::Rest)
        }
        Next::Park(cause) => {
            settle(&mut tx, work, entry, Then::Park, &words(&cause), body).await?;
            Some(End::Settled)
        }
    };
    job.commit(tx).await?;
    if took_effect {
        work.count_out(operation(call));
    }
    Ok(end)
}

/// A pull of the calendar, after this job.
async fn ask_for_pull(tx: &mut Tx, work: &Work) -> Result<(), JobError> {
    let connection = work.calendar.connection;
    let payload = PullCalendar {
        connection_id: connection,
        trigger: Trigger::Sweep,
        full: false,
        approved_removals: None,
    };
    let job = NewJob::new(work.company, &payload, "sync-worker")?
        .dedupe(format!("calendar.pull:{connection}"))
        .resource(calendar_resource(connection));
    enqueue(tx, job).await?;
    Ok(())
}

/// The longer an entry waits, the less often it is tried.
fn grown(after: Duration, entry: &Entry) -> Duration {
    let age = (SystemClock.now() - entry.created_at).to_std().unwrap_or_default();
    after.max(age / 4).min(Duration::from_mins(15))
}

fn said(work: &Work, fault: &ProviderFault) -> String {
    format!("{}: {} ({})", work.dialect.name(), fault.message, fault.code)
}

fn words(cause: &Cause) -> String {
    match cause {
        Cause::Loop => {
            "stopped after three writes for one edit: both sides keep changing it; edit it again to go on"
                .to_owned()
        }
        Cause::Refused { message } => format!("the provider refuses this change: {message}"),
        Cause::Forbidden { message } => format!("this account may not change the event: {message}"),
        Cause::CalendarGone => "the calendar is not at the provider any more".to_owned(),
    }
}

const fn operation(call: &Call) -> &'static str {
    match call {
        Call::Insert { .. } => "added",
        Call::Patch { .. } => "updated",
        Call::Delete { .. } => "deleted",
        Call::Look { .. } => "looked",
    }
}
