//! `messages.sync_channel`: the messages that notifications named, and a repair read once a day.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use chassis::time::SystemClock;
use chrono::TimeDelta;
use contracts::graph::v1 as pb;
use contracts::graph::v1::channel_message_delta_reply::Next;
use contracts::jobs::{SyncChannel, SyncMode, Trigger, channel_resource};
use domain::drive::{Link, WalkMode, WalkRequest};
use domain::mail::{FolderRound, fold};
use domain::retry::RetryPolicy;
use domain::teams::{Repair, lively_since, may_repair};
use domain::time::Clock;
use job_runtime::{Handler, JobContext, JobError, Outcome};
use serde_json::json;
use store::messages::{self, Place};
use store::sync_state::cursor::{self, CursorKey};
use store::{Tx, hints, teams};

use super::feed::{self, Feed, FeedEnd, Links};
use super::graph::{Graph, answer, context};
use super::hints::{TEAMS, teams_row};
use super::report::Report;
use super::{CHANNEL, breaker, folder};
use crate::fault::ProviderError;

/// Hints that one run reads; more of them wait for the next one.
pub(super) const MAX_HINTS: i64 = 500;
/// The feed is read in one way.
const OPTIONS: &str = "v1";
/// Threads whose replies one repair reads (3,000 messages a day and channel, throttling-limits).
const THREADS: i64 = 500;
/// Pages of replies of one thread.
const PAGES: usize = 200;
/// An enumeration reaches eight months back (chatmessage-delta): what is older was not to be seen.
const REACH_DAYS: i64 = 200;

/// Runs [`SyncChannel`].
#[derive(Debug, Clone)]
pub struct SyncChannelHandler(pub Graph);

/// Why a run may read the whole resource.
pub(super) fn why(trigger: Trigger, hinted: bool, never: bool) -> Option<Repair> {
    match trigger {
        Trigger::Manual => Some(Repair::Manual),
        Trigger::Schedule | Trigger::Sweep => Some(Repair::Routine),
        Trigger::Webhook if !hinted || never => Some(Repair::Gap),
        Trigger::Webhook => None,
    }
}

#[async_trait]
impl Handler for SyncChannelHandler {
    type Payload = SyncChannel;

