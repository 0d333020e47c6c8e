//! The count audit: what a folder's feed forgot is found by its number of messages.

use std::collections::BTreeSet;

use contracts::graph::v1 as pb;
use domain::mail::{difference, needs_listing};
use job_runtime::{JobContext, JobError};
use store::mailboxes::{self, Mailbox};
use store::messages::{self, Place};

use super::graph::{Graph, LOOKUP, answer, context};
use super::report::Report;
use super::{doubts, folder};

/// Ids of one folder that are compared; a larger one is left to its next enumeration.
const MAX_IDS: i64 = 500_000;
/// Pages of one listing of ids.
const PAGES: usize = 2_000;

/// Compares one folder with the provider's count and mends the difference: what lacks is read, what is too much is
/// looked up with the other doubts.
pub(super) async fn folder(
    job: &JobContext,
    graph: &Graph,
    mailbox: &Mailbox,
    folder_id: &str,
    report: &mut Report,
) -> Result<(), JobError> {
    // A folder that is read from a date on has no count to compare with.
    if mailbox.since.is_some() {
        return Ok(());
    }
    let (company, user_id) = (job.company(), &mailbox.user_id);
    let request = pb::GetMailFolderRequest {
        context: Some(context(job)),
        user_id: user_id.clone(),
        folder_id: folder_id.to_owned(),
    };
    report.calls += 1;
    let Some(found) = answer(graph.mail.clone().get_mail_folder(request).await)?.folder else {
        let mut tx = job.begin().await?;
        mailboxes::settle_folder(&mut tx, company, user_id, folder_id, false).await?;
        return job.commit(tx).await;
    };
    let mut tx = job.begin().await?;
    let stored = messages::count_in_folder(&mut tx, company, user_id, folder_id).await?;
    if !needs_listing(stored, found.total_item_count) || stored > MAX_IDS {
        return Ok(());
    }
    drop(tx);
    let Some(listed) = ids(job, graph, user_id, folder_id, report).await? else { return Ok(()) };
    let mut tx = job.begin().await?;
    let stored = messages::ids_in_folder(&mut tx, company, user_id, folder_id, MAX_IDS).await?;
    let found = difference(&stored.into_iter().collect(), &listed);
    let place = Place::mailbox(company, user_id);
    messages::suspect(&mut tx, &place, Some(folder_id), &found.surplus).await?;
    job.commit(tx).await?;
    if !found.missing.is_empty() || !found.surplus.is_empty() {
        tracing::warn!(
            folder = folder_id,
            missing = found.missing.len(),
            surplus = found.surplus.len(),
            "the feed of a folder was not complete"
        );
    }
    for chunk in found.missing.chunks(LOOKUP) {
        let answers = graph.messages(job, user_id, chunk.to_vec(), folder::selection(mailbox)).await?;
        report.calls += 1;
        doubts::store_found(job, mailbox, answers, report).await?;
    }
    Ok(())
}

/// Ids of a folder; `None` when there are too many pages.
async fn ids(
    job: &JobContext,
    graph: &Graph,
    user_id: &str,
    folder_id: &str,
    report: &mut Report,
) -> Result<Option<BTreeSet<String>>, JobError> {
    let (mut ids, mut link) = (BTreeSet::new(), String::new());
    for _ in 0..PAGES {
        let request = pb::ListMessagesRequest {
            context: Some(context(job)),
            user_id: user_id.to_owned(),
            folder_id: folder_id.to_owned(),
            link,
            ids_only: true,
            ..pb::ListMessagesRequest::default()
        };
        report.calls += 1;
        let page = answer(graph.mail.clone().list_messages(request).await)?;
        ids.extend(page.messages.into_iter().map(|message| message.id));
        ids.extend(page.poison.into_iter().map(|item| item.item_id).filter(|id| !id.is_empty()));
        link = page.next_link;
        if link.is_empty() {
            return Ok(Some(ids));
        }
    }
    Ok(None)
}
