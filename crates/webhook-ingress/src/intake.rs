//! Where deliveries become durable: many share one transaction, and while PostgreSQL is away one sync of the spool.
//!
//! One task commits. What arrives meanwhile is the next batch, so that nobody waits for company and a thousand
//! deliveries cost little more than one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chassis::time::deadline;
use domain::time::SharedClock;
use store::flags::Board;
use store::{Store, StoreError};
use tokio::sync::{Notify, mpsc, oneshot};
use web::rate::RateLimiter;

use crate::arrival::{Arrival, Source};
use crate::commit::{self, Effects, Rules, Tally};
use crate::memory::Memories;
use crate::metrics::count;
use crate::spool::{Spool, SpoolFault};

/// Deliveries of one transaction.
const MAX_ARRIVALS: usize = 256;
/// Notifications of one transaction.
const MAX_ITEMS: usize = 2000;
/// Deliveries that wait for the next transaction; more wait outside.
pub const MAX_WAITING: usize = 4096;
/// Graph counts an answer as slow after 3 s (change-notifications-delivery-webhooks, Graph v1.0): the database has this
/// long, and the spool takes what is left.
const COMMIT: Duration = Duration::from_millis(1500);
/// Deliveries of one address a minute that the spool takes from strangers. Nobody can judge them while PostgreSQL is
/// away, and the room is for those who were known before.
const SPOOLED_STRANGERS: u32 = 120;
/// Deliveries of strangers that leave receipts; anyone can reach the door.
const RECEIPTS_PER_MINUTE: u32 = 120;

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Judged, and what it causes is committed.
    Committed(Tally),
    /// It waits in the spool, to be judged later.
    Spooled,
    /// Nothing is durable: the provider has to come again.
    Refused,
}

/// A delivery whose sender waits for the answer.
#[derive(Debug)]
pub struct Waiting {
    arrival: Arrival,
    /// Address of the sender.
    address: String,
    answer: oneshot::Sender<Taken>,
}

/// The way in; clones share it.
#[derive(Debug, Clone)]
pub struct Intake(mpsc::Sender<Waiting>);

impl Intake {
    /// Makes a delivery durable.
    pub async fn take(&self, arrival: Arrival, address: String) -> Taken {
        let (answer, taken) = oneshot::channel();
        if self.0.send(Waiting { arrival, address, answer }).await.is_err() {
            return Taken::Refused;
        }
        taken.await.unwrap_or(Taken::Refused)
    }
}

/// What committing and replaying share.
#[derive(Debug)]
pub struct Keeper {
    pub(crate) store: Store,
    pub(crate) realtime: bool,
    flags: Board,
    pub(crate) memories: Memories,
    pub(crate) spool: Arc<Spool>,
    pub(crate) clock: SharedClock,
    /// PostgreSQL did not answer last time.
    pub(crate) away: AtomicBool,
    /// Rings when something was spooled.
    pub(crate) spooled: Notify,
    receipts: RateLimiter,
    strangers: RateLimiter,
}

impl Keeper {
    /// Nothing is known of the database yet.
    pub fn new(
        store: Store,
        realtime: bool,
        memories: Memories,
        spool: Arc<Spool>,
        clock: SharedClock,
    ) -> Self {
        Self {
            flags: Board::new(store.clone()),
            store,
            realtime,
            memories,
            spool,
            clock,
            away: AtomicBool::new(false),
            spooled: Notify::new(),
            receipts: RateLimiter::per_minute(RECEIPTS_PER_MINUTE),
            strangers: RateLimiter::per_minute(SPOOLED_STRANGERS),
        }
    }

    /// Judges arrivals and commits what they cause. `replayed` is the segment of the spool that they come from, the
    /// number of the first and the end; those that were replayed before are passed over.
    pub(crate) async fn commit(
        &self,
        arrivals: &[Arrival],
        replayed: Option<(uuid::Uuid, u64, u64)>,
    ) -> Result<Vec<Tally>, StoreError> {
        let keep_strangers =
            |source: Source| self.receipts.check(source.as_str(), Instant::now()).retry_after.is_none();
        let mut tx = self.store.dispatch().await?;
        let sight = self.flags.sight_in(&mut tx).await?;
        let rules = Rules { realtime: self.realtime, sight, keep_strangers: &keep_strangers };
        let mut arrivals = arrivals;
        if let Some((segment, first, _)) = replayed {
            let done = store::door::replayed(&mut tx, segment).await?.saturating_sub(first);
            let done = usize::try_from(done).unwrap_or(usize::MAX).min(arrivals.len());
            arrivals = &arrivals[done..];
        }
        let effects = commit::write(&mut tx, arrivals, &rules).await?;
        if let Some((segment, _, end)) = replayed {
            store::door::advance(&mut tx, segment, end).await?;
        }
        tx.commit().await?;
        for (arrival, tally) in arrivals.iter().zip(&effects.tallies) {
            for (result, number) in tally.results() {
                count(arrival.source.as_str(), result, number);
            }
        }
        let Effects { tallies, friends, strangers } = effects;
        let now = Instant::now();
        for key in friends {
            self.memories.friends.remember(key, now);
        }
        for key in strangers {
            self.memories.strangers.remember(key, now);
        }
        Ok(tallies)
    }
}

