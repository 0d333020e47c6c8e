//! From a delivery to a claim: the ledger decides what the bell is worth.

use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::Delivery;
use chassis::time::{deadline, pause};
use chassis::wait::until_up;
use contracts::bell::Bell;
use domain::ids::{CompanyId, JobId};
use store::StoreError;
use store::jobs::{Claim, ClaimOutcome};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::Span;

use crate::attempt;
use crate::runtime::Shared;

/// Deadline of one try to claim.
const CLAIM: Duration = Duration::from_secs(10);
/// Pause after a claim that the database refused.
const AGAIN: Duration = Duration::from_millis(500);
/// Refusals after which the message is dead-lettered: the database answers and will not have it.
const MAX_REFUSALS: u32 = 3;

/// What a delivery came to.
enum Claimed {
    /// An attempt of ours.
    Attempt(Box<Claim>, Instant),
    /// Nothing to do for this bell.
    Nothing(&'static str),
    /// It cannot be claimed at all.
    Impossible,
    /// The process ends before the job was claimed.
    Unclaimed,
}

/// Claims the job that a delivery rings for, acknowledges, and runs it. `unsettled` is dropped once the
/// delivery needs its channel no more.
pub(crate) async fn receive(
    shared: Arc<Shared>,
    delivery: Delivery,
    permit: OwnedSemaphorePermit,
    unsettled: TaskTrackerToken,
) {
    let bell = match Bell::decode(delivery.body()) {
        Ok(bell) => bell,
        Err(error) => {
            tracing::warn!(
                queue = delivery.queue(),
                routing_key = delivery.routing_key(),
                error = %error,
                "a message is not a bell, dead-lettering it"
            );
            delivery.reject().await;
            return;
        }
    };
    let claimed = shared.claim(&bell).await;
    match claimed {
        Claimed::Attempt(claim, asked) => {
            let span = process_span(&delivery, &claim);
            delivery.ack().await;
            drop((delivery, unsettled));
            attempt::run(shared, *claim, asked, span).await;
        }
        Claimed::Nothing(why) => {
            tracing::debug!(job_id = %bell.job_id, why, "nothing to do for a bell");
            delivery.ack().await;
        }
        Claimed::Impossible => {
            delivery.reject().await;
        }
        // Not acknowledged: it goes back to the queue when the channel closes.
        Claimed::Unclaimed => {}
    }
    drop(permit);
}

impl Shared {
    /// Claims until the database says something.
    async fn claim(&self, bell: &Bell) -> Claimed {
        let mut refusals = 0;
        loop {
            if self.host.shutdown.has_begun() {
                return Claimed::Unclaimed;
            }
            let asked = Instant::now();
            let error = match deadline("claiming", CLAIM, self.try_claim(bell)).await {
                Ok(Ok(ClaimOutcome::Claimed(claim))) => return Claimed::Attempt(claim, asked),
                Ok(Ok(ClaimOutcome::Gone)) => return Claimed::Nothing("gone"),
                Ok(Ok(ClaimOutcome::Stale)) => return Claimed::Nothing("stale"),
                Ok(Ok(ClaimOutcome::Waiting)) => return Claimed::Nothing("waiting"),
                Ok(Ok(ClaimOutcome::Cancelled)) => return Claimed::Nothing("cancelled"),
                Ok(Ok(ClaimOutcome::Expired)) => return Claimed::Nothing("expired"),
                Ok(Err(error)) if !error.is_transient() => {
                    refusals += 1;
                    let text = chassis::telemetry::chain(&error);
                    tracing::error!(job_id = %bell.job_id, error = text, refusals, "a claim was refused");
                    if refusals >= MAX_REFUSALS {
                        return Claimed::Impossible;
                    }
                    pause(AGAIN).await;
                    continue;
                }
                Ok(Err(error)) => chassis::telemetry::chain(&error),
                Err(elapsed) => elapsed.to_string(),
            };
            tracing::warn!(job_id = %bell.job_id, error, "a claim was not answered, waiting for the database");
            let store = &self.store;
            let answered =
                until_up("database", &self.database, &self.host.shutdown, async || store.ping().await).await;
            if answered.is_none() {
                return Claimed::Unclaimed;
            }
        }
    }

    async fn try_claim(&self, bell: &Bell) -> Result<ClaimOutcome, StoreError> {
        let (company, job) = (CompanyId(bell.company_id), JobId(bell.job_id));
        let mut tx = self.store.tenant(company).await?;
        let lease = self.config.lease_seconds;
        let outcome = store::jobs::claim(&mut tx, company, job, bell.epoch, self.worker, lease).await?;
        match &outcome {
            ClaimOutcome::Cancelled => {
                store::jobs::request_cancel(&mut tx, company, job, "claim").await?;
            }
            ClaimOutcome::Expired => {
                store::jobs::bury_expired(&mut tx, company, job).await?;
            }
            _ => {}
        }
        tx.commit().await?;
        Ok(outcome)
    }
}

/// The span of the attempt: in the trace of the request that enqueued the job, and linked to it as
/// OpenTelemetry asks of consumers.
fn process_span(delivery: &Delivery, claim: &Claim) -> Span {
    let span = tracing::info_span!(
        "job",
        otel.name = format!("process {}", delivery.queue()),
        otel.kind = "consumer",
        messaging.system = "rabbitmq",
        messaging.operation.name = "process",
        messaging.operation.type = "process",
        messaging.destination.name =
            format!("{}:{}:{}", delivery.exchange(), delivery.routing_key(), delivery.queue()),
        messaging.rabbitmq.destination.routing_key = delivery.routing_key(),
        messaging.rabbitmq.message.delivery_tag = delivery.tag(),
        messaging.message.id = delivery.message_id(),
        messaging.message.body.size = delivery.body().len(),
        job_id = %claim.fence.job,
        company_id = %claim.fence.company,
        kind = claim.kind,
        attempt = claim.attempt,
    );
    let trace = if claim.trace.trace_id().is_some() { claim.trace.clone() } else { delivery.trace() };
    trace.set_as_parent_of(&span);
    trace.link_to(&span);
    span
}
