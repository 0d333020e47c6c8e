//! `messages.sync_mailbox`: the messages that notifications named, or everything that changed.

use async_trait::async_trait;
use contracts::jobs::{SyncMailbox, SyncMode, Trigger, mailbox_resource};
use domain::drive::WalkMode;
use domain::mail::{Asked, MAX_HINTS, Plan, plan};
use domain::retry::RetryPolicy;
use job_runtime::{Handler, JobContext, JobError, Outcome};
use serde_json::json;
use store::hints;
use store::mailboxes::{self, Mailbox};
use store::messages::Place;
use store::sync_state::cursor;

use super::graph::Graph;
use super::report::Report;
use super::{MAIL, audit, breaker, doubts, folder, tree};

/// Hints that a walk settles at its end.
const COVERED: i64 = 100_000;

/// Runs [`SyncMailbox`].
#[derive(Debug, Clone)]
pub struct SyncMailboxHandler(pub Graph);

#[async_trait]
impl Handler for SyncMailboxHandler {
    type Payload = SyncMailbox;

    async fn run(&self, payload: SyncMailbox, job: JobContext) -> Result<Outcome, JobError> {
        let key = mailbox_resource(&payload.user_id);
        let mut tx = job.begin().await?;
        let Some(mailbox) =
            mailboxes::get(&mut tx, job.company(), &payload.user_id).await?.filter(|mailbox| mailbox.enabled)
        else {
            return Ok(Outcome::Done(json!({ "skipped": "the mailbox is unknown or disabled" })));
        };
        let mut named = hints::waiting(&mut tx, job.company(), &key, COVERED).await?;
        let options = mailbox.options().fingerprint();
        let complete = cursor::mailbox_complete(&mut tx, job.company(), &mailbox.user_id, &options).await?;
        drop(tx);
        let full = payload.mode == SyncMode::Full;
        let notified = payload.trigger == Trigger::Webhook && !full && payload.approved_removals.is_none();
        let asked = if notified { Asked::Notification } else { Asked::Walk };
        let chosen = plan(asked, named.len(), complete);
        let mut report = Report::new(MAIL);
        if matches!(chosen, Plan::Hints | Plan::HintsThenWalk) {
            named.truncate(MAX_HINTS);
            super::hints::mail(&job, &self.0, &mailbox, &key, &named, &mut report).await?;
            named.clear();
        }
        if chosen == Plan::Hints {
            report.measure(true);
            return Ok(Outcome::Done(report.to_json()));
        }
        let row = report.open(&job, payload.trigger.as_str(), full).await?;
        match self.walk(&job, &mailbox, &payload, &mut report).await {
            Ok(()) => {
                let mut tx = job.begin().await?;
                // What was named before the walk began was read by it.
                hints::settle(&mut tx, job.company(), &key, &named).await?;
                report.succeed(&mut tx, &job, row).await?;
                let outcome = job.commit_done(tx, &report.to_json()).await?;
                report.measure(true);
                tracing::info!(mailbox = %mailbox.user_id, added = report.added, updated = report.updated,
                    deleted = report.deleted, full = report.full, "mailbox synchronised");
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

impl SyncMailboxHandler {
    async fn walk(
        &self,
        job: &JobContext,
        mailbox: &Mailbox,
        payload: &SyncMailbox,
        report: &mut Report,
    ) -> Result<(), JobError> {
        let (graph, mode) = match payload.mode {
            SyncMode::Full => (&self.0, WalkMode::Full),
            SyncMode::Delta => (&self.0, WalkMode::Delta),
        };
        if !tree::read(job, graph, mailbox, mode, report).await? {
            return Err(JobError::fail("mailbox_not_found", "Microsoft does not know this mailbox"));
        }
        let mut tx = job.begin().await?;
        let folders = mailboxes::list_folders(&mut tx, job.company(), &mailbox.user_id).await?;
        drop(tx);
        for found in &folders {
            folder::read(job, graph, mailbox, &found.folder_id, mode, report).await?;
        }
        // Before the counts: what moved is in its new folder by then.
        doubts::settle(job, graph, mailbox, report).await?;
        if payload.trigger != Trigger::Webhook {
            for found in &folders {
                audit::folder(job, graph, mailbox, &found.folder_id, report).await?;
            }
            doubts::settle(job, graph, mailbox, report).await?;
        }
        let place = Place::mailbox(job.company(), &mailbox.user_id);
        breaker::remove(job, &place, payload.approved_removals, report).await
    }
}
