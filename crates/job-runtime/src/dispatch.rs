//! From claims to running attempts: each by itself, in groups, or alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use broker::Delivery;
use domain::ids::{CompanyId, JobId};
use store::jobs::Claim;
use tokio::sync::OwnedSemaphorePermit;
use tracing::{Instrument, Span};

use crate::attempt::{self, Work};
use crate::conclude::Conclusion;
use crate::group::AnyGroup;
use crate::group_attempt;
use crate::handler::Registered;
use crate::runtime::Shared;
use crate::span;

/// Interruptions from which on a job is suspected of killing its worker, and runs with nothing beside it.
const SUSPECT: i32 = 2;

/// Works of one company and kind.
type Groups = BTreeMap<(CompanyId, &'static str), Vec<(Work, Option<OwnedSemaphorePermit>)>>;

/// Starts the attempts of a batch that was claimed when `asked`; each keeps one of the `permits` until it ends.
pub(crate) fn start<'a>(
    shared: &Arc<Shared>,
    queue: &'static str,
    claims: Vec<Claim>,
    asked: Instant,
    permits: Vec<OwnedSemaphorePermit>,
    delivery_of: impl Fn(JobId) -> Option<&'a Delivery>,
) {
    let mut groups = Groups::new();
    for (mut claim, permit) in claims.into_iter().zip(permits) {
        let lease = shared.leases.keep(&claim.fence, asked);
        let kind = shared.handlers.label(&claim.kind);
        metrics::histogram!("job_queue_wait_seconds", "kind" => kind).record(claim.waited_seconds);
        let delivery = delivery_of(claim.fence.job);
        if delivery.is_none() {
            metrics::counter!("jobs_swapped_total", "queue" => queue).increment(1);
        }
        let payload = claim.payload.take();
        let suspect = claim.interruptions >= SUSPECT;
        let work = Work { claim: Arc::new(claim), payload, lease };
        if suspect {
            let span = span::of_job(queue, delivery, &work.claim);
            let (shared, tasks) = (shared.clone(), shared.host.tasks.clone());
            tasks.spawn("job", async move { alone(&shared, queue, kind, work, span, permit).await });
        } else if let Some(Registered::Group(_)) = shared.handlers.get(kind) {
            groups.entry((work.claim.fence.company, kind)).or_default().push((work, Some(permit)));
        } else {
            let span = span::of_job(queue, delivery, &work.claim);
            let (shared, tasks) = (shared.clone(), shared.host.tasks.clone());
            tasks.spawn("job", async move {
                attempt::run(&shared, work, span).await;
                drop(permit);
            });
        }
    }
    for ((_, kind), mut works) in groups {
        let Some(Registered::Group(handler)) = shared.handlers.get(kind) else { continue };
        while !works.is_empty() {
            let rest = works.split_off(works.len().min(handler.most()));
            let works = std::mem::replace(&mut works, rest);
            let (shared, handler, tasks) = (shared.clone(), handler.clone(), shared.host.tasks.clone());
            tasks.spawn("job", async move { grouped(&shared, queue, kind, handler, works).await });
        }
    }
}

async fn grouped(
    shared: &Shared,
    queue: &'static str,
    kind: &'static str,
    handler: Arc<dyn AnyGroup>,
    works: Vec<(Work, Option<OwnedSemaphorePermit>)>,
) {
    let span = span::of_group(queue, kind, works.iter().map(|(work, _)| &*work.claim));
    group_attempt::run(shared, handler, kind, works).instrument(span).await;
}

/// Runs a suspect once every place of this worker is free, so that it takes no neighbour with it should it kill the
/// process. One at a time: another one is handed back at once, and so is every one when the process drains.
async fn alone(
    shared: &Shared,
    queue: &'static str,
    kind: &'static str,
    work: Work,
    span: Span,
    permit: OwnedSemaphorePermit,
) {
    let draining = shared.host.shutdown.draining();
    let hand_back = async |work: Work| {
        attempt::write(shared, &work.claim, &work.lease.hold, &Conclusion::HandBack, kind).await;
    };
    let Ok(_turn) = shared.suspect.try_lock() else {
        tracing::debug!(job_id = %work.claim.fence.job, "one suspect at a time, handing this one back");
        hand_back(work).await;
        // Only now: the suspect that has its turn waits until nothing else is held.
        drop(permit);
        return;
    };
    drop(permit);
    let places = tokio::select! {
        biased;
        () = draining.cancelled() => None,
        () = work.lease.hold.lost.cancelled() => return,
        places = shared.places.clone().acquire_many_owned(u32::from(shared.config.concurrency)) => places.ok(),
    };
    let Some(_places) = places else { return hand_back(work).await };
    let (job_id, interruptions) = (work.claim.fence.job, work.claim.interruptions);
    tracing::info!(kind, %job_id, interruptions, "a job that was interrupted before runs alone");
    metrics::counter!("jobs_isolated_total", "kind" => kind).increment(1);
    match shared.handlers.get(kind) {
        Some(Registered::Group(handler)) => {
            grouped(shared, queue, kind, handler.clone(), vec![(work, None)]).await;
        }
        _ => attempt::run(shared, work, span).await,
    }
}
