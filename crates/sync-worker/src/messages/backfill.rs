//! The past of a folder that a filtered cursor does not reach, window by window.

use contracts::graph::v1 as pb;
use domain::mail::{FolderRound, Window, fold};
use job_runtime::{JobContext, JobError};
use store::mailboxes::Mailbox;
use store::messages::{self, Place};
use store::sync_state::cursor::{self, CursorKey};

use super::feed::as_json;
use super::folder::{kept, rows, selection};
use super::graph::{Graph, answer, context};
use super::report::Report;

/// Pages of one window; a window has a few thousand messages at most before the next one is shortened.
const PAGES: usize = 5_000;

/// Reads the windows that are left; each is stored with the round, so that the next attempt goes on behind it.
pub(super) async fn read(
    job: &JobContext,
    graph: &Graph,
    mailbox: &Mailbox,
    key: &CursorKey,
    round: &mut FolderRound,
    report: &mut Report,
) -> Result<(), JobError> {
    while let Some((mut progress, window)) = round.backfill.and_then(|b| b.next().map(|w| (b, w))) {
        let generation = round.walk.generation();
        let count = one(job, graph, mailbox, &key.resource_id, (generation, window), report).await?;
        progress.read(window, count);
        round.backfill = Some(progress);
        let mut tx = job.begin().await?;
        cursor::save_walk(&mut tx, key, Some(&as_json(round)?)).await?;
        job.commit(tx).await?;
    }
    Ok(())
}

async fn one(
    job: &JobContext,
    graph: &Graph,
    mailbox: &Mailbox,
    folder_id: &str,
    (generation, window): (i64, Window),
    report: &mut Report,
) -> Result<u64, JobError> {
    let place = Place::mailbox(job.company(), &mailbox.user_id);
    let (mut link, mut count) = (String::new(), 0_u64);
    for _ in 0..PAGES {
        let request = pb::ListMessagesRequest {
            context: Some(context(job)),
            user_id: mailbox.user_id.clone(),
            folder_id: folder_id.to_owned(),
            selection: Some(selection(mailbox)),
            from_us: window.from.timestamp_micros(),
            to_us: window.to.timestamp_micros(),
            link,
            page_size: 0,
            ids_only: false,
        };
        report.calls += 1;
        let page = answer(graph.mail.clone().list_messages(request).await)?;
        let rows = rows(mailbox, folder_id, fold(page.messages, |message| message.id.clone()));
        count += u64::try_from(rows.len()).unwrap_or(0);
        let mut tx = job.store().tenant_bulk(job.company()).await?;
        let effect = messages::apply(&mut tx, &place, generation, kept(mailbox), &rows).await?;
        report.page(&rows, effect);
        report.set_aside(&mut tx, job, &mailbox.user_id, &page.poison).await?;
        job.checkpoint(tx, None, report.items, None, "items").await?;
        link = page.next_link;
        if link.is_empty() {
            return Ok(count);
        }
    }
    Err(JobError::retry("backfill_endless", format!("a window had more than {PAGES} pages")))
}
