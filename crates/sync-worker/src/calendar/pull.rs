//! `calendar.pull`: what the provider changed, from the stored cursor, page by page.

use async_trait::async_trait;
use chassis::time::SystemClock;
use chrono::{DateTime, Utc};
use contracts::gcal::v1::PoisonEvent;
use contracts::jobs::PullCalendar;
use domain::calendar::cursor::{Cursor, Listed, Parameters, Progress, Round, sweep_verdict};
use domain::calendar::engine::sweep;
use domain::calendar::google::Incoming;
use domain::calendar::outlook::Window;
use domain::drive::MassChangeVerdict;
use domain::time::Clock;
use job_runtime::{Handler, JobContext, JobError, Outcome};
use serde_json::{Value, json};
use store::Tx;
use store::calendar::connections::{self, Cursor as StoredCursor};
use store::calendar::rows::{self, Stored};
use store::parked::{self, NewParked};
use store::quarantine::{self, NewQuarantine};
use uuid::Uuid;

use super::outlook::may_be_missing;
use super::page::{Counts, Page};
use super::provider::is_stale;
use super::told::EventPage;
use super::{Providers, Work, ends, load, skipped};

/// Removals that a person who decides is shown.
const SAMPLE: usize = 20;
/// Longest text of a quarantined event, in characters.
const RAW: usize = 64 * 1024;

/// Runs [`PullCalendar`].
#[derive(Debug, Clone)]
pub struct PullHandler(pub Providers);

/// What a run came to.
#[derive(Debug, Default)]
struct Report {
    counts: Counts,
    pages: u32,
    poison: usize,
    parked: Option<Uuid>,
    /// The newest change that was stored, as the provider dates it.
    newest: Option<DateTime<Utc>>,
}

#[async_trait]
impl Handler for PullHandler {
    type Payload = PullCalendar;

    async fn run(&self, payload: PullCalendar, job: JobContext) -> Result<Outcome, JobError> {
        let Some(work) = load(&job, payload.connection_id).await? else {
            return Ok(Outcome::Done(skipped()));
        };
        let outcome = self.rounds(&payload, &job, &work).await;
        let status = if outcome.is_ok() { "success" } else { "error" };
        metrics::counter!("sync_runs_total", "source" => work.source(), "status" => status).increment(1);
        if let Err(error) = &outcome
            && let Ok(mut tx) = job.begin().await
        {
            let text = error.to_string();
            let noted = connections::round_failed(&mut tx, work.company, payload.connection_id, &text).await;
            if matches!(noted, Ok(Some(_))) {
                // Best effort: the job's own error chain says the same.
                let _ = tx.commit().await;
            }
        }
        outcome
    }

    fn retry_policy(&self) -> domain::retry::RetryPolicy {
        crate::documents::RETRY
    }
}

impl PullHandler {
    async fn rounds(
        &self,
        payload: &PullCalendar,
        job: &JobContext,
        work: &Work,
    ) -> Result<Outcome, JobError> {
        let mut report = Report::default();
        let mut restart = payload.full;
        if payload.approved_removals.is_some() {
            approved(job, work, payload.approved_removals, &mut report).await?;
        }
        loop {
            let mut tx = job.begin().await?;
            let Some(mut cursor) = cursor(&mut tx, work).await? else {
                return Ok(Outcome::Done(skipped()));
            };
            tx.rollback().await?;
            if std::mem::take(&mut restart) || is_stale(work, &cursor, SystemClock.now()) {
                cursor.restart();
            }
            let mut page = self.0.list(job, work, cursor.request()).await?;
            if cursor.is_full() && matches!(page.listed, Listed::Page { next_token: Some(_), .. }) {
                let unseen = unseen(job, work, cursor.generation).await?;
                self.0.look_again(job, work, &mut page, &unseen).await?;
            }
            let window = page.window.clone();
            let mut tx = job.begin().await?;
            rows::as_engine(&mut tx).await?;
            // Locked from here on: only this job, which holds the calendar, moves it.
            self::cursor(&mut tx, work).await?;
            let now = SystemClock.now();
            let progress = store(&mut tx, work, &mut cursor, page, now, &mut report).await?;
            let ended = match progress {
                Progress::More | Progress::Restarted => false,
                Progress::CalendarGone => {
                    connections::end(
                        &mut tx,
                        work.company,
                        work.calendar.connection,
                        "gone",
                        "the provider says that the calendar is not there",
                    )
                    .await?;
                    return job.commit_done(tx, &json!({ "ended": "the calendar is gone" })).await;
                }
                Progress::Sweep(_) => {
                    swept(
                        &mut tx,
                        job,
                        work,
                        &cursor,
                        window.as_ref(),
                        payload.approved_removals,
                        &mut report,
                    )
                    .await?;
                    ends::orphans(&mut tx, work).await?;
                    true
                }
                Progress::Complete => {
                    ends::orphans(&mut tx, work).await?;
                    true
                }
            };
            put_cursor(&mut tx, work, &cursor, matches!(progress, Progress::Sweep(_))).await?;
            if ended {
                let outcome = job.commit_done(tx, &report.to_json()).await?;
                report.measure(work);
                return Ok(outcome);
            }
            let stored = i64::try_from(report.counts.added + report.counts.updated + report.counts.deleted);
            job.checkpoint(tx, None, stored.unwrap_or(i64::MAX), None, "events").await?;
        }
    }
}

