//! The outbox relay: one short transaction takes bells, publishes them with confirms and removes what the
//! broker has. It rolls back when anything breaks, and the rows are there again.
//!
//! The queues of the broker are first in, first out, so the relay holds back what they cannot take in soon: as
//! long as everything that waits fits, it goes out in order; when it does not, the room is shared between the
//! tenants (`domain::fairness`). What a person waits for goes out at once.

mod bundle;
mod carry;
mod lanes;
mod plan;
mod rooms;

use std::time::{Duration, Instant};

use broker::{BrokerError, Publisher};
use chassis::time::{deadline, pause};
use chassis::wait::until_up;
use contracts::jobs::Queue;
use store::jobs::OutboxRow;
use store::{Store, StoreError};

use crate::Parts;
use bundle::bundles;
use carry::Carry;
use lanes::Lanes;
use plan::Plan;
use rooms::Rooms;

pub use carry::Round;

/// Bells of one transaction while everything fits.
const CALM: i64 = 1000;
/// Bells of one transaction while the room is shared.
const CROWDED: usize = 2000;
/// Deadline of each database step.
const STEP: Duration = Duration::from_secs(10);
/// Pause between two looks for bells while there is work.
const POLL: Duration = Duration::from_millis(3);
/// A bell within this time counts as work; afterwards the beat looks.
const ACTIVE: Duration = Duration::from_secs(1);
/// Shortest and longest pause while the queues are full; it grows while nothing is taken out of them.
const FULL: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(100));
/// Pause while the server takes no messages.
const BLOCKED: Duration = Duration::from_millis(500);

