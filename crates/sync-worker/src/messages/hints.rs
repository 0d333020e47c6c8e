//! Messages that notifications named are read one by one, and settled with what was read.

use contracts::graph::v1 as pb;
use job_runtime::{JobContext, JobError};
use store::hints::{self, Hint};
use store::mailboxes::Mailbox;
use store::messages::{self, Kept, Place};

use super::graph::{Graph, LOOKUP};
use super::report::Report;
use super::{convert, folder};

/// Of a mailbox.
pub(super) async fn mail(
    job: &JobContext,
    graph: &Graph,
    mailbox: &Mailbox,
    resource_key: &str,
    named: &[Hint],
    report: &mut Report,
) -> Result<(), JobError> {
    let place = Place::mailbox(job.company(), &mailbox.user_id);
    for chunk in named.chunks(LOOKUP) {
        let ids = chunk.iter().map(|hint| hint.hint.clone()).collect();
        let answers = graph.messages(job, &mailbox.user_id, ids, folder::selection(mailbox)).await?;
        report.calls += 1;
        let mut tx = job.begin().await?;
        let poison: Vec<pb::PoisonItem> = answers.iter().filter_map(|a| a.poison.clone()).collect();
        let missing: Vec<String> = answers
            .iter()
            .filter(|a| a.message.is_none() && a.poison.is_none())
            .map(|a| a.id.clone())
            .collect();
        let live: Vec<pb::MailMessage> = answers.into_iter().filter_map(|a| a.message).collect();
        let rows = folder::rows(mailbox, "", live);
        let effect =
            messages::apply(&mut tx, &place, mailbox.generation, folder::kept(mailbox), &rows).await?;
        report.page(&rows, effect);
        for id in missing {
            let gone = messages::tombstone(&mut tx, &place, &id, "").await?;
            report.deleted += i64::try_from(gone).unwrap_or(0);
        }
        report.set_aside(&mut tx, job, &mailbox.user_id, &poison).await?;
        hints::settle(&mut tx, job.company(), resource_key, chunk).await?;
        job.commit(tx).await?;
        report.hints += i64::try_from(chunk.len()).unwrap_or(0);
    }
    Ok(())
}

/// Of a channel or chat: a reply is `{root}/{reply}`.
pub(super) async fn teams(
    job: &JobContext,
    graph: &Graph,
    (place, wire): (&Place, &pb::TeamsPlace),
    resource_key: &str,
    named: &[Hint],
    report: &mut Report,
) -> Result<(), JobError> {
    for hint in named {
        let (root, id) = hint.hint.split_once('/').unwrap_or(("", &hint.hint));
        let reply = graph.teams_message(job, wire.clone(), id, root).await?;
        report.calls += 1;
        let mut tx = job.begin().await?;
        let poison: Vec<pb::PoisonItem> = reply.poison.into_iter().collect();
        match reply.message {
            Some(message) => {
                let rows = [teams_row(wire, message)];
                let effect = messages::apply(&mut tx, place, 0, TEAMS, &rows).await?;
                report.page(&rows, effect);
            }
            None if poison.is_empty() => {
                let gone = messages::tombstone(&mut tx, place, id, root).await?;
                report.deleted += i64::try_from(gone).unwrap_or(0);
            }
            None => {}
        }
        report.set_aside(&mut tx, job, &place.id, &poison).await?;
        hints::settle(&mut tx, job.company(), resource_key, std::slice::from_ref(hint)).await?;
        job.commit(tx).await?;
        report.hints += 1;
    }
    Ok(())
}

/// Everything of a message of Teams is kept.
pub(super) const TEAMS: Kept = Kept { bodies: true, attachments: true };

/// A message of Teams as a row; one that does not name its place stands where it was found.
pub(super) fn teams_row(
    place: &pb::TeamsPlace,
    mut message: pb::TeamsMessage,
) -> store::messages::NewMessage {
    let named = message.place.get_or_insert_with(|| place.clone());
    if named.chat_id.is_empty() && named.channel_id.is_empty() {
        *named = place.clone();
    }
    convert::teams(message)
}
