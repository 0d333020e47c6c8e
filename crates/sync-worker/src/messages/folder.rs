//! The messages of one folder.

use async_trait::async_trait;
use chassis::time::SystemClock;
use contracts::graph::v1 as pb;
use contracts::graph::v1::message_delta_reply::Next;
use domain::drive::{Link, WalkMode, WalkRequest};
use domain::mail::{Backfill, fold};
use domain::time::Clock;
use job_runtime::{JobContext, JobError};
use store::Tx;
use store::mailboxes::{self, Mailbox};
use store::messages::{self, Kept, NewMessage, Place};
use store::sync_state::cursor::{self, CursorKey};

use super::feed::{self, Feed, FeedEnd, Links};
use super::graph::{Graph, answer, context};
use super::report::Report;
use super::{backfill, convert, tree};
use crate::fault::ProviderError;

/// What is read of a message, on the wire.
pub(super) fn selection(mailbox: &Mailbox) -> pb::MailSelection {
    pb::MailSelection { bodies: mailbox.bodies, attachments: mailbox.attachments }
}

/// What is kept of a message.
pub(super) fn kept(mailbox: &Mailbox) -> Kept {
    Kept { bodies: mailbox.bodies, attachments: mailbox.attachments }
}

struct FolderFeed<'a> {
    graph: &'a Graph,
    mailbox: &'a Mailbox,
    folder_id: &'a str,
}

#[async_trait]
impl Feed for FolderFeed<'_> {
    type Page = pb::MessageDeltaReply;

    async fn fetch(&self, job: &JobContext, request: &WalkRequest) -> Result<Self::Page, ProviderError> {
        let link = match request {
            WalkRequest::Start => String::new(),
            WalkRequest::Follow { link } | WalkRequest::StartAt { location: link } => {
                link.as_str().to_owned()
            }
        };
        let request = pb::MessageDeltaRequest {
            context: Some(context(job)),
            user_id: self.mailbox.user_id.clone(),
            folder_id: self.folder_id.to_owned(),
            selection: Some(selection(self.mailbox)),
            link,
            page_size: 0,
            received_since_us: self.mailbox.since.map_or(0, |at| at.timestamp_micros()),
        };
        answer(self.graph.mail.clone().message_delta(request).await)
    }

    fn links(page: &Self::Page) -> Links {
        let items = page.messages.len() + page.poison.len();
        match &page.next {
            Some(Next::NextLink(link)) => Links { next: Some(Link::new(&**link)), items, ..Links::default() },
            Some(Next::DeltaLink(link)) => {
                Links { delta: Some(Link::new(&**link)), items, ..Links::default() }
            }
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
        let folded = fold(page.messages, |message| message.id.clone());
        let (removed, live): (Vec<_>, Vec<_>) =
            folded.into_iter().partition(|message| !message.removed.is_empty());
        let place = Place::mailbox(job.company(), &self.mailbox.user_id);
        let rows = rows(self.mailbox, self.folder_id, live);
        let effect = messages::apply(tx, &place, generation, kept(self.mailbox), &rows).await?;
        report.page(&rows, effect);
        let removed: Vec<String> = removed.into_iter().map(|message| message.id).collect();
        let suspects = messages::suspect(tx, &place, Some(self.folder_id), &removed).await?;
        report.set_aside(tx, job, &self.mailbox.user_id, &page.poison).await?;
        Ok(effect.written + i64::try_from(suspects).unwrap_or(0))
    }

    async fn raise(&self, tx: &mut Tx, job: &JobContext, generation: i64) -> Result<(), JobError> {
        Ok(mailboxes::raise_generation(tx, job.company(), &self.mailbox.user_id, generation).await?)
    }
}

/// Messages that a folder (empty: nobody knows which) reported; those that do not name theirs lie in it.
pub(super) fn rows(mailbox: &Mailbox, folder_id: &str, live: Vec<pb::MailMessage>) -> Vec<NewMessage> {
    let mut rows: Vec<NewMessage> = live.into_iter().map(|m| convert::mail(&mailbox.user_id, m)).collect();
    for row in rows.iter_mut().filter(|row| row.folder_id.is_none() && !folder_id.is_empty()) {
        row.folder_id = Some(folder_id.to_owned());
    }
    // Nothing earlier is kept, whatever a feed says of it later on.
    rows.retain(|row| mailbox.since.is_none_or(|since| row.received_at.is_none_or(|at| at >= since)));
    rows
}

/// Brings one folder up to date.
pub(super) async fn read(
    job: &JobContext,
    graph: &Graph,
    mailbox: &Mailbox,
    folder_id: &str,
    mode: WalkMode,
    report: &mut Report,
) -> Result<(), JobError> {
    let options = mailbox.options().fingerprint();
    let key = CursorKey {
        company: job.company(),
        resource_type: "messages",
        user_id: mailbox.user_id.clone(),
        resource_id: folder_id.to_owned(),
    };
    let feed = FolderFeed { graph, mailbox, folder_id };
    let mut round = tree::begin(job, &key, &options, mode).await?;
    if round.delta_link.is_none() {
        match feed::read(job, &key, &feed, &mut round, report).await {
            Ok(FeedEnd::Complete) => {}
            Ok(FeedEnd::Gone | FeedEnd::Nothing) => {
                let mut tx = job.begin().await?;
                mailboxes::settle_folder(&mut tx, job.company(), &mailbox.user_id, folder_id, false).await?;
                return job.commit(tx).await;
            }
            Err(error) => {
                note_failure(job, &key, &error).await;
                return Err(error);
            }
        }
        if let Some(since) = mailbox.since.filter(|_| round.walk.is_full()) {
            round.backfill = Some(Backfill::new(since, SystemClock.now()));
        }
    }
    report.full |= round.walk.is_full();
    backfill::read(job, graph, mailbox, &key, &mut round, report).await?;
    let mut tx = job.begin().await?;
    if round.walk.is_full() {
        let place = Place::mailbox(job.company(), &mailbox.user_id);
        let generation = round.walk.generation();
        messages::suspect_unseen(&mut tx, &place, Some(folder_id), generation, mailbox.since).await?;
    }
    let items = messages::count_in_folder(&mut tx, job.company(), &mailbox.user_id, folder_id).await?;
    cursor::complete(&mut tx, &key, round.delta_link.as_ref().map(Link::as_str), &options, items).await?;
    job.commit(tx).await
}

/// Notes why a cursor did not advance. What goes wrong here is logged: the job's own failure matters more.
pub(super) async fn note_failure(job: &JobContext, key: &CursorKey, error: &JobError) {
    if error.is_fenced() || error.verdict().is_none() {
        return;
    }
    let note = async {
        let mut tx = job.begin().await?;
        let failures = cursor::fail(&mut tx, key, &error.to_string()).await?;
        job.commit(tx).await?;
        let source = if key.resource_type == "messages" { super::MAIL } else { "teams" };
        metrics::gauge!("sync_consecutive_failures", "source" => source).set(f64::from(failures));
        Ok::<_, JobError>(())
    };
    if let Err(e) = note.await {
        tracing::warn!(error = %e, "the failed round could not be recorded");
    }
}
