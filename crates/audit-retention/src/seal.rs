//! Sealing and checkpoints, all the time.

use std::time::Duration;

use audit_trail::{Trail, TrailError, people, publish};
use chassis::health::Dependency;
use chassis::lifecycle::Shutdown;
use chassis::time::{deadline, pause};
use chrono::{DateTime, TimeDelta, Utc};
use domain::audit::{Checkpoint, origin};
use domain::ids::CompanyId;
use domain::time::SharedClock;
use store::audit::{checkpoints, seal};

/// Pause between two looks while nothing waits.
const IDLE: Duration = Duration::from_millis(500);
/// Pause between two looks at checkpoints.
const LOOK: Duration = Duration::from_secs(10);
/// Longest step.
const STEP: Duration = Duration::from_mins(1);
/// Records of a transaction.
const BATCH: i64 = 1_000;
/// Chains of a look.
const CHAINS: i64 = 200;
/// A checkpoint at least this often, also when nothing happened: its absence is evidence.
const HOURLY: TimeDelta = TimeDelta::minutes(55);
/// A checkpoint so long after the one before when records came since.
const BUSY: TimeDelta = TimeDelta::seconds(60);
/// Months whose partitions are made ahead.
const MONTHS_AHEAD: i32 = 2;

/// Seals, signs and publishes.
#[derive(Debug, Clone)]
pub struct Sealer {
    /// The trail.
    pub trail: Trail,
    /// The wall clock.
    pub clock: SharedClock,
}

impl Sealer {
    /// Seals everything that waits now; how many records.
    ///
    /// # Errors
    /// [`TrailError`].
    pub async fn seal_all(&self) -> Result<usize, TrailError> {
        let mut tx = self.trail.store.dispatch().await?;
        let waiting = seal::waiting(&mut tx, CHAINS).await?;
        tx.rollback().await?;
        let oldest = waiting.iter().map(|chain| chain.oldest).min();
        let age = oldest.map_or(0.0, |oldest| seconds(self.clock.now() - oldest));
        metrics::gauge!("audit_unsealed_age_seconds").set(age);
        let mut sealed = 0;
        for chain in waiting {
            sealed += seal_chain(&self.trail, chain.company).await?;
        }
        metrics::counter!("audit_records_sealed_total").increment(sealed as u64);
        Ok(sealed)
    }

    /// Signs checkpoints over chains whose newest one is older than it may be; how many. With `all` over every chain,
    /// so that a new key signs from its first moment on.
    ///
    /// # Errors
    /// [`TrailError`].
    pub async fn sign_due(&self, all: bool) -> Result<usize, TrailError> {
        let now = self.clock.now();
        let mut signed = 0;
        loop {
            let mut tx = self.trail.store.dispatch().await?;
            let before = if all { now } else { now - HOURLY };
            let due = checkpoints::due(&mut tx, before, now - BUSY, CHAINS).await?;
            tx.rollback().await?;
            for company in &due {
                self.sign(*company, now).await?;
            }
            signed += due.len();
            if i64::try_from(due.len()).unwrap_or(0) < CHAINS {
                return Ok(signed);
            }
        }
    }