/// Why a round stopped.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The database.
    #[error("the outbox cannot be read or written")]
    Store(#[from] StoreError),
    /// The database did not answer in time.
    #[error("the outbox did not answer")]
    Slow(#[from] chassis::time::Elapsed),
    /// The broker; nothing was sent.
    #[error("the bells cannot be published")]
    Broker(#[from] BrokerError),
}

/// What a turn came to.
enum Turn {
    /// Nothing waits.
    Idle,
    /// Bells were published.
    Rung(Round),
    /// Bells wait, and the queues are full.
    Full,
    /// More waits than fits: it is shared from the next turn on, or no longer.
    Changed,
}

/// A relay and what it knows.
struct Relay {
    parts: Parts,
    publisher: Publisher,
    rooms: Rooms,
    /// What waits, while it is more than fits.
    crowd: Option<Lanes>,
    plan: Plan,
}

/// Rings until the process drains.
pub(crate) async fn run(parts: Parts) {
    let draining = parts.shutdown.draining();
    if store::watch::until_ready(&parts.store, &parts.database, &parts.shutdown).await.is_none() {
        return;
    }
    // Connected before the first bell, which then need not wait for it.
    parts.broker.until_up().await;
    let mut relay = Relay {
        publisher: parts.broker.publisher(),
        rooms: Rooms::new(parts.broker.depths(), parts.weights.clone()),
        crowd: None,
        plan: Plan::default(),
        parts,
    };
    let mut worked: Option<Instant> = None;
    loop {
        let active = worked.is_some_and(|at| at.elapsed() < ACTIVE);
        tokio::select! {
            () = draining.cancelled() => return,
            () = relay.parts.wake.notified() => {}
            () = pause(POLL), if active => if !relay.bells().await { continue },
        }
        let mut full = FULL.0;
        while !draining.is_cancelled() {
            match relay.turn().await {
                Ok(Turn::Idle) => break,
                Ok(Turn::Rung(round)) => {
                    worked = Some(Instant::now());
                    full = FULL.0;
                    after_round(&relay.parts, round).await;
                }
                Ok(Turn::Full) => {
                    pause(full).await;
                    full = (full * 2).min(FULL.1);
                }
                Ok(Turn::Changed) => {}
                Err(error) => {
                    relay.crowd = None;
                    after_error(&relay.parts, &error).await;
                }
            }
        }
    }
}

impl Relay {
    /// Whether bells wait; an error counts as yes, and is reported by the turn that follows.
    async fn bells(&self) -> bool {
        let from = self.parts.tide().start(Instant::now());
        match deadline("looking for bells", STEP, self.parts.pulse.bells(from)).await {
            Ok(Ok((due, newest))) => {
                self.parts.tide().sample(Instant::now(), newest);
                due
            }
            _ => true,
        }
    }

    async fn turn(&mut self) -> Result<Turn, RelayError> {
        match self.crowd.take() {
            None => self.calm().await,
            Some(lanes) => self.crowded(lanes).await,
        }
    }

    /// Everything that waits, in order, if it fits.
    async fn calm(&mut self) -> Result<Turn, RelayError> {
        let from = self.parts.tide().start(Instant::now());
        let mut carry = Carry::begin(&self.parts.store).await?;
        let rows = carry.take(from, CALM).await?;
        if rows.is_empty() {
            carry.release().await?;
            return Ok(Turn::Idle);
        }
        let all = i64::try_from(rows.len()).is_ok_and(|number| number < CALM);
        if !(all && self.rooms.fits(&rows).await?) {
            carry.release().await?;
            self.crowd = Some(Lanes::default());
            return Ok(Turn::Changed);
        }
        self.publish(carry, rows).await.map(Turn::Rung)
    }

    /// As much as fits, shared between the tenants.
    async fn crowded(&mut self, mut lanes: Lanes) -> Result<Turn, RelayError> {
        let mut carry = Carry::begin(&self.parts.store).await?;
        let floor = self.parts.tide().floor();
        lanes.learn(&mut carry, floor).await?;
        if lanes.is_empty() {
            carry.release().await?;
            return Ok(Turn::Changed);
        }
        let picks = self.plan.make(&lanes, &mut self.rooms, CROWDED).await?;
        if picks.is_empty() {
            carry.release().await?;
            self.crowd = Some(lanes);
            return Ok(Turn::Full);
        }
        let rows = carry.take_lanes(&picks).await?;
        lanes.took(&picks, &rows);
        let round = if rows.is_empty() {
            carry.release().await?;
            Turn::Changed
        } else {
            Turn::Rung(self.publish(carry, plan::interleave(rows)).await?)
        };
        self.crowd = Some(lanes);
        Ok(round)
    }

    async fn publish(&mut self, carry: Carry, rows: Vec<OutboxRow>) -> Result<Round, RelayError> {
        let messages = bundles(rows, |queue| self.rooms.bundle(queue));
        for rows in &messages {
            if let Some(queue) = rows.first().and_then(queue_of) {
                self.rooms.published(queue, rows.len());
            }
        }
        carry.publish(&self.publisher, &messages).await
    }
}

/// The queue whose room a bell needs; `None` when no queue takes it.
fn queue_of(row: &OutboxRow) -> Option<Queue> {
    Queue::of_name(&row.queue).or_else(|| Queue::of_kind(&row.routing_key))
}

/// A return may mean that the topology was deleted under us.
async fn after_round(parts: &Parts, round: Round) {
    if round.returned == 0 {
        return;
    }
    tracing::warn!(bells = round.returned, "no queue takes these bells, declaring the topology again");
    if let Err(error) = parts.broker.declare().await {
        tracing::warn!(error = chassis::telemetry::chain(&error), "the topology cannot be declared");
    }
}

/// Waits for whoever is away.
async fn after_error(parts: &Parts, error: &RelayError) {
    let store = &parts.store;
    tracing::warn!(error = chassis::telemetry::chain(error), "the relay pauses");
    match error {
        RelayError::Store(_) | RelayError::Slow(_) => {
            until_up("database", &parts.database, &parts.shutdown, async || store.ping().await).await;
        }
        // A blocked connection answers nothing at all; it is up.
        RelayError::Broker(BrokerError::Blocked { .. }) => pause(BLOCKED).await,
        RelayError::Broker(_) => {
            parts.broker.until_up().await;
        }
    }
}

/// Takes what is due, up to a thousand bells, and publishes it whatever the queues hold. Nothing to do is a
/// round of zeros.
///
/// # Errors
/// [`RelayError`]; the bells are in the outbox as before.
pub async fn round(store: &Store, publisher: &Publisher) -> Result<Round, RelayError> {
    let mut carry = Carry::begin(store).await?;
    let rows = carry.take(0, CALM).await?;
    if rows.is_empty() {
        carry.release().await?;
        return Ok(Round::default());
    }
    carry.publish(publisher, &bundles(rows, |_| 1)).await
}