impl Report {
    fn to_json(&self) -> Value {
        json!({
            "added": self.counts.added, "updated": self.counts.updated, "deleted": self.counts.deleted,
            "pages": self.pages, "quarantined": self.poison, "parked": self.parked,
        })
    }

    fn measure(&self, work: &Work) {
        work.count_in("added", self.counts.added);
        work.count_in("updated", self.counts.updated);
        work.count_in("deleted", self.counts.deleted);
        if let Some(newest) = self.newest {
            let age = (SystemClock.now() - newest).to_std().unwrap_or_default();
            metrics::histogram!("change_to_database_seconds", "source" => work.source())
                .record(age.as_secs_f64());
        }
    }
}

/// Stores a page, and moves the cursor with it.
async fn store(
    tx: &mut Tx,
    work: &Work,
    cursor: &mut Cursor,
    page: EventPage,
    now: DateTime<Utc>,
    report: &mut Report,
) -> Result<Progress, JobError> {
    let mut incoming: Vec<Incoming> = Vec::with_capacity(page.events.len());
    let mut poison = page.poison;
    for raw in page.events {
        let id = raw["id"].as_str().unwrap_or_default().to_owned();
        let text = raw.to_string();
        match work.dialect.read(raw) {
            Ok(event) => incoming.push(event),
            Err(error) => {
                poison.push(PoisonEvent { raw_json: text, reason: error.to_string(), event_id: id });
            }
        }
    }
    if !incoming.is_empty() {
        let mut rows = Page::load(tx, work, &incoming).await?;
        let set = work.setting(cursor.generation, cursor.bootstrapped, now);
        for event in &incoming {
            rows.take(event, &set);
        }
        let counts = rows.save(tx, work, now).await?;
        if counts.added + counts.updated + counts.deleted > 0 && !cursor.is_full() {
            report.newest = report.newest.max(incoming.iter().filter_map(|event| event.updated).max());
        }
        report.counts.added += counts.added;
        report.counts.updated += counts.updated;
        report.counts.deleted += counts.deleted;
        ends::left(tx, work, &page.series, &incoming).await?;
    }
    report.poison += poison.len();
    put_away(tx, work, poison).await?;
    report.pages += 1;
    cursor.step(page.listed).map_err(|error| JobError::retry("calendar_cursor", error.to_string()))
}

async fn put_away(tx: &mut Tx, work: &Work, poison: Vec<PoisonEvent>) -> Result<(), JobError> {
    if poison.is_empty() {
        return Ok(());
    }
    metrics::counter!("sync_quarantined_total", "source" => work.source()).increment(poison.len() as u64);
    let items: Vec<NewQuarantine> = poison
        .into_iter()
        .map(|event| NewQuarantine {
            source: work.source().to_owned(),
            resource_id: work.calendar.connection.to_string(),
            item_id: event.event_id,
            code: "poison".to_owned(),
            reason: event.reason,
            raw: Some(event.raw_json.chars().take(RAW).collect()),
        })
        .collect();
    quarantine::put(tx, work.company, &items).await?;
    Ok(())
}

