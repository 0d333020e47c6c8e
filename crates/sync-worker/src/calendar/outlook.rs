//! The calendars of graph-connector, as the calendar sync uses them.
//!
//! A calendar view is a hint about series and removals (provider facts A4): each series that it names is read as a
//! whole, and each removal is looked up once before it is believed.

use std::collections::{BTreeSet, HashSet};

use chassis::grpc::TracedChannel;
use chassis::time::SystemClock;
use chrono::{DateTime, TimeDelta, Utc};
use contracts::fault::from_status;
use contracts::gcal::v1::PoisonEvent;
use contracts::graph::v1 as pb;
use contracts::graph::v1::FaultKind;
use contracts::graph::v1::graph_calendar_client::GraphCalendarClient;
use domain::calendar::cursor::{Cursor, Listed, Request, Round};
use domain::calendar::dialect::Dialect;
use domain::calendar::engine::{Answer, Call, Link};
use domain::calendar::event::{Original, Side};
use domain::calendar::identity;
use domain::calendar::outlook::{Seen, Window, master_of, occurrence, read, unfold};
use domain::calendar::quota::Problem;
use domain::time::Clock;
use job_runtime::{JobContext, JobError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::calendar::rows::{self, Stored};
use tonic::{Response, Status};

use super::Work;
use super::told::{EventPage, Told};
use crate::fault::ProviderError;

/// Largest answer accepted from the connector, in bytes.
const MAX_MESSAGE: usize = 64 * 1024 * 1024;
/// Series that are read anew when a removal may be of one of their occurrences.
const MAX_SERIES: i64 = 1_000;
/// Around an occurrence, since days have no zone.
const MARGIN: TimeDelta = TimeDelta::days(1);

/// A client of the calendars of graph-connector. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outlook {
    client: GraphCalendarClient<TracedChannel>,
}

/// A delta link, or a nextLink, with the window that it is bound to.
#[derive(Debug, Serialize, Deserialize)]
struct Token {
    link: String,
    window: Window,
}

impl Token {
    fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    fn write(link: &str, window: &Window) -> String {
        json!({ "link": link, "window": window }).to_string()
    }
}

/// A value, or what the connector said instead.
type Outcome<T> = Result<T, ProviderError>;

fn answer<T>(result: Result<Response<T>, Status>) -> Outcome<T> {
    result.map(Response::into_inner).map_err(|status| ProviderError(Box::new(from_status(&status))))
}

/// What every call says about its job; someone waits for those of a push.
fn context(job: &JobContext, interactive: bool) -> pb::CallContext {
    pb::CallContext {
        interactive,
        company_id: job.company().to_string(),
        job_id: job.job().to_string(),
        bypass_cache: true,
        ..pb::CallContext::default()
    }
}

/// The JSON of an event; `None` for what is none.
fn parsed(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}

impl Outlook {
    /// A client over a channel.
    pub fn new(channel: TracedChannel) -> Self {
        Self { client: GraphCalendarClient::new(channel).max_decoding_message_size(MAX_MESSAGE) }
    }

    /// Whether a delta link's window has to move ahead.
    pub(super) fn is_stale(token: &str, now: DateTime<Utc>) -> bool {
        Token::read(token).is_none_or(|token| token.window.is_stale(now))
    }

    /// One page of changes, with the series that it touches.
    pub(super) async fn list(
        &self,
        job: &JobContext,
        work: &Work,
        request: Request,
    ) -> Result<EventPage, JobError> {
        let given = request.page_token.or(request.sync_token);
        let token = given.as_deref().and_then(Token::read);
        if given.is_some() && token.is_none() {
            return Ok(EventPage::empty(Listed::TokenRefused));
        }
        let (link, window) = match token {
            Some(token) => (token.link, token.window),
            None => (String::new(), Window::around(SystemClock.now())),
        };
        let asked = pb::CalendarDeltaRequest {
            context: Some(context(job, false)),
            user_id: work.calendar.id.clone(),
            link,
            from_us: window.from.timestamp_micros(),
            to_us: window.to.timestamp_micros(),
        };
        let reply = match answer(self.client.clone().calendar_delta(asked).await) {
            Ok(reply) => reply,
            Err(error) => {
                let listed = match error.kind() {
                    FaultKind::Resync | FaultKind::BadLink => Listed::TokenRefused,
                    FaultKind::NotFound => Listed::CalendarGone,
                    _ => return Err(error.into()),
                };
                return Ok(EventPage::empty(listed));
            }
        };
        let listed = match reply.next {
            Some(pb::calendar_delta_reply::Next::NextLink(link)) => {
                Listed::Page { next_page: Some(Token::write(&link, &window)), next_token: None }
            }
            Some(pb::calendar_delta_reply::Next::DeltaLink(link)) => {
                Listed::Page { next_page: None, next_token: Some(Token::write(&link, &window)) }
            }
            None => Listed::Page { next_page: None, next_token: None },
        };
        let mut page = EventPage { window: Some(window), ..EventPage::empty(listed) };
        page.poison = reply.poison.into_iter().map(poison).collect();
        let items: Vec<Value> = reply.events.iter().filter_map(|bytes| parsed(bytes)).collect();
        self.complete(job, work, items, &mut page).await?;
        Ok(page)
    }

