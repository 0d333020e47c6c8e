//! Brings what waits in the spool into the database, in the order of its arrival, once it answers again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chassis::health::Dependency;
use chassis::lifecycle::Shutdown;
use chassis::time::{deadline, pause};
use store::StoreError;

use crate::arrival::Arrival;
use crate::intake::Keeper;
use crate::spool::{Batch, Entry, SpoolFault};

/// How often the database is asked whether it is back, and how old figures are at most.
const EVERY: Duration = Duration::from_millis(500);
/// Longest answer to that question.
const PING: Duration = Duration::from_secs(2);
/// Longest transaction of a replay; nobody waits for it.
const COMMIT: Duration = Duration::from_secs(30);

/// Replays until the shutdown begins; what is left then is replayed by the next process. `room` is up while a delivery
/// can be made durable.
pub async fn replay(keeper: Arc<Keeper>, room: Dependency, shutdown: Shutdown) {
    let draining = shutdown.draining();
    while !draining.is_cancelled() {
        keeper.measure(&room).await;
        let more = match keeper.step().await {
            Ok(more) => more,
            Err(error) => {
                tracing::error!(error = chassis::telemetry::chain(&error), "the spool cannot be replayed");
                false
            }
        };
        if more {
            continue;
        }
        tokio::select! {
            () = draining.cancelled() => return,
            () = keeper.spooled.notified(), if !keeper.away.load(Ordering::Relaxed) => {}
            () = pause(EVERY) => {}
        }
    }
}

impl Keeper {
    /// Replays one batch. True when there may be more to do at once.
    async fn step(self: &Arc<Self>) -> Result<bool, SpoolFault> {
        let batch = match self.blocking(|keeper| keeper.spool.next()).await {
            Ok(Some(batch)) => batch,
            Ok(None) => {
                if self.away.load(Ordering::Relaxed)
                    && matches!(deadline("the database", PING, self.store.ping()).await, Ok(Ok(())))
                {
                    self.is_back();
                }
                return Ok(false);
            }
            Err(error) => {
                self.blocking(|keeper| keeper.spool.give_up_first()).await?;
                return Err(error);
            }
        };
        let (mut arrivals, mut whole) = (Vec::new(), true);
        for entry in &batch.entries {
            match serde_json::from_slice::<Arrival>(&entry.payload) {
                Ok(arrival) => arrivals.push(arrival),
                Err(_) => whole = false,
            }
        }
        let place = (batch.segment, batch.first, batch.end());
        let outcome = if whole {
            deadline("the database", COMMIT, self.commit(&arrivals, Some(place))).await
        } else {
            Ok(Err(StoreError::Malformed { what: "an entry of the spool", value: String::new() }))
        };
        match outcome {
            Ok(Ok(_)) => {}
            Ok(Err(error)) if error.is_about_data() => {
                if !self.one_by_one(&batch).await? {
                    return Ok(false);
                }
            }
            Ok(Err(error)) => {
                tracing::debug!(
                    error = chassis::telemetry::chain(&error),
                    "the spool waits for the database"
                );
                self.away.store(true, Ordering::Relaxed);
                return Ok(false);
            }
            Err(elapsed) => {
                tracing::warn!(%elapsed, "the spool waits for the database");
                self.away.store(true, Ordering::Relaxed);
                return Ok(false);
            }
        }
        self.is_back();
        metrics::counter!("webhook_spool_replayed_total").increment(batch.entries.len() as u64);
        let settled = batch.clone();
        self.blocking(move |keeper| keeper.spool.settle(&settled)).await?;
        Ok(true)
    }

    /// Finds the entry that PostgreSQL does not take, and keeps it for people. False when the database went away.
    async fn one_by_one(self: &Arc<Self>, batch: &Batch) -> Result<bool, SpoolFault> {
        for (n, entry) in (batch.first..).zip(&batch.entries) {
            let place = Some((batch.segment, n, n + 1));
            let outcome = match serde_json::from_slice::<Arrival>(&entry.payload) {
                Ok(arrival) => deadline("the database", COMMIT, self.commit(&[arrival], place)).await,
                Err(_) => {
                    Ok(Err(StoreError::Malformed { what: "an entry of the spool", value: n.to_string() }))
                }
            };
            match outcome {
                Ok(Ok(_)) => {}
                Ok(Err(error)) if error.is_about_data() => {
                    tracing::error!(
                        error = chassis::telemetry::chain(&error),
                        "an entry of the spool is set aside"
                    );
                    metrics::counter!("webhook_spool_set_aside_total").increment(1);
                    self.set_aside(entry).await?;
                }
                _ => {
                    self.away.store(true, Ordering::Relaxed);
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    async fn set_aside(self: &Arc<Self>, entry: &Entry) -> Result<(), SpoolFault> {
        let entry = entry.clone();
        self.blocking(move |keeper| keeper.spool.set_aside(&entry)).await
    }

    fn is_back(&self) {
        if self.away.swap(false, Ordering::Relaxed) {
            tracing::info!("the database is back");
        }
    }

    async fn measure(self: &Arc<Self>, room: &Dependency) {
        let measured = self.blocking(|keeper| Ok((keeper.spool.state(), keeper.spool.has_room()))).await;
        let Ok((state, has_room)) = measured else { return };
        let age = state.oldest.map_or(0, |at| (self.clock.now().timestamp_millis() - at).max(0));
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        for (name, value) in [
            ("webhook_spool_bytes", state.bytes as f64),
            ("webhook_spool_entries", state.entries as f64),
            ("webhook_spool_oldest_seconds", age as f64 / 1000.0),
        ] {
            metrics::gauge!(name).set(value);
        }
        if has_room || !self.away.load(Ordering::Relaxed) {
            room.up();
        } else {
            room.down("the database is away and the spool is full");
        }
    }

    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Keeper) -> Result<T, SpoolFault> + Send + 'static,
    ) -> Result<T, SpoolFault> {
        let keeper = Arc::clone(self);
        tokio::task::spawn_blocking(move || work(&keeper)).await.unwrap_or(Err(SpoolFault::Full))
    }
}