    async fn run(&self, payload: SyncChannel, job: JobContext) -> Result<Outcome, JobError> {
        let (team, channel) = (payload.team_id.as_str(), payload.channel_id.as_str());
        let mut tx = job.begin().await?;
        let known = teams::channels(&mut tx, job.company(), Some((team, channel)), None, 1).await?;
        let Some(known) = known.into_iter().next().filter(|channel| channel.enabled) else {
            return Ok(Outcome::Done(json!({ "skipped": "the channel is unknown or disabled" })));
        };
        let key = channel_resource(team, channel);
        let named = hints::waiting(&mut tx, job.company(), &key, MAX_HINTS).await?;
        drop(tx);
        let place = Place::channel(job.company(), team, channel);
        let wire = pb::TeamsPlace {
            team_id: team.to_owned(),
            channel_id: channel.to_owned(),
            chat_id: String::new(),
        };
        let mut report = Report::new(CHANNEL);
        super::hints::teams(&job, &self.0, (&place, &wire), &key, &named, &mut report).await?;
        let now = SystemClock.now();
        let why = why(payload.trigger, !named.is_empty(), known.last_repair_at.is_none());
        if !why.is_some_and(|why| may_repair(why, known.last_repair_at, now)) {
            report.measure(true);
            return Ok(Outcome::Done(report.to_json()));
        }
        let row = report.open(&job, payload.trigger.as_str(), payload.mode == SyncMode::Full).await?;
        let reader = Reader { graph: &self.0, wire, place: &place, touched: Mutex::default() };
        match reader.repair(&job, payload.mode, &mut report).await {
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

struct Reader<'a> {
    graph: &'a Graph,
    wire: pb::TeamsPlace,
    place: &'a Place,
    /// Root messages that the round reported.
    touched: Mutex<BTreeSet<String>>,
}

#[async_trait]
impl Feed for Reader<'_> {
    type Page = pb::ChannelMessageDeltaReply;

    async fn fetch(&self, job: &JobContext, request: &WalkRequest) -> Result<Self::Page, ProviderError> {
        let link = match request {
            WalkRequest::Start => String::new(),
            WalkRequest::Follow { link } | WalkRequest::StartAt { location: link } => {
                link.as_str().to_owned()
            }
        };
        let request = pb::ChannelMessageDeltaRequest {
            context: Some(context(job)),
            team_id: self.wire.team_id.clone(),
            channel_id: self.wire.channel_id.clone(),
            link,
        };
        answer(self.graph.teams.clone().channel_message_delta(request).await)
    }

    fn links(page: &Self::Page) -> Links {
        let items = page.messages.len() + page.poison.len();
        match &page.next {
            Some(Next::NextLink(link)) => Links { next: Some(Link::new(&**link)), items, ..Links::default() },
            Some(Next::DeltaLink(link)) => {
                Links { delta: Some(Link::new(&**link)), items, ..Links::default() }
            }
            Some(Next::NothingYet(nothing)) => Links { nothing: *nothing, items, ..Links::default() },
            None => Links { items, ..Links::default() },
        }
    }

    async fn store(
        &self,
        tx: &mut Tx,
        job: &JobContext,
        generation: i64,
        page: Self::Page,
        report: &mut Report,
    ) -> Result<i64, JobError> {
        let rows: Vec<_> = fold(page.messages, |message| message.id.clone())
            .into_iter()
            .map(|message| teams_row(&self.wire, message))
            .collect();
        let effect = messages::apply(tx, self.place, generation, TEAMS, &rows).await?;
        report.page(&rows, effect);
        self.touched
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(rows.into_iter().map(|row| row.provider_id));
        report.set_aside(tx, job, &self.place.id, &page.poison).await?;
        Ok(effect.written)
    }

    async fn raise(&self, tx: &mut Tx, job: &JobContext, generation: i64) -> Result<(), JobError> {
        teams::begin_generation(tx, job.company(), &self.wire.team_id, &self.wire.channel_id, generation)
            .await?;
        Ok(())
    }
}

impl Reader<'_> {
    async fn repair(&self, job: &JobContext, mode: SyncMode, report: &mut Report) -> Result<(), JobError> {
        let key = CursorKey {
            company: job.company(),
            resource_type: "teams",
            user_id: String::new(),
            resource_id: self.place.id.clone(),
        };
        let mode = if mode == SyncMode::Full { WalkMode::Full } else { WalkMode::Delta };
        let mut round = self.begin(job, &key, mode).await?;
        let end = match feed::read(job, &key, self, &mut round, report).await {
            Ok(end) => end,
            Err(error) => {
                folder::note_failure(job, &key, &error).await;
                return Err(error);
            }
        };
        if end == FeedEnd::Gone {
            let error = JobError::fail("channel_not_found", "Microsoft does not know this channel");
            folder::note_failure(job, &key, &error).await;
            return Err(error);
        }
        let full = end == FeedEnd::Complete && round.walk.is_full();
        report.full |= full;
        self.replies(job, full, report).await?;
        if full {
            let since = SystemClock.now() - TimeDelta::days(REACH_DAYS);
            let mut tx = job.begin().await?;
            messages::suspect_unseen(&mut tx, self.place, None, round.walk.generation(), Some(since)).await?;
            job.commit(tx).await?;
            self.settle(job, report).await?;
            breaker::remove(job, self.place, None, report).await?;
        }
        let mut tx = job.begin().await?;
        let (items, _) = messages::existing(&mut tx, self.place).await?;
        cursor::complete(&mut tx, &key, round.delta_link.as_ref().map(Link::as_str), OPTIONS, items).await?;
        job.commit(tx).await
    }

