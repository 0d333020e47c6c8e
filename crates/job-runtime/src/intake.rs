//! From deliveries to claims: the ledger decides what the bells are worth.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use broker::Delivery;
use chassis::time::{deadline, pause};
use chassis::wait::until_up;
use contracts::bell::decode_all;
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

/// A message and what became of its bells.
struct Message {
    delivery: Delivery,
    /// The ledger would not have one of them.
    refused: AtomicBool,
}

/// A bell that was delivered.
struct Rung {
    message: Arc<Message>,
    job: JobId,
    epoch: i64,
    /// Whether other bells of its message came before it, and come after it.
    first: bool,
    last: bool,
}

/// Bells that were delivered and are not claimed yet, in their order.
#[derive(Default)]
pub(crate) struct Batch {
    rung: VecDeque<Rung>,
}

impl Batch {
    /// Adds the bells of a delivery; one that is none of ours is dead-lettered.
    pub(crate) async fn add(&mut self, queue: &'static str, delivery: Delivery) {
        let bells = match decode_all(delivery.body()) {
            Ok(bells) => bells,
            Err(error) => {
                let (routing_key, error) = (delivery.routing_key(), chassis::telemetry::chain(&error));
                tracing::warn!(queue, routing_key, error, "a message is not a bell, dead-lettering it");
                delivery.reject().await;
                return;
            }
        };
        let message = Arc::new(Message { delivery, refused: AtomicBool::new(false) });
        let number = bells.len();
        self.rung.extend(bells.iter().enumerate().map(|(at, bell)| Rung {
            message: message.clone(),
            job: JobId(bell.job_id),
            epoch: bell.epoch,
            first: at == 0,
            last: at + 1 == number,
        }));
    }

    pub(crate) fn len(&self) -> usize {
        self.rung.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rung.is_empty()
    }
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

/// Claims the jobs that the next bells of the batch ring for, as many as there are permits, in one transaction, starts
/// the attempts, and acknowledges the messages that have no further bells. What is neither acknowledged nor rejected at
/// the end, because the process ends, goes back to the queue when the channel closes.
pub(crate) async fn take(
    shared: &Arc<Shared>,
    queue: &'static str,
    batch: &mut Batch,
    permits: Vec<OwnedSemaphorePermit>,
) {
    let rung: Vec<Rung> = batch.rung.drain(..permits.len().min(batch.rung.len())).collect();
    match shared.claim(&rung).await {
        Answer::Claimed(claimed, asked) => begin(shared, queue, claimed, asked, permits, &rung),
        Answer::Refused => {
            if !singly(shared, queue, &rung, permits).await {
                return;
            }
        }
        Answer::Unclaimed => return,
    }
    let mut done = None;
    for rung in rung.iter().filter(|rung| rung.last) {
        if rung.message.refused.load(Ordering::Relaxed) {
            rung.message.delivery.reject().await;
        } else {
            done = Some(&rung.message.delivery);
        }
    }
    if let Some(delivery) = done {
        // Batches of a channel come one after another: all up to this one are settled.
        delivery.ack_through().await;
    }
}

/// One bell at a time, so that the one which the ledger refuses takes no neighbour along; false when the process ends
/// meanwhile.
async fn singly(
    shared: &Arc<Shared>,
    queue: &'static str,
    rung: &[Rung],
    mut permits: Vec<OwnedSemaphorePermit>,
) -> bool {
    'bells: for rung in rung {
        let permit = permits.pop();
        for refusals in 1..=MAX_REFUSALS {
            match shared.claim(std::slice::from_ref(rung)).await {
                Answer::Claimed(claimed, asked) => {
                    let permits = permit.into_iter().collect();
                    begin(shared, queue, claimed, asked, permits, std::slice::from_ref(rung));
                    continue 'bells;
                }
                Answer::Refused if refusals < MAX_REFUSALS => pause(AGAIN).await,
                Answer::Refused => {}
                Answer::Unclaimed => return false,
            }
        }
        tracing::error!(job_id = %rung.job, "a job cannot be claimed, dead-lettering its bell");
        rung.message.refused.store(true, Ordering::Relaxed);
    }
    true
}

/// Gives the rest of a batch up, for workers with free places: bells of a message that has given some already are rung
/// anew, since the message would bring those again as well. The caller closes the channel, which returns the others.
pub(crate) async fn give_up(shared: &Shared, queue: &'static str, batch: Batch) {
    let Some(begun) = batch.rung.front().filter(|rung| !rung.first) else { return };
    let of_it = batch.rung.iter().take_while(|rung| Arc::ptr_eq(&rung.message, &begun.message));
    let jobs: Vec<JobId> = of_it.map(|rung| rung.job).collect();
    match deadline("ringing again", CLAIM, shared.ring(&jobs)).await {
        Ok(Ok(())) => {
            begun.message.delivery.ack().await;
        }
        // It comes again as a whole; what was claimed of it is stale.
        Ok(Err(error)) => {
            let error = chassis::telemetry::chain(&error);
            tracing::warn!(queue, error, "bells are not rung again, their message goes back");
        }
        Err(error) => tracing::warn!(queue, %error, "bells are not rung again, their message goes back"),
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
    let of: HashMap<JobId, &Delivery> = rung.iter().map(|rung| (rung.job, &rung.message.delivery)).collect();
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

    async fn ring(&self, jobs: &[JobId]) -> Result<(), StoreError> {
        let mut tx = self.store.dispatch().await?;
        store::jobs::ring(&mut tx, jobs).await?;
        tx.commit().await
    }

    async fn try_claim(&self, bells: &[(JobId, i64)]) -> Result<Claimed, StoreError> {
        let mut tx = self.store.dispatch().await?;
        let claimed = claim_many(&mut tx, bells, self.worker, self.config.lease_seconds).await?;
        tx.commit().await?;
        Ok(claimed)
    }
}
