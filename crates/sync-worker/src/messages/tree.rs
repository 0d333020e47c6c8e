//! The folder tree of a mailbox.

use async_trait::async_trait;
use contracts::graph::v1 as pb;
use contracts::graph::v1::mail_folder_delta_reply::Next;
use domain::drive::{Link, WalkMode, WalkRequest};
use domain::mail::{FolderRound, fold};
use job_runtime::{JobContext, JobError};
use store::Tx;
use store::mailboxes::{self, Mailbox, NewFolder};
use store::sync_state::cursor::{self, CursorKey};

use super::feed::{self, Feed, FeedEnd, Links};
use super::graph::{Graph, answer, context};
use super::report::Report;
use crate::fault::ProviderError;

/// `resource_id` of the tree's cursor.
pub(super) const TREE: &str = "folders";
/// The tree is read in one way.
const OPTIONS: &str = "v1";

struct TreeFeed<'a> {
    graph: &'a Graph,
    user_id: &'a str,
}

#[async_trait]
impl Feed for TreeFeed<'_> {
    type Page = pb::MailFolderDeltaReply;

    async fn fetch(&self, job: &JobContext, request: &WalkRequest) -> Result<Self::Page, ProviderError> {
        let link = match request {
            WalkRequest::Start => String::new(),
            WalkRequest::Follow { link } | WalkRequest::StartAt { location: link } => {
                link.as_str().to_owned()
            }
        };
        let request = pb::MailFolderDeltaRequest {
            context: Some(context(job)),
            user_id: self.user_id.to_owned(),
            link,
        };
        answer(self.graph.mail.clone().mail_folder_delta(request).await)
    }

    fn links(page: &Self::Page) -> Links {
        let items = page.folders.len() + page.poison.len();
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
        let folded = fold(page.folders, |folder| folder.id.clone());
        let (removed, live): (Vec<_>, Vec<_>) = folded.into_iter().partition(|folder| folder.removed);
        let removed: Vec<String> = removed.into_iter().map(|folder| folder.id).collect();
        let live: Vec<NewFolder> = live.into_iter().map(row).collect();
        report.set_aside(tx, job, self.user_id, &page.poison).await?;
        let written =
            mailboxes::apply_folders(tx, job.company(), self.user_id, generation, &live, &removed).await?;
        Ok(i64::try_from(written).unwrap_or(0))
    }

    async fn raise(&self, tx: &mut Tx, job: &JobContext, generation: i64) -> Result<(), JobError> {
        Ok(mailboxes::raise_generation(tx, job.company(), self.user_id, generation).await?)
    }
}

fn row(wire: pb::MailFolder) -> NewFolder {
    NewFolder {
        folder_id: wire.id,
        parent_id: wire.parent_id,
        name: wire.name,
        well_known_name: wire.well_known_name.map(|name| name.to_lowercase()),
        total_items: wire.total_item_count,
        unread_items: wire.unread_item_count,
        hidden: wire.is_hidden,
    }
}

/// Brings the tree up to date. False when the mailbox does not exist.
pub(super) async fn read(
    job: &JobContext,
    graph: &Graph,
    mailbox: &Mailbox,
    mode: WalkMode,
    report: &mut Report,
) -> Result<bool, JobError> {
    let key = CursorKey {
        company: job.company(),
        resource_type: "messages",
        user_id: mailbox.user_id.clone(),
        resource_id: TREE.to_owned(),
    };
    let feed = TreeFeed { graph, user_id: &mailbox.user_id };
    let mut round = begin(job, &key, OPTIONS, mode).await?;
    if round.delta_link.is_none() && feed::read(job, &key, &feed, &mut round, report).await? == FeedEnd::Gone
    {
        return Ok(false);
    }
    if round.walk.is_full() {
        let mut tx = job.begin().await?;
        mailboxes::suspect_unseen(&mut tx, job.company(), &mailbox.user_id, round.walk.generation()).await?;
        job.commit(tx).await?;
    }
    settle(job, graph, &mailbox.user_id, report).await?;
    let mut tx = job.begin().await?;
    let folders = mailboxes::list_folders(&mut tx, job.company(), &mailbox.user_id).await?.len();
    let link = round.delta_link.as_ref().map(Link::as_str);
    cursor::complete(&mut tx, &key, link, OPTIONS, i64::try_from(folders).unwrap_or(0)).await?;
    job.commit(tx).await?;
    Ok(true)
}

/// Looks up every folder that may be gone, and those below one that is, level by level.
async fn settle(job: &JobContext, graph: &Graph, user_id: &str, report: &mut Report) -> Result<(), JobError> {
    loop {
        let mut tx = job.begin().await?;
        let suspects = mailboxes::suspects(&mut tx, job.company(), user_id).await?;
        drop(tx);
        if suspects.is_empty() {
            return Ok(());
        }
        for folder_id in suspects {
            let request = pb::GetMailFolderRequest {
                context: Some(context(job)),
                user_id: user_id.to_owned(),
                folder_id: folder_id.clone(),
            };
            report.calls += 1;
            let found = answer(graph.mail.clone().get_mail_folder(request).await)?.folder;
            let mut tx = job.begin().await?;
            let lives = found.is_some();
            if let Some(folder) = found {
                let current = mailboxes::begin_generation(&mut tx, job.company(), user_id).await?;
                mailboxes::apply_folders(&mut tx, job.company(), user_id, current, &[row(folder)], &[])
                    .await?;
            }
            mailboxes::settle_folder(&mut tx, job.company(), user_id, &folder_id, lives).await?;
            job.commit(tx).await?;
        }
    }
}

/// Resumes the round under way, or begins one.
pub(super) async fn begin(
    job: &JobContext,
    key: &CursorKey,
    options: &str,
    mode: WalkMode,
) -> Result<FolderRound, JobError> {
    let mut tx = job.begin().await?;
    let stored = cursor::load(&mut tx, key).await?;
    let began = job.stored_checkpoint_as::<i64>();
    let resumed = stored.walk.and_then(|walk| serde_json::from_value::<FolderRound>(walk).ok());
    if let Some(round) = resumed.filter(|round| round.resumable(options, mode, began)) {
        return Ok(round);
    }
    let generation = mailboxes::begin_generation(&mut tx, key.company, &key.user_id).await?;
    let link = stored.delta_link.map(|link| (Link::new(link), stored.options));
    let round = FolderRound::begin(link, options, mode, generation);
    cursor::save_walk(&mut tx, key, Some(&feed::as_json(&round)?)).await?;
    if mode == WalkMode::Full && began.is_none() {
        job.checkpoint(tx, Some(&generation.into()), 0, None, "items").await?;
    } else {
        job.commit(tx).await?;
    }
    Ok(round)
}
