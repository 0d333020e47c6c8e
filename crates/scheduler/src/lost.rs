//! Finds queued jobs whose message the broker lost, and rings them again.
//!
//! Only as many as are missing: a queue whose messages ring for as many jobs as were rung has lost none, however
//! long they wait. Two looks must agree, since deliveries that are being claimed are in neither number.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use broker::{BrokerError, Depths};
use chassis::time::{Elapsed, deadline, pause};
use chrono::{DateTime, Utc};
use contracts::jobs::Queue;
use store::StoreError;
use store::jobs::{EARLIEST, Rung, ring_again, rung};

use crate::Parts;

/// How often they are looked for, at most.
const EVERY: Duration = Duration::from_secs(5);
/// How often at least, for a short `LOST_BELL_SECONDS`.
const SHORTEST: Duration = Duration::from_millis(250);
/// How often the look begins with the first job, at least; one that is slow comes less often.
const FULL_EVERY: Duration = Duration::from_secs(15);
/// A look takes at most one part in this many of the time, one from the beginning at most half as much: over a
/// backlog of 100,000 jobs it takes some 200 ms.
const SHARE: u32 = 20;
/// Deadline of one look.
const STEP: Duration = Duration::from_secs(20);
/// Jobs rung again in one look and queue.
const LIMIT: i64 = 10_000;

/// Why a look failed.
#[derive(Debug, thiserror::Error)]
enum LostError {
    #[error("the ledger cannot be read or written")]
    Store(#[from] StoreError),
    #[error("the queues cannot be asked")]
    Broker(#[from] BrokerError),
    #[error("the look took too long")]
    Slow(#[from] Elapsed),
}

/// What the last looks found.
struct Search {
    parts: Parts,
    depths: Depths,
    after: Duration,
    /// Nothing that is queued is older.
    from: DateTime<Utc>,
    full_at: Instant,
    /// Missing at the last look, by queue.
    missing: HashMap<String, i64>,
}

/// Looks until the process drains. A lost message is rung again at the latest after `after` (`LOST_BELL_SECONDS`)
/// and four looks: 40 s by default.
pub(crate) async fn run(parts: Parts, after: Duration) {
    let draining = parts.shutdown.draining();
    if store::watch::until_ready(&parts.store, &parts.database, &parts.shutdown).await.is_none() {
        return;
    }
    let every = after.clamp(SHORTEST, EVERY);
    let depths = parts.broker.depths();
    let mut search =
        Search { parts, depths, after, from: EARLIEST, full_at: Instant::now(), missing: HashMap::new() };
    let mut cost = Duration::ZERO;
    loop {
        tokio::select! {
            () = draining.cancelled() => return,
            () = pause(every.max(cost * SHARE)) => {}
        }
        let begun = Instant::now();
        let looked = deadline("looking for lost bells", STEP, search.look()).await;
        if let Err(error) = looked.map_err(LostError::from).flatten() {
            tracing::debug!(error = chassis::telemetry::chain(&error), "cannot look for lost bells");
            search.missing.clear();
        }
        cost = begun.elapsed();
    }
}

impl Search {
    async fn look(&mut self) -> Result<(), LostError> {
        let begun = Instant::now();
        let full = self.full_at <= begun;
        let from = if full { EARLIEST } else { self.from };
        let seconds = self.after.as_secs_f64();
        let mut tx = self.parts.store.dispatch().await?;
        let look = rung(&mut tx, from, seconds).await?;
        tx.commit().await?;
        self.from = look.oldest;
        if full {
            self.full_at = Instant::now() + FULL_EVERY.max(begun.elapsed() * SHARE * 2);
        }
        let before = std::mem::take(&mut self.missing);
        for queue in before.keys().filter(|queue| !look.queues.iter().any(|rung| rung.queue == **queue)) {
            show(queue, 0);
        }
        for rung in &look.queues {
            let missing = self.missing_of(rung).await?;
            let agreed = missing.min(before.get(&rung.queue).copied().unwrap_or(0));
            show(&rung.queue, agreed);
            self.missing.insert(rung.queue.clone(), missing);
            if agreed > 0 {
                self.ring(&rung.queue, from, agreed).await?;
            }
        }
        Ok(())
    }

    /// Late jobs that have no message: those that were rung, less what the queue holds.
    async fn missing_of(&self, rung: &Rung) -> Result<i64, BrokerError> {
        let ready = match Queue::of_name(&rung.queue) {
            Some(queue) => self.parts.weights.bells(queue, self.depths.of(queue).await?.ready),
            None => 0,
        };
        let held = i64::try_from(ready).unwrap_or(i64::MAX);
        Ok(rung.rung.saturating_sub(held).clamp(0, rung.late))
    }

    async fn ring(&mut self, queue: &str, from: DateTime<Utc>, number: i64) -> Result<(), LostError> {
        let mut tx = self.parts.store.dispatch().await?;
        let rung = ring_again(&mut tx, queue, from, self.after.as_secs_f64(), number.min(LIMIT)).await?;
        tx.commit().await?;
        // What is rung now is at the broker only after the next round of the relay.
        self.missing.remove(queue);
        metrics::counter!("bells_lost_total", "queue" => queue.to_owned()).increment(rung);
        tracing::warn!(queue, rung, "queued jobs had no message, they are rung again");
        self.parts.wake.notify_one();
        Ok(())
    }
}

/// Jobs that wait without a reason.
fn show(queue: &str, number: i64) {
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 jobs")]
    metrics::gauge!("jobs_unexplained", "queue" => queue.to_owned()).set(number as f64);
}
