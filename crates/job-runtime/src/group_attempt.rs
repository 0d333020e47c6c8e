//! The attempts of a group: together while that goes well, one at a time after that.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::time::pause;
use domain::ids::JobId;
use domain::retry::RetryPolicy;
use futures::stream::FuturesUnordered;
use futures::{StreamExt, stream};
use store::jobs::{Claim, Fence, succeed_many};
use tokio::sync::OwnedSemaphorePermit;

use crate::attempt::{self, Work};
use crate::conclude::Conclusion;
use crate::error::JobError;
use crate::group::{AnyGroup, GroupRun};
use crate::lease::Lease;
use crate::panics;
use crate::runtime::Shared;

/// Jobs that are handed back at a time.
const HAND_BACK: usize = 8;

/// A job of the group, until it is over.
struct Member {
    claim: Arc<Claim>,
    lease: Lease,
    _permit: Option<OwnedSemaphorePermit>,
}

/// What a call came to.
enum Call {
    /// Effects and "done" marks are committed.
    Committed,
    /// Nothing is committed: these jobs are no longer ours.
    Lost(Vec<JobId>),
    /// Nothing is committed: the handler failed.
    Failed(JobError),
    /// Nothing is committed: the process ends.
    Stopping,
}

struct Group<'a> {
    shared: &'a Shared,
    kind: &'static str,
    policy: RetryPolicy,
    run: Box<dyn GroupRun>,
    members: Vec<Member>,
    started: Instant,
}

/// Runs the claimed jobs of one company and kind.
pub(crate) async fn run(
    shared: &Shared,
    handler: Arc<dyn AnyGroup>,
    kind: &'static str,
    works: Vec<(Work, Option<OwnedSemaphorePermit>)>,
) {
    let active = metrics::gauge!("worker_jobs_active");
    #[expect(clippy::cast_precision_loss, reason = "a few hundred jobs")]
    let jobs = works.len() as f64;
    active.increment(jobs);
    let mut group = Group {
        shared,
        kind,
        policy: handler.retry_policy(),
        run: handler.open(),
        members: Vec::with_capacity(works.len()),
        started: Instant::now(),
    };
    for (work, permit) in works {
        let member = Member { claim: work.claim, lease: work.lease, _permit: permit };
        match group.run.add(&member.claim, work.payload) {
            Ok(()) => group.members.push(member),
            Err(error) => group.failed(member, &error).await,
        }
    }
    group.together().await;
    active.decrement(jobs);
}

