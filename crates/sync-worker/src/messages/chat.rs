//! `messages.sync_chat`: the messages that notifications named, and the window since the last repair once a day.

use async_trait::async_trait;
use chassis::time::SystemClock;
use chrono::{DateTime, Utc};
use contracts::graph::v1 as pb;
use contracts::jobs::{SyncChat, SyncMode, chat_resource};
use domain::mail::fold;
use domain::retry::RetryPolicy;
use domain::teams::{chat_window, may_repair};
use domain::time::Clock;
use job_runtime::{Handler, JobContext, JobError, Outcome};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::messages::{self, Place};
use store::sync_state::cursor::{self, CursorKey};
use store::{hints, teams};

use super::channel::{MAX_HINTS, why};
use super::graph::{Graph, answer, context};
use super::hints::{TEAMS, teams_row};
use super::report::Report;
use super::{CHAT, folder};

/// Windows are read in one way.
const OPTIONS: &str = "v1";
/// Pages of one window, 50 messages each.
const PAGES: usize = 100_000;

/// Runs [`SyncChat`].
#[derive(Debug, Clone)]
pub struct SyncChatHandler(pub Graph);

/// A window under way.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Progress {
    from: Option<DateTime<Utc>>,
    to: DateTime<Utc>,
    link: String,
}

#[async_trait]
impl Handler for SyncChatHandler {
    type Payload = SyncChat;

    async fn run(&self, payload: SyncChat, job: JobContext) -> Result<Outcome, JobError> {
        let mut tx = job.begin().await?;
        let known = teams::chats(&mut tx, job.company(), Some(&payload.chat_id), None, 1).await?;
        let Some(known) = known.into_iter().next().filter(|chat| chat.enabled) else {
            return Ok(Outcome::Done(json!({ "skipped": "the chat is unknown or disabled" })));
        };
        let key = chat_resource(&payload.chat_id);
        let named = hints::waiting(&mut tx, job.company(), &key, MAX_HINTS).await?;
        drop(tx);
        let place = Place::chat(job.company(), &payload.chat_id);
        let wire = pb::TeamsPlace { chat_id: payload.chat_id.clone(), ..pb::TeamsPlace::default() };
        let mut report = Report::new(CHAT);
        super::hints::teams(&job, &self.0, (&place, &wire), &key, &named, &mut report).await?;
        let now = SystemClock.now();
        let why = why(payload.trigger, !named.is_empty(), known.last_repair_at.is_none());
        if !why.is_some_and(|why| may_repair(why, known.last_repair_at, now)) {
            report.measure(true);
            return Ok(Outcome::Done(report.to_json()));
        }
        let full = payload.mode == SyncMode::Full;
        let row = report.open(&job, payload.trigger.as_str(), full).await?;
        match self.repair(&job, (&place, &wire), full, &mut report).await {
            Ok(()) => {
                let mut tx = job.begin().await?;
                report.succeed(&mut tx, &job, row).await?;
                let outcome = job.commit_done(tx, &report.to_json()).await?;
                report.measure(true);
                Ok(outcome)
            }
            Err(error) => {
                report.fail(&job, row, &error).await;
                Err(error)
            }
        }
    }

    fn retry_policy(&self) -> RetryPolicy {
        super::RETRY
    }
}

impl SyncChatHandler {
    async fn repair(
        &self,
        job: &JobContext,
        (place, wire): (&Place, &pb::TeamsPlace),
        full: bool,
        report: &mut Report,
    ) -> Result<(), JobError> {
        let key = CursorKey {
            company: job.company(),
            resource_type: "teams",
            user_id: String::new(),
            resource_id: place.id.clone(),
        };
        let mut tx = job.begin().await?;
        let stored = cursor::load(&mut tx, &key).await?;
        drop(tx);
        let resumed = stored.walk.and_then(|walk| serde_json::from_value::<Progress>(walk).ok());
        let read_to = stored.delta_link.and_then(|at| at.parse().ok()).filter(|_| !full);
        let mut progress = resumed.filter(|p| !full || p.from.is_none()).unwrap_or_else(|| {
            let (from, to) = chat_window(read_to, SystemClock.now());
            Progress { from, to, link: String::new() }
        });
        report.full = progress.from.is_none();
        for _ in 0..PAGES {
            let more = match self.page(job, (place, wire), &key, &mut progress, report).await {
                Ok(more) => more,
                Err(error) => {
                    folder::note_failure(job, &key, &error).await;
                    return Err(error);
                }
            };
            if !more {
                let mut tx = job.begin().await?;
                let (items, _) = messages::existing(&mut tx, place).await?;
                cursor::complete(&mut tx, &key, Some(&progress.to.to_rfc3339()), OPTIONS, items).await?;
                return job.commit(tx).await;
            }
        }
        Err(JobError::retry("window_endless", format!("a window had more than {PAGES} pages")))
    }

    /// Reads and stores one page; true when there is another.
    async fn page(
        &self,
        job: &JobContext,
        (place, wire): (&Place, &pb::TeamsPlace),
        key: &CursorKey,
        progress: &mut Progress,
        report: &mut Report,
    ) -> Result<bool, JobError> {
        let request = pb::ListChatMessagesRequest {
            context: Some(context(job)),
            chat_id: wire.chat_id.clone(),
            from_us: progress.from.map_or(0, |at| at.timestamp_micros()),
            to_us: 0,
            link: progress.link.clone(),
        };
        report.calls += 1;
        let page = answer(self.0.teams.clone().list_chat_messages(request).await)?;
        if !page.found {
            return Err(JobError::fail("chat_not_found", "Microsoft does not know this chat"));
        }
        let rows: Vec<_> = fold(page.messages, |message| message.id.clone())
            .into_iter()
            .map(|message| teams_row(wire, message))
            .collect();
        let mut tx = job.store().tenant_bulk(job.company()).await?;
        let effect = messages::apply(&mut tx, place, 0, TEAMS, &rows).await?;
        report.page(&rows, effect);
        report.set_aside(&mut tx, job, &place.id, &page.poison).await?;
        let looped = !page.next_link.is_empty() && page.next_link == progress.link;
        progress.link = page.next_link;
        let walk = serde_json::to_value(&*progress)
            .map_err(|e| JobError::fail("walk", "the window cannot be stored").because(e))?;
        cursor::save_walk(&mut tx, key, if looped { None } else { Some(&walk) }).await?;
        job.checkpoint(tx, None, report.items, None, "items").await?;
        if looped {
            return Err(JobError::retry("round_aborted", "next link loop: a link came back"));
        }
        Ok(!progress.link.is_empty())
    }
}
