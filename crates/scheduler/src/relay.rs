//! The outbox relay: claims bells, publishes them with confirms, removes what the broker has.

use std::time::Duration;

use broker::{BrokerError, Fate, Outgoing, Publisher};
use chassis::time::deadline;
use chassis::wait::until_up;
use contracts::bell::Bell;
use store::jobs::{OutboxRow, claim_bells, confirm_bells, refuse_bells};
use store::{Store, StoreError};

use crate::Parts;

/// Bells of one round.
const ROUND: i64 = 1000;
/// How long a claimed bell is left alone: above the deadlines of a round.
const CLAIM_SECONDS: f64 = 30.0;
/// Deadline of a database step.
const STEP: Duration = Duration::from_secs(15);
/// A bell that no queue took waits this long: its kind is unknown to the topology.
const RETURNED_SECONDS: f64 = 10.0;
/// A bell that the broker could not take (a full queue).
const REFUSED_SECONDS: f64 = 2.0;
/// A bell whose confirm did not come.
const UNKNOWN_SECONDS: f64 = 1.0;

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

/// What a round did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Round {
    /// Bells confirmed and removed.
    pub confirmed: usize,
    /// Bells put back.
    pub put_back: usize,
    /// Bells that no queue took, among those put back.
    pub returned: usize,
}

/// Rings until the process drains.
pub(crate) async fn run(parts: Parts) {
    let publisher = parts.broker.publisher();
    let draining = parts.shutdown.draining();
    if store::watch::until_ready(&parts.store, &parts.database, &parts.shutdown).await.is_none() {
        return;
    }
    // Connected before the first bell, which then need not wait for it.
    parts.broker.until_up().await;
    loop {
        tokio::select! {
            () = draining.cancelled() => return,
            () = parts.wake.notified() => {}
        }
        while !draining.is_cancelled() {
            match round(&parts.store, &publisher).await {
                Ok(done) if done == Round::default() => break,
                Ok(done) => after_round(&parts, done).await,
                Err(error) => after_error(&parts, &error).await,
            }
        }
    }
}

/// A return may mean that the topology was deleted under us.
async fn after_round(parts: &Parts, done: Round) {
    if done.returned == 0 {
        return;
    }
    tracing::warn!(bells = done.returned, "no queue takes these bells, declaring the topology again");
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
        RelayError::Broker(_) => {
            parts.broker.until_up().await;
        }
    }
}

/// Claims, publishes and reconciles once. Nothing to do is a round of zeros.
///
/// # Errors
/// [`RelayError`]; claimed bells are put back, or come back when their claim ends.
pub async fn round(store: &Store, publisher: &Publisher) -> Result<Round, RelayError> {
    let rows = deadline("claiming bells", STEP, async {
        let mut tx = store.dispatch().await?;
        let rows = claim_bells(&mut tx, ROUND, CLAIM_SECONDS).await?;
        tx.commit().await?;
        Ok::<_, StoreError>(rows)
    })
    .await??;
    if rows.is_empty() {
        return Ok(Round::default());
    }
    let messages: Vec<Outgoing> = rows.iter().map(message).collect();
    match publisher.publish_batch(&messages).await {
        Ok(fates) => Ok(deadline("settling bells", STEP, settle(store, &rows, &fates)).await??),
        Err(error) => {
            let fates = vec![Fate::Unknown; rows.len()];
            deadline("putting bells back", STEP, settle(store, &rows, &fates)).await??;
            Err(error.into())
        }
    }
}

fn message(row: &OutboxRow) -> Outgoing {
    let bell = Bell { job_id: row.job_id, epoch: row.epoch, company_id: row.company.uuid() };
    Outgoing {
        message_id: format!("{}-{}", row.job_id, row.id),
        routing_key: row.routing_key.clone(),
        body: bell.encode(),
        trace: row.trace.clone(),
        company: row.company.uuid(),
    }
}

async fn settle(store: &Store, rows: &[OutboxRow], fates: &[Fate]) -> Result<Round, StoreError> {
    let of = |fate: Fate| -> Vec<i64> {
        rows.iter().zip(fates).filter(|(_, f)| **f == fate).map(|(row, _)| row.id).collect()
    };
    let confirmed = of(Fate::Confirmed);
    let mut tx = store.dispatch().await?;
    if !confirmed.is_empty() {
        confirm_bells(&mut tx, &confirmed).await?;
    }
    let returned = of(Fate::Returned);
    for (ids, seconds) in [
        (&returned, RETURNED_SECONDS),
        (&of(Fate::Refused), REFUSED_SECONDS),
        (&of(Fate::Unknown), UNKNOWN_SECONDS),
    ] {
        if !ids.is_empty() {
            refuse_bells(&mut tx, ids, seconds).await?;
        }
    }
    tx.commit().await?;
    Ok(Round { confirmed: confirmed.len(), put_back: rows.len() - confirmed.len(), returned: returned.len() })
}
