//! Messages of a mailbox that may be gone are looked up once, and moved, kept, or set down as gone.

use contracts::graph::v1 as pb;
use domain::mail::{Lookup, judge};
use job_runtime::{JobContext, JobError};
use store::mailboxes::{self, Mailbox};
use store::messages::{self, Doubt, Place};

use super::graph::{Graph, LOOKUP};
use super::report::Report;
use super::{convert, folder};

/// Looks up every message in doubt.
pub(super) async fn settle(
    job: &JobContext,
    graph: &Graph,
    mailbox: &Mailbox,
    report: &mut Report,
) -> Result<(), JobError> {
    let place = Place::mailbox(job.company(), &mailbox.user_id);
    loop {
        let mut tx = job.begin().await?;
        let doubts = messages::doubts(&mut tx, &place, i64::try_from(LOOKUP).unwrap_or(20)).await?;
        drop(tx);
        if doubts.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = doubts.iter().map(|doubt| doubt.provider_id.clone()).collect();
        let answers = graph.messages(job, &mailbox.user_id, ids, folder::selection(mailbox)).await?;
        report.calls += 1;
        let gone: Vec<Doubt> = doubts
            .iter()
            .filter(|doubt| {
                let answer = answers.iter().find(|a| a.id == doubt.provider_id);
                answer.is_some_and(|a| {
                    let found = a.message.as_ref().map(|m| m.folder_id.as_deref());
                    a.poison.is_none() && judge(doubt.folder_id.as_deref(), found) == Lookup::Gone
                })
            })
            .cloned()
            .collect();
        // Neither found nor missing (poison, or no answer at all): kept as they are.
        let kept: Vec<String> = doubts
            .iter()
            .filter(|doubt| !answers.iter().any(|a| a.id == doubt.provider_id && a.poison.is_none()))
            .map(|doubt| doubt.provider_id.clone())
            .collect();
        store_found(job, mailbox, answers, report).await?;
        let mut tx = job.begin().await?;
        messages::gone(&mut tx, &place, &gone).await?;
        messages::restore(&mut tx, &place, &kept).await?;
        job.commit(tx).await?;
    }
}

/// Stores what a look-up found, with the folder that it lies in now.
pub(super) async fn store_found(
    job: &JobContext,
    mailbox: &Mailbox,
    answers: Vec<pb::MessageLookup>,
    report: &mut Report,
) -> Result<(), JobError> {
    let place = Place::mailbox(job.company(), &mailbox.user_id);
    let poison: Vec<pb::PoisonItem> = answers.iter().filter_map(|a| a.poison.clone()).collect();
    let rows: Vec<_> =
        answers.into_iter().filter_map(|a| a.message).map(|m| convert::mail(&mailbox.user_id, m)).collect();
    let mut tx = job.store().tenant_bulk(job.company()).await?;
    let current = mailboxes::get(&mut tx, job.company(), &mailbox.user_id).await?;
    let generation = current.map_or(mailbox.generation, |mailbox| mailbox.generation);
    let effect = messages::apply(&mut tx, &place, generation, folder::kept(mailbox), &rows).await?;
    report.page(&rows, effect);
    report.set_aside(&mut tx, job, &mailbox.user_id, &poison).await?;
    job.commit(tx).await
}