    /// Turns the items of a view into whole events.
    async fn complete(
        &self,
        job: &JobContext,
        work: &Work,
        items: Vec<Value>,
        page: &mut EventPage,
    ) -> Result<(), JobError> {
        let mut series = BTreeSet::new();
        let mut removed = Vec::new();
        for item in items {
            if !item["@removed"].is_null() {
                removed.extend(item["id"].as_str().map(str::to_owned));
            } else if let Some(master) = master_of(&item) {
                series.insert(master);
            } else {
                page.events.push(item);
            }
        }
        if !removed.is_empty() {
            let mut tx = job.begin().await?;
            let stored = rows::by_google_ids(&mut tx, &work.calendar.id, &removed).await?;
            tx.rollback().await?;
            let known: HashSet<String> =
                stored.into_iter().filter_map(|stored| stored.row.link.map(|link| link.id)).collect();
            let mut of_series = false;
            for id in removed {
                match self.event(job, work, &id, false).await? {
                    // It left the window, or the feed was wrong.
                    Some(found) => match master_of(&found) {
                        Some(master) => {
                            series.insert(master);
                        }
                        None if known.contains(&id) => page.events.push(found),
                        None => {}
                    },
                    None if known.contains(&id) => page.events.push(tombstone(&id)),
                    // Nothing of ours has this id: it may be an occurrence of any series.
                    None => of_series = true,
                }
            }
            if of_series {
                let mut tx = job.begin().await?;
                series
                    .extend(store::calendar::outlook::series(&mut tx, &work.calendar.id, MAX_SERIES).await?);
                tx.rollback().await?;
            }
        }
        for master in series {
            self.read_series(job, work, &master, page).await?;
        }
        Ok(())
    }

    /// Adds a series as a whole; one that is gone as a removal.
    async fn read_series(
        &self,
        job: &JobContext,
        work: &Work,
        master: &str,
        page: &mut EventPage,
    ) -> Result<(), JobError> {
        match self.event(job, work, master, true).await? {
            Some(found) => {
                page.events.extend(unfold(found));
                page.series.push(master.to_owned());
            }
            None => page.events.push(tombstone(master)),
        }
        Ok(())
    }

    /// Looks up what the enumeration did not show although its time is inside of the window.
    pub(super) async fn look_again(
        &self,
        job: &JobContext,
        work: &Work,
        page: &mut EventPage,
        unseen: &[Stored],
    ) -> Result<(), JobError> {
        let listed: HashSet<String> =
            page.events.iter().filter_map(|raw| raw["id"].as_str().map(str::to_owned)).collect();
        for stored in unseen {
            let Some(id) = stored.row.link.as_ref().map(|link| &link.id) else { continue };
            if listed.contains(id) || !may_be_missing(stored, page.window.as_ref()) {
                continue;
            }
            match self.event(job, work, id, stored.row.is_master()).await? {
                Some(found) if stored.row.is_master() => {
                    page.events.extend(unfold(found));
                    page.series.push(id.clone());
                }
                Some(found) => page.events.push(found),
                None => {}
            }
        }
        Ok(())
    }

    async fn event(&self, job: &JobContext, work: &Work, id: &str, series: bool) -> Outcome<Option<Value>> {
        let asked = pb::GetOutlookEventRequest {
            context: Some(context(job, false)),
            user_id: work.calendar.id.clone(),
            event_id: id.to_owned(),
            transaction_id: String::new(),
            series,
        };
        let reply = answer(self.client.clone().get_outlook_event(asked).await)?;
        Ok(parsed(&reply.event))
    }

    async fn made_by(&self, job: &JobContext, work: &Work, transaction: &str) -> Outcome<Option<Value>> {
        let asked = pb::GetOutlookEventRequest {
            context: Some(context(job, false)),
            user_id: work.calendar.id.clone(),
            transaction_id: transaction.to_owned(),
            ..pb::GetOutlookEventRequest::default()
        };
        let reply = answer(self.client.clone().get_outlook_event(asked).await)?;
        Ok(parsed(&reply.event))
    }

    /// What stands at a place of a series: an exception, or the occurrence as the rule says it.
    async fn instance(
        &self,
        job: &JobContext,
        work: &Work,
        master: &str,
        original: Original,
    ) -> Outcome<Option<Value>> {
        let Some(series) = self.event(job, work, master, true).await? else { return Ok(None) };
        match occurrence(&series, original) {
            Seen::Exception(found) => return Ok(Some(found)),
            Seen::Cancelled => return Ok(None),
            Seen::Rule => {}
        }
        let at = match original {
            Original::At(at) => at,
            Original::On(day) => day.and_time(chrono::NaiveTime::MIN).and_utc(),
        };
        let asked = pb::ListInstancesRequest {
            context: Some(context(job, false)),
            user_id: work.calendar.id.clone(),
            series_master_id: master.to_owned(),
            from_us: (at - MARGIN).timestamp_micros(),
            to_us: (at + MARGIN).timestamp_micros(),
        };
        let reply = answer(self.client.clone().list_instances(asked).await)?;
        let found = reply.events.iter().filter_map(|bytes| parsed(bytes)).find(|raw| {
            read(raw.clone()).is_ok_and(|one| one.series.is_some_and(|place| place.original == original))
        });
        Ok(found)
    }