impl Group<'_> {
    /// Runs all members in one call; without those that turn out to be lost, and one at a time after a failure.
    async fn together(&mut self) {
        while self.members.len() > 1 {
            let call = self.call(0..self.members.len()).await;
            let outcome = match &call {
                Call::Committed => "committed",
                Call::Lost(_) => "lost",
                Call::Failed(_) => "split",
                Call::Stopping => "stopped",
            };
            metrics::counter!("job_groups_total", "kind" => self.kind, "outcome" => outcome).increment(1);
            match call {
                Call::Committed => {
                    let took = self.started.elapsed();
                    self.members.drain(..).for_each(|_| attempt::measure(self.kind, "succeeded", took));
                }
                Call::Lost(jobs) => self.give_up(&jobs),
                Call::Stopping => return self.hand_back().await,
                Call::Failed(error) => {
                    let (kind, jobs) = (self.kind, self.members.len());
                    let error = chassis::telemetry::chain(&error);
                    tracing::info!(kind, jobs, error, "a group failed, its jobs run one at a time");
                    break;
                }
            }
        }
        self.singly().await;
    }

    async fn singly(&mut self) {
        while !self.members.is_empty() {
            self.started = Instant::now();
            if self.members[0].lease.hold.cancel_requested.is_cancelled() {
                let member = self.take(0);
                self.conclude(member, &Conclusion::Cancel).await;
                continue;
            }
            match self.call(0..1).await {
                Call::Committed => {
                    self.take(0);
                    attempt::measure(self.kind, "succeeded", self.started.elapsed());
                }
                Call::Lost(jobs) => self.give_up(&jobs),
                Call::Failed(error) => {
                    let member = self.take(0);
                    self.failed(member, &error).await;
                }
                Call::Stopping => return self.hand_back().await,
            }
        }
    }

    fn take(&mut self, at: usize) -> Member {
        self.run.remove(at);
        self.members.remove(at)
    }

    /// Leaves lost jobs to whoever owns them now.
    fn give_up(&mut self, jobs: &[JobId]) {
        for at in (0..self.members.len()).rev() {
            if jobs.contains(&self.members[at].claim.fence.job) {
                let member = self.take(at);
                metrics::counter!("stale_write_rejected_total").increment(1);
                tracing::info!(kind = self.kind, job_id = %member.claim.fence.job, "a job of a group was lost");
                attempt::measure(self.kind, "fenced", self.started.elapsed());
            }
        }
    }

    async fn failed(&self, member: Member, error: &JobError) {
        let hold = &member.lease.hold;
        let (shared, claim) = (self.shared, &member.claim);
        let outcome = attempt::after_error(shared, claim, hold, error, self.policy, self.kind).await;
        attempt::measure(self.kind, outcome, self.started.elapsed());
    }

    async fn conclude(&self, member: Member, conclusion: &Conclusion) {
        let hold = &member.lease.hold;
        let outcome = attempt::write(self.shared, &member.claim, hold, conclusion, self.kind).await;
        attempt::measure(self.kind, outcome, self.started.elapsed());
    }

    async fn hand_back(&mut self) {
        let members: Vec<Member> = self.members.drain(..).collect();
        let interrupted = metrics::counter!("jobs_interrupted_total", "cause" => "shutdown");
        interrupted.increment(u64::try_from(members.len()).unwrap_or(u64::MAX));
        let group = &*self;
        stream::iter(members)
            .for_each_concurrent(HAND_BACK, |member| group.conclude(member, &Conclusion::HandBack))
            .await;
    }

    /// Calls the handler for some members and commits, or leaves nothing behind.
    async fn call(&mut self, range: Range<usize>) -> Call {
        let members = &self.members[range.clone()];
        let limit = members.iter().map(|m| attempt::limit(&m.claim)).min().unwrap_or(Duration::ZERO);
        let mut lost: FuturesUnordered<_> = members.iter().map(|m| m.lease.hold.lost.cancelled()).collect();
        let stopping = self.shared.host.shutdown.stopping();
        let ended = tokio::select! {
            biased;
            Some(()) = lost.next() => Ok(members.iter()
                .filter(|m| m.lease.hold.lost.is_cancelled()).map(|m| m.claim.fence.job).collect()),
            result = panics::catch(transact(self.shared, &mut *self.run, members, range)) => result,
            () = stopping.cancelled() => return Call::Stopping,
            () = pause(limit) => Err(attempt::too_long(limit)),
        };
        if !matches!(&ended, Ok(lost) if Vec::is_empty(lost)) {
            for member in members {
                member.lease.hold.ending(false);
            }
        }
        match ended {
            Ok(lost) if lost.is_empty() => Call::Committed,
            Ok(lost) => Call::Lost(lost),
            Err(error) => Call::Failed(error),
        }
    }
}

/// One transaction: effects, "done" marks, commit. Returns the jobs that are no longer ours, for whose sake nothing
/// was committed.
async fn transact(
    shared: &Shared,
    run: &mut dyn GroupRun,
    members: &[Member],
    range: Range<usize>,
) -> Result<Vec<JobId>, JobError> {
    let Some(first) = members.first() else { return Ok(Vec::new()) };
    let mut tx = shared.store.tenant(first.claim.fence.company).await?;
    run.run(range.clone(), &mut tx).await?;
    let results = run.results(range);
    let fences: Vec<&Fence> = members.iter().map(|member| &member.claim.fence).collect();
    for member in members {
        member.lease.hold.ending(true);
    }
    let lost = succeed_many(&mut tx, &fences, &results).await?;
    if lost.is_empty() {
        tx.commit().await?;
    } else {
        tx.rollback().await?;
    }
    Ok(lost)
}