/// Makes the way in, and the future that commits until every [`Intake`] is gone.
pub fn intake(keeper: Arc<Keeper>) -> (Intake, impl Future<Output = ()> + Send) {
    let (queue, waiting) = mpsc::channel(MAX_WAITING);
    (Intake(queue), commit_all(keeper, waiting))
}

async fn commit_all(keeper: Arc<Keeper>, mut queue: mpsc::Receiver<Waiting>) {
    while let Some(first) = queue.recv().await {
        let mut items = first.arrival.len();
        let mut batch = vec![first];
        while batch.len() < MAX_ARRIVALS && items < MAX_ITEMS {
            let Ok(next) = queue.try_recv() else { break };
            items += next.arrival.len();
            batch.push(next);
        }
        keeper.take(batch).await;
    }
}

impl Keeper {
    async fn take(&self, batch: Vec<Waiting>) {
        let (arrivals, senders): (Vec<Arrival>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.arrival, (waiting.address, waiting.answer))).unzip();
        if !self.away.load(Ordering::Relaxed) {
            match self.commit_twice(&arrivals).await {
                Some(tallies) => {
                    for ((_, answer), tally) in senders.into_iter().zip(tallies) {
                        // Whoever does not wait any more needs no answer.
                        let _ = answer.send(Taken::Committed(tally));
                    }
                    return;
                }
                None => self.away.store(true, Ordering::Relaxed),
            }
        }
        self.spool(arrivals, senders).await;
    }

    /// Once more when another transaction was in the way. None when PostgreSQL does not answer, or does not take the
    /// batch: then the spool does, and its replay finds out which of them is at fault.
    async fn commit_twice(&self, arrivals: &[Arrival]) -> Option<Vec<Tally>> {
        for again in [true, false] {
            match deadline("the database", COMMIT, self.commit(arrivals, None)).await {
                Ok(Ok(tallies)) => return Some(tallies),
                Ok(Err(error)) => {
                    let unlucky = error.is_transient() && !matches!(error, StoreError::Unavailable { .. });
                    if !(again && unlucky) {
                        tracing::error!(
                            error = chassis::telemetry::chain(&error),
                            "deliveries go to the spool"
                        );
                        return None;
                    }
                }
                Err(elapsed) => {
                    tracing::error!(%elapsed, "deliveries go to the spool");
                    return None;
                }
            }
        }
        None
    }

    async fn spool(&self, arrivals: Vec<Arrival>, senders: Vec<(String, oneshot::Sender<Taken>)>) {
        let now = Instant::now();
        let (mut payloads, mut answers) = (Vec::new(), Vec::new());
        for (arrival, (address, answer)) in arrivals.into_iter().zip(senders) {
            let known = arrival.senders().iter().any(|sender| self.memories.friends.knows(sender, now));
            if !known && self.strangers.check(&address, now).retry_after.is_some() {
                count(arrival.source.as_str(), "turned_away", arrival.len());
                let _ = answer.send(Taken::Refused);
                continue;
            }
            match serde_json::to_vec(&arrival) {
                Ok(payload) => {
                    payloads.push(payload);
                    answers.push((arrival.source, arrival.len(), answer));
                }
                Err(_) => _ = answer.send(Taken::Refused),
            }
        }
        let taken = match self.append(payloads).await {
            Ok(()) => Taken::Spooled,
            Err(error) => {
                tracing::error!(error = chassis::telemetry::chain(&error), "deliveries are turned away");
                Taken::Refused
            }
        };
        for (source, number, answer) in answers {
            count(source.as_str(), if taken == Taken::Spooled { "spooled" } else { "turned_away" }, number);
            let _ = answer.send(taken);
        }
        self.spooled.notify_one();
    }

    async fn append(&self, payloads: Vec<Vec<u8>>) -> Result<(), SpoolFault> {
        if payloads.is_empty() {
            return Ok(());
        }
        let (spool, at) = (Arc::clone(&self.spool), self.clock.now().timestamp_millis());
        let written = tokio::task::spawn_blocking(move || spool.append(&payloads, at));
        written.await.unwrap_or(Err(SpoolFault::Full))
    }
}
