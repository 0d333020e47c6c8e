//! A delta feed read to its end: pages are stored in order, each with the walk behind it, the next one on its way.

use std::time::Duration;

use async_trait::async_trait;
use contracts::graph::v1::FaultKind;
use domain::drive::{AbortReason, Link, PageFacts, WalkError, WalkRequest, WalkStep};
use domain::mail::FolderRound;
use job_runtime::{JobContext, JobError};
use store::Tx;
use store::sync_state::cursor::{self, CursorKey};

use super::report::Report;
use crate::fault::ProviderError;

/// Pause before the same page is asked for again within an attempt.
const PAUSE: Duration = Duration::from_secs(2);

/// What a page says of the feed.
#[derive(Debug, Default)]
pub(super) struct Links {
    pub(super) next: Option<Link>,
    pub(super) delta: Option<Link>,
    pub(super) items: usize,
    /// There is no feed yet.
    pub(super) nothing: bool,
}

/// A feed: of a folder, of the folder tree, of a channel.
#[async_trait]
pub(super) trait Feed: Sync {
    type Page: Send;

    async fn fetch(&self, job: &JobContext, request: &WalkRequest) -> Result<Self::Page, ProviderError>;

    fn links(page: &Self::Page) -> Links;

    /// Stores a page; answers the rows that it wrote.
    async fn store(
        &self,
        tx: &mut Tx,
        job: &JobContext,
        generation: i64,
        page: Self::Page,
        report: &mut Report,
    ) -> Result<i64, JobError>;

    /// The walk began again under a higher number.
    async fn raise(&self, tx: &mut Tx, job: &JobContext, generation: i64) -> Result<(), JobError>;
}

/// How reading a feed ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FeedEnd {
    /// The round is whole.
    Complete,
    /// There is no feed yet: keep no cursor.
    Nothing,
    /// What the feed is of does not exist.
    Gone,
}

/// Reads a feed to its end; `round` carries its delta link then.
pub(super) async fn read<F: Feed>(
    job: &JobContext,
    key: &CursorKey,
    feed: &F,
    round: &mut FolderRound,
    report: &mut Report,
) -> Result<FeedEnd, JobError> {
    let mut ahead = None;
    loop {
        if job.cancelled().is_cancelled() {
            return Err(JobError::cancelled());
        }
        let fetched = match ahead.take() {
            Some(fetched) => fetched,
            None => feed.fetch(job, round.walk.next_request()).await,
        };
        report.calls += 1;
        let step = match fetched {
            Ok(page) => {
                let links = F::links(&page);
                if links.nothing {
                    return Ok(FeedEnd::Nothing);
                }
                let next = links.next.clone();
                let (stored, fetched) =
                    tokio::join!(store(job, key, feed, round, (page, links), report), async {
                        match next {
                            Some(link) => Some(feed.fetch(job, &WalkRequest::Follow { link }).await),
                            None => None,
                        }
                    });
                let step = stored?;
                if step == WalkStep::Continue {
                    ahead = fetched;
                }
                step
            }
            Err(error) => failed(job, key, feed, round, error).await?,
        };
        match step {
            WalkStep::Continue => {}
            WalkStep::Complete { .. } => return Ok(FeedEnd::Complete),
            WalkStep::Restart(reason) => {
                tracing::warn!(resource = %key.resource_id, %reason, "the round begins again");
            }
            WalkStep::RetryLater => chassis::time::pause(PAUSE).await,
            WalkStep::Abort(reason) => {
                let mut tx = job.begin().await?;
                cursor::save_walk(&mut tx, key, None).await?;
                job.commit(tx).await?;
                if reason == AbortReason::DriveNotFound {
                    return Ok(FeedEnd::Gone);
                }
                return Err(JobError::retry("round_aborted", format!("the round was given up: {reason}")));
            }
        }
    }
}

async fn store<F: Feed>(
    job: &JobContext,
    key: &CursorKey,
    feed: &F,
    round: &mut FolderRound,
    (page, links): (F::Page, Links),
    report: &mut Report,
) -> Result<WalkStep, JobError> {
    let mut tx = job.store().tenant_bulk(job.company()).await?;
    let before = report.items;
    let written = feed.store(&mut tx, job, round.walk.generation(), page, report).await?;
    let novel_items = if links.items == 0 { 0 } else { u64::try_from(written).unwrap_or(0) };
    let step = round.walk.on_page(PageFacts { next_link: links.next, delta_link: links.delta, novel_items });
    if let WalkStep::Complete { delta_link, .. } = &step {
        round.delta_link = Some(delta_link.clone());
    }
    cursor::save_walk(&mut tx, key, Some(&as_json(round)?)).await?;
    let done = report.items;
    if done > before {
        job.checkpoint(tx, None, done, None, "items").await?;
    } else {
        job.commit(tx).await?;
    }
    Ok(step)
}

async fn failed<F: Feed>(
    job: &JobContext,
    key: &CursorKey,
    feed: &F,
    round: &mut FolderRound,
    error: ProviderError,
) -> Result<WalkStep, JobError> {
    let fault = &error.0;
    let walk_error = match fault.kind() {
        FaultKind::Resync => WalkError::Gone {
            instruction: Some(fault.code.clone()).filter(|code| !code.is_empty()),
            location: None,
        },
        FaultKind::NotFound | FaultKind::Deleted => WalkError::NotFound,
        FaultKind::BadLink => WalkError::BadLink,
        FaultKind::TryLater => WalkError::CannotSnapshot,
        FaultKind::Unavailable => WalkError::Server,
        // Throttling, an open breaker, a missing permission: not the walk's affair.
        _ => return Err(error.into()),
    };
    let step = round.walk.on_error(walk_error);
    let mut tx = job.begin().await?;
    feed.raise(&mut tx, job, round.walk.generation()).await?;
    cursor::save_walk(&mut tx, key, Some(&as_json(round)?)).await?;
    job.commit(tx).await?;
    match step {
        WalkStep::Abort(AbortReason::DriveNotFound) => Ok(step),
        WalkStep::Abort(reason) => {
            let mut tx = job.begin().await?;
            cursor::save_walk(&mut tx, key, None).await?;
            job.commit(tx).await?;
            let message = format!("the round was given up: {reason}");
            Err(JobError::retry("round_aborted", message).because(error))
        }
        step => Ok(step),
    }
}

pub(super) fn as_json(round: &FolderRound) -> Result<serde_json::Value, JobError> {
    serde_json::to_value(round).map_err(|e| JobError::fail("walk", "the walk cannot be stored").because(e))
}
