//! From deliveries to claims: the ledger decides what the bells are worth.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::Delivery;
use chassis::time::{deadline, pause};
use chassis::wait::until_up;
use contracts::bell::Bell;
use domain::ids::JobId;
use store::StoreError;
use store::jobs::{Claimed, claim_many};
use tokio::sync::OwnedSemaphorePermit;

use crate::dispatch;
use crate::runtime::Shared;

/// Deadline of one try to claim.
const CLAIM: Duration = Duration::from_secs(10);
/// Pause after a claim that the database refused.
const AGAIN: Duration = Duration::from_millis(500);
/// Refusals after which the message is dead-lettered: the database answers and will not have it.
const MAX_REFUSALS: u32 = 3;

/// A delivery and what it says.
struct Rung {
    delivery: Delivery,
    job: JobId,
    epoch: i64,
}

/// What a question to the ledger came to.
enum Answer {
    /// It answered, to a question sent then.
    Claimed(Claimed, Instant),
    /// It answers, but will not have this question.
    Refused,
    /// The process ends before it answered.
    Unclaimed,
}

/// Claims the jobs that these deliveries ring for in one transaction, acknowledges them, and starts the attempts.
/// There is a permit for each delivery. What is neither acknowledged nor rejected at the end, because the
/// process ends, goes back to the queue when the channel closes.
pub(crate) async fn take(
    shared: &Arc<Shared>,
    queue: &'static str,
    deliveries: Vec<Delivery>,
    mut permits: Vec<OwnedSemaphorePermit>,
) {
    let mut rung = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        match Bell::decode(delivery.body()) {
            Ok(bell) => rung.push(Rung { delivery, job: JobId(bell.job_id), epoch: bell.epoch }),
            Err(error) => {
                let (routing_key, error) = (delivery.routing_key(), error.to_string());
                tracing::warn!(queue, routing_key, error, "a message is not a bell, dead-lettering it");
                delivery.reject().await;
            }
        }
    }
    if rung.is_empty() {
        return;
    }
    permits.truncate(rung.len());
    match shared.claim(&rung).await {
        Answer::Claimed(claimed, asked) => {
            begin(shared, queue, claimed, asked, permits, &rung);
            if let Some(last) = rung.last() {
                // Batches of a channel come one after another: all up to this one are settled.
                last.delivery.ack_through().await;
            }
        }
        Answer::Refused => singly(shared, queue, rung, permits).await,
        Answer::Unclaimed => {}
    }
}

/// One bell at a time, so that the one which the ledger refuses takes no neighbour along.
async fn singly(
    shared: &Arc<Shared>,
    queue: &'static str,
    rung: Vec<Rung>,
    mut permits: Vec<OwnedSemaphorePermit>,
) {
    'bells: for rung in rung {
        let permit = permits.pop();
        for refusals in 1..=MAX_REFUSALS {
            match shared.claim(std::slice::from_ref(&rung)).await {
                Answer::Claimed(claimed, asked) => {
                    let permits = permit.into_iter().collect();
                    begin(shared, queue, claimed, asked, permits, std::slice::from_ref(&rung));
                    rung.delivery.ack().await;
                    continue 'bells;
                }
                Answer::Refused if refusals < MAX_REFUSALS => pause(AGAIN).await,
                Answer::Refused => {}
                Answer::Unclaimed => return,
            }
        }
        tracing::error!(job_id = %rung.job, "a job cannot be claimed, dead-lettering its bell");
        rung.delivery.reject().await;
    }
}

fn begin(
    shared: &Arc<Shared>,
    queue: &'static str,
    claimed: Claimed,
    asked: Instant,
    permits: Vec<OwnedSemaphorePermit>,
    rung: &[Rung],
) {
    let of: HashMap<JobId, &Delivery> = rung.iter().map(|rung| (rung.job, &rung.delivery)).collect();
    for (job, outcome) in &claimed.rest {
        tracing::debug!(job_id = %job, why = outcome.label(), "nothing to do for a bell");
    }
    metrics::counter!("job_claim_batches_total", "queue" => queue).increment(1);
    dispatch::start(shared, queue, claimed.claims, asked, permits, |job| of.get(&job).copied());
}

impl Shared {
    /// Claims until the database says something.
    async fn claim(&self, rung: &[Rung]) -> Answer {
        let mut seen = HashSet::with_capacity(rung.len());
        let bells: Vec<(JobId, i64)> =
            rung.iter().map(|rung| (rung.job, rung.epoch)).filter(|bell| seen.insert(*bell)).collect();
        loop {
            if self.host.shutdown.has_begun() {
                return Answer::Unclaimed;
            }
            let asked = Instant::now();
            let error = match deadline("claiming", CLAIM, self.try_claim(&bells)).await {
                Ok(Ok(claimed)) => return Answer::Claimed(claimed, asked),
                Ok(Err(error)) if !error.is_transient() => {
                    let error = chassis::telemetry::chain(&error);
                    tracing::error!(error, bells = bells.len(), "a claim was refused");
                    return Answer::Refused;
                }
                Ok(Err(error)) => chassis::telemetry::chain(&error),
                Err(elapsed) => elapsed.to_string(),
            };
            tracing::warn!(error, bells = bells.len(), "a claim was not answered, waiting for the database");
            let store = &self.store;
            let answered =
                until_up("database", &self.database, &self.host.shutdown, async || store.ping().await).await;
            if answered.is_none() {
                return Answer::Unclaimed;
            }
        }
    }

    async fn try_claim(&self, bells: &[(JobId, i64)]) -> Result<Claimed, StoreError> {
        let mut tx = self.store.dispatch().await?;
        let claimed = claim_many(&mut tx, bells, self.worker, self.config.lease_seconds).await?;
        tx.commit().await?;
        Ok(claimed)
    }
}