/// Ends the rows that a complete enumeration did not show, unless they are so many that a person has to say so.
async fn swept(
    tx: &mut Tx,
    job: &JobContext,
    work: &Work,
    cursor: &Cursor,
    window: Option<&Window>,
    approved: Option<i64>,
    report: &mut Report,
) -> Result<(), JobError> {
    let now = SystemClock.now();
    let generation = cursor.generation;
    let (existing, unseen) =
        rows::unseen(tx, work.calendar.connection, i64::try_from(generation).unwrap_or(i64::MAX)).await?;
    let set = work.setting(cursor.generation, cursor.bootstrapped, now);
    let mut ended: Vec<(Stored, domain::calendar::engine::Pulled)> = Vec::new();
    for mut stored in unseen.into_iter().filter(|stored| may_be_missing(stored, window)) {
        if let Some(pulled) = sweep(&mut stored.row, generation, &set) {
            ended.push((stored, pulled));
        }
    }
    let removals = u64::try_from(ended.len()).unwrap_or(u64::MAX);
    let is_approved = approved.and_then(|most| u64::try_from(most).ok()).is_some_and(|most| removals <= most);
    let resource = work.calendar.connection.to_string();
    if let MassChangeVerdict::Park { reason } = sweep_verdict(&work.limits, existing, removals, is_approved) {
        let sample: Vec<Value> =
            ended.iter().take(SAMPLE).map(|(stored, _)| json!({ "event_id": stored.row.key })).collect();
        let run = NewParked {
            source: work.source().to_owned(),
            resource_id: resource.clone(),
            job_id: Some(job.job().uuid()),
            existing: i64::try_from(existing).unwrap_or(i64::MAX),
            would_delete: i64::try_from(removals).unwrap_or(i64::MAX),
            sample: Value::Array(sample),
            reason: reason.clone(),
        };
        // Nobody is asked twice about what they refused.
        if !parked::rejected_at_least(tx, work.company, work.source(), &resource, run.would_delete).await? {
            report.parked = Some(parked::put(tx, work.company, &run).await?);
        }
        tracing::warn!(calendar = work.calendar.id, reason, "removals wait for a person");
        return Ok(());
    }
    parked::settle(tx, work.company, work.source(), &resource).await?;
    report.counts.deleted += removals;
    let written: Vec<(&Stored, Option<&str>)> =
        ended.iter().map(|(stored, _)| (stored, Some(work.calendar.source))).collect();
    rows::save(tx, work.company, &work.calendar, &written, now).await?;
    for (stored, pulled) in &ended {
        work.keep(tx, stored, &pulled.losers).await?;
        if let Some(cascade) = pulled.cascade {
            let id = stored.row.link.as_ref().map(|link| link.id.clone()).unwrap_or_default();
            ends::cascade(tx, work, cascade, stored.id(), &id).await?;
        }
    }
    Ok(())
}

/// Rows that the enumeration has not shown so far.
async fn unseen(job: &JobContext, work: &Work, generation: u64) -> Result<Vec<Stored>, JobError> {
    let mut tx = job.begin().await?;
    let generation = i64::try_from(generation).unwrap_or(i64::MAX);
    let (_, unseen) = rows::unseen(&mut tx, work.calendar.connection, generation).await?;
    tx.rollback().await?;
    Ok(unseen)
}

/// Carries out removals that a person has approved, without another enumeration.
async fn approved(
    job: &JobContext,
    work: &Work,
    most: Option<i64>,
    report: &mut Report,
) -> Result<(), JobError> {
    let mut tx = job.begin().await?;
    rows::as_engine(&mut tx).await?;
    let Some(cursor) = cursor(&mut tx, work).await? else { return Ok(()) };
    if !cursor.is_full() && cursor.bootstrapped {
        let window = work.window(&cursor);
        swept(&mut tx, job, work, &cursor, window.as_ref(), most, report).await?;
        ends::orphans(&mut tx, work).await?;
    }
    job.commit(tx).await
}

/// The stored cursor, locked; `None` when the connection is gone.
pub(super) async fn cursor(tx: &mut Tx, work: &Work) -> Result<Option<Cursor>, JobError> {
    let hash = Parameters::default().hash();
    let stored = connections::lock_cursor(tx, work.company, work.calendar.connection, &hash).await?;
    let Some(stored) = stored else { return Ok(None) };
    let generation = u64::try_from(stored.generation).unwrap_or(0);
    let walking = stored.walk.and_then(|walk| serde_json::from_value::<Cursor>(walk).ok());
    Ok(Some(match (walking, stored.sync_token) {
        (Some(cursor), _) => cursor,
        (None, Some(token)) => Cursor {
            generation,
            round: Round::Incremental { token, page: None },
            bootstrapped: true,
            pages: 0,
            restarts: 0,
        },
        // The first round, or one with other parameters: everything is enumerated.
        (None, None) => Cursor { generation: generation + 1, ..Cursor::default() },
    }))
}

async fn put_cursor(tx: &mut Tx, work: &Work, cursor: &Cursor, full_done: bool) -> Result<(), JobError> {
    let (token, walk) = match &cursor.round {
        Round::Incremental { token, page: None } => (Some(token.clone()), None),
        Round::Incremental { token, .. } => (Some(token.clone()), serde_json::to_value(cursor).ok()),
        Round::Full { .. } => (None, serde_json::to_value(cursor).ok()),
    };
    let stored = StoredCursor {
        sync_token: token,
        walk,
        generation: i64::try_from(cursor.generation).unwrap_or(i64::MAX),
    };
    let hash = Parameters::default().hash();
    connections::put_cursor(tx, work.company, work.calendar.connection, &hash, &stored, full_done).await?;
    Ok(())
}