    /// The event behind an id of the engine: of a place in a series, of a create of ours, or Outlook's own.
    async fn find(&self, job: &JobContext, work: &Work, id: &str) -> Outcome<Option<Value>> {
        if let Some((master, original)) = identity::split_instance(id) {
            return self.instance(job, work, master, original).await;
        }
        if is_minted(id) {
            return self.made_by(job, work, id).await;
        }
        self.event(job, work, id, false).await
    }

    /// Outlook's own id of what an id of the engine names.
    async fn own_id(&self, job: &JobContext, work: &Work, id: &str) -> Outcome<Option<String>> {
        if identity::split_instance(id).is_none() && !is_minted(id) {
            return Ok(Some(id.to_owned()));
        }
        let found = self.find(job, work, id).await?;
        Ok(found.and_then(|raw| raw["id"].as_str().map(str::to_owned)))
    }

    /// Carries out a call of the engine.
    pub(super) async fn perform(&self, job: &JobContext, work: &Work, call: &Call) -> Told {
        match self.call(job, work, call).await {
            Ok(told) => told,
            // The credential is the application's: once it is mended the same call succeeds.
            Err(error) if error.kind() == FaultKind::Credential => {
                Told { answer: Answer::Refused(Problem::RateLimited), ..Told::refused(error.0) }
            }
            Err(error) => Told::refused(error.0),
        }
    }

    async fn call(&self, job: &JobContext, work: &Work, call: &Call) -> Outcome<Told> {
        let mut client = self.client.clone();
        let user_id = work.calendar.id.clone();
        let event = match call {
            Call::Look { id } => {
                return Ok(Told::plain(match self.find(job, work, id).await? {
                    Some(found) => Answer::Event(found),
                    None => Answer::Refused(Problem::NotFound),
                }));
            }
            Call::Insert { id, body, .. } => {
                let asked = pb::CreateOutlookEventRequest {
                    context: Some(context(job, true)),
                    user_id,
                    transaction_id: id.clone(),
                    json: body.to_string().into_bytes(),
                };
                answer(client.create_outlook_event(asked).await)?.event
            }
            Call::Patch { id, etag, body, .. } => {
                let Some(event_id) = self.own_id(job, work, id).await? else {
                    return Ok(Told::plain(Answer::Refused(Problem::NotFound)));
                };
                let asked = pb::UpdateOutlookEventRequest {
                    context: Some(context(job, true)),
                    user_id,
                    event_id,
                    json: body.to_string().into_bytes(),
                    if_match: etag.clone().unwrap_or_default(),
                };
                answer(client.update_outlook_event(asked).await)?.event
            }
            Call::Delete { id, etag, .. } => {
                let gone = || Ok(Told::plain(Answer::Refused(Problem::Deleted)));
                let Some(event_id) = self.own_id(job, work, id).await? else { return gone() };
                let if_match = etag.clone().unwrap_or_default();
                let asked = pb::DeleteOutlookEventRequest {
                    context: Some(context(job, true)),
                    user_id,
                    event_id,
                    if_match,
                };
                let existed = answer(client.delete_outlook_event(asked).await)?.existed;
                return if existed { Ok(Told::plain(Answer::Empty)) } else { gone() };
            }
        };
        // It answered, and nobody can tell what: as good as no answer.
        Ok(Told::plain(parsed(&event).map_or(Answer::Unknown, Answer::Event)))
    }
}

/// Whether an id is one of those that we mint: Outlook's own are longer, and have capitals.
fn is_minted(id: &str) -> bool {
    id.len() == 52 && identity::valid(id)
}

fn tombstone(id: &str) -> Value {
    json!({ "id": id, "@removed": { "reason": "deleted" } })
}

fn poison(item: pb::PoisonItem) -> PoisonEvent {
    PoisonEvent { raw_json: item.raw_json, reason: item.reason, event_id: item.item_id }
}

impl Work {
    /// The window that a cursor of this calendar looks at; `None` for one without.
    pub(super) fn window(&self, cursor: &Cursor) -> Option<Window> {
        match (&cursor.round, self.dialect) {
            (Round::Incremental { token, .. }, Dialect::Outlook) => Some(Token::read(token)?.window),
            _ => None,
        }
    }
}

/// Whether a row that a complete enumeration did not show can be gone: everything could be seen, or its time is
/// inside of the window. Exceptions go with their series.
pub(super) fn may_be_missing(stored: &Stored, window: Option<&Window>) -> bool {
    let Some(window) = window else { return true };
    if stored.row.place.is_some() {
        return false;
    }
    let known = stored.row.link.as_ref().and_then(Link::side).and_then(Side::event);
    let when = known.and_then(|event| event.when.as_ref());
    stored.row.is_master() || when.is_none_or(|when| window.holds(when))
}