    /// Signs a checkpoint over the head of a chain.
    ///
    /// # Errors
    /// [`TrailError`].
    pub async fn sign(&self, company: Option<CompanyId>, now: DateTime<Utc>) -> Result<(), TrailError> {
        let mut tx = self.trail.store.dispatch().await?;
        let head = seal::lock(&mut tx, company).await?;
        let number = head.checkpoint + 1;
        // The clock of another replica may have been ahead; checkpoints never go back in time.
        let at = head.checkpoint_at.map_or(now, |before| before.max(now));
        let at = DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at);
        let size = head.frontier.size();
        let checkpoint = Checkpoint {
            origin: origin(company.map(CompanyId::uuid)),
            size,
            root: head.frontier.root(),
            number: u64::try_from(number).unwrap_or(0),
            at,
            head: head.hash,
        };
        let note = self.trail.keys.note(checkpoint).ok_or(TrailError::NoKey)?;
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        checkpoints::add(&mut tx, company, (number, size), at, &note.text()).await?;
        tx.commit().await?;
        metrics::counter!("audit_checkpoints_total").increment(1);
        Ok(())
    }

    /// Publishes the checkpoints that are not published yet; how many.
    ///
    /// # Errors
    /// [`TrailError`]; those before the error are published.
    pub async fn publish_all(&self) -> Result<usize, TrailError> {
        let Some(stores) = &self.trail.stores else { return Ok(0) };
        let mut tx = self.trail.store.dispatch().await?;
        let waiting = checkpoints::unpublished(&mut tx, CHAINS).await?;
        tx.rollback().await?;
        let number = waiting.len();
        for (company, stored) in waiting {
            let which = publish(stores, company, stored.number, &stored.note).await?;
            let mut tx = self.trail.store.dispatch().await?;
            checkpoints::published(&mut tx, company, stored.number).await?;
            tx.commit().await?;
            metrics::counter!("audit_checkpoints_published_total", "store" => which.as_str()).increment(1);
        }
        Ok(number)
    }

    /// Brings the keys of people under the first key of their ring; how many.
    ///
    /// # Errors
    /// [`TrailError`].
    pub async fn renew_keys(&self) -> Result<usize, TrailError> {
        let Some(subjects) = &self.trail.subjects else { return Ok(0) };
        let mut tx = self.trail.store.dispatch().await?;
        let renewed = people::renew(&mut tx, subjects, BATCH).await?;
        tx.commit().await?;
        Ok(renewed)
    }

    /// Makes the partitions of the months to come and drops those that are empty.
    ///
    /// # Errors
    /// [`TrailError`].
    pub async fn keep_partitions(&self) -> Result<(), TrailError> {
        for _ in 0..=MONTHS_AHEAD {
            let mut tx = self.trail.store.dispatch().await?;
            let made = seal::extend(&mut tx, MONTHS_AHEAD).await?;
            tx.commit().await?;
            let Some(table) = made else { break };
            tracing::info!(table, "partition of audit records made");
        }
        let mut tx = self.trail.store.dispatch().await?;
        if let Some(table) = seal::drop_empty(&mut tx).await? {
            tracing::info!(table, "empty partition of audit records dropped");
        }
        Ok(tx.commit().await?)
    }
}

/// Seals everything of a chain that waits now, people behind markers; how many records.
///
/// # Errors
/// [`TrailError`]; what was sealed before the error stays so.
pub async fn seal_chain(trail: &Trail, company: Option<CompanyId>) -> Result<usize, TrailError> {
    let key = trail.keys.sealing().ok_or(TrailError::NoKey)?;
    let subjects = trail.subjects.as_ref().ok_or(TrailError::NoSubjectKey)?;
    let mut sealed = 0;
    loop {
        let mut tx = trail.store.dispatch().await?;
        let head = seal::lock(&mut tx, company).await?;
        let records = seal::unsealed(&mut tx, company, (head.frontier.size(), key.0), BATCH).await?;
        let records = people::conceal(&mut tx, subjects, company, records).await?;
        let number = seal::seal(&mut tx, company, head, key, &records).await?;
        tx.commit().await?;
        sealed += number;
        if i64::try_from(number).unwrap_or(0) < BATCH {
            return Ok(sealed);
        }
    }
}

/// Seals until the process drains.
pub async fn run(sealer: Sealer, database: Dependency, shutdown: Shutdown) {
    if store::watch::until_ready(&sealer.trail.store, &database, &shutdown).await.is_none() {
        return;
    }
    loop {
        match deadline("sealing audit records", STEP, sealer.seal_all()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = chassis::telemetry::chain(&error), "audit records wait to be sealed");
            }
            Err(elapsed) => tracing::warn!(error = %elapsed, "audit records wait to be sealed"),
        }
        if !next(&shutdown, IDLE).await {
            return;
        }
    }
}

/// Signs and publishes checkpoints until the process drains.
pub async fn keep_checkpoints(sealer: Sealer, database: Dependency, shutdown: Shutdown) {
    if store::watch::until_ready(&sealer.trail.store, &database, &shutdown).await.is_none() {
        return;
    }
    let mut first = true;
    loop {
        let step = async {
            sealer.sign_due(first).await?;
            sealer.publish_all().await?;
            sealer.renew_keys().await?;
            sealer.keep_partitions().await
        };
        match deadline("signing checkpoints", STEP, step).await {
            Ok(Ok(())) => first = false,
            Ok(Err(error)) => {
                tracing::warn!(error = chassis::telemetry::chain(&error), "checkpoints wait");
            }
            Err(elapsed) => tracing::warn!(error = %elapsed, "checkpoints wait"),
        }
        if !next(&shutdown, LOOK).await {
            return;
        }
    }
}

fn seconds(delta: TimeDelta) -> f64 {
    delta.to_std().map_or(0.0, |age| age.as_secs_f64())
}

/// Waits; false once the process drains.
async fn next(shutdown: &Shutdown, every: Duration) -> bool {
    let draining = shutdown.draining();
    tokio::select! {
        () = draining.cancelled() => false,
        () = pause(every) => true,
    }
}