    async fn begin(
        &self,
        job: &JobContext,
        key: &CursorKey,
        mode: WalkMode,
    ) -> Result<FolderRound, JobError> {
        let mut tx = job.begin().await?;
        let stored = cursor::load(&mut tx, key).await?;
        let resumed = stored.walk.and_then(|walk| serde_json::from_value::<FolderRound>(walk).ok());
        // A round whose pages were all stored has lost which threads it touched: it is read again.
        if let Some(round) = resumed.filter(|r| r.resumable(OPTIONS, mode, None) && r.delta_link.is_none()) {
            return Ok(round);
        }
        let generation =
            teams::begin_generation(&mut tx, key.company, &self.wire.team_id, &self.wire.channel_id, 0)
                .await?;
        let link = stored.delta_link.map(|link| (Link::new(link), stored.options));
        let round = FolderRound::begin(link, OPTIONS, mode, generation);
        cursor::save_walk(&mut tx, key, Some(&feed::as_json(&round)?)).await?;
        job.commit(tx).await?;
        Ok(round)
    }

    /// Replies are not in the feed: they are read of every thread that changed or was lively of late.
    async fn replies(&self, job: &JobContext, full: bool, report: &mut Report) -> Result<(), JobError> {
        let since = (!full).then(|| lively_since(SystemClock.now()));
        let mut tx = job.begin().await?;
        let lively = messages::thread_roots(&mut tx, self.place, since, THREADS).await?;
        drop(tx);
        let mut roots = std::mem::take(&mut *self.touched.lock().unwrap_or_else(PoisonError::into_inner));
        roots.extend(lively);
        for root in roots {
            let mut link = String::new();
            for _ in 0..PAGES {
                let request = pb::ListRepliesRequest {
                    context: Some(context(job)),
                    team_id: self.wire.team_id.clone(),
                    channel_id: self.wire.channel_id.clone(),
                    message_id: root.clone(),
                    link,
                };
                report.calls += 1;
                let page = answer(self.graph.teams.clone().list_replies(request).await)?;
                let mut rows: Vec<_> = fold(page.messages, |message| message.id.clone())
                    .into_iter()
                    .map(|message| teams_row(&self.wire, message))
                    .collect();
                for row in &mut rows {
                    row.reply_to_id.clone_from(&root);
                }
                let mut tx = job.begin().await?;
                let effect = messages::apply(&mut tx, self.place, 0, TEAMS, &rows).await?;
                report.page(&rows, effect);
                report.set_aside(&mut tx, job, &self.place.id, &page.poison).await?;
                job.checkpoint(tx, None, report.items, None, "items").await?;
                link = page.next_link;
                if link.is_empty() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Looks up what an enumeration did not see.
    async fn settle(&self, job: &JobContext, report: &mut Report) -> Result<(), JobError> {
        loop {
            let mut tx = job.begin().await?;
            let doubts = messages::doubts(&mut tx, self.place, 50).await?;
            drop(tx);
            if doubts.is_empty() {
                return Ok(());
            }
            for doubt in doubts {
                let reply = self
                    .graph
                    .teams_message(job, self.wire.clone(), &doubt.provider_id, &doubt.reply_to_id)
                    .await?;
                report.calls += 1;
                let mut tx = job.begin().await?;
                let lives = reply.message.is_some() || reply.poison.is_some();
                if let Some(message) = reply.message {
                    let rows = [teams_row(&self.wire, message)];
                    let effect = messages::apply(&mut tx, self.place, 0, TEAMS, &rows).await?;
                    report.page(&rows, effect);
                }
                if lives {
                    messages::restore(&mut tx, self.place, std::slice::from_ref(&doubt.provider_id)).await?;
                } else {
                    messages::gone(&mut tx, self.place, std::slice::from_ref(&doubt)).await?;
                }
                job.commit(tx).await?;
            }
        }
    }
}
