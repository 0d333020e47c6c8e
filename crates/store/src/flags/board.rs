//! The switches as a process sees them: one read for everybody, of a bound age.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::time::deadline;
use chrono::{DateTime, TimeDelta, Utc};
use domain::flags::{Away, Flag, Standing};
use domain::ids::CompanyId;
use tokio::sync::Mutex;

use crate::error::{Result, StoreError};
use crate::pool::{Store, Tx};

/// Longest time for which a switch that was thrown is not seen, while the database answers.
pub const FRESH: Duration = Duration::from_secs(2);
const DOING: &str = "reading the switches";
/// Deadline of one read.
const READ: Duration = Duration::from_secs(5);

/// The switches of all companies, read when somebody asks and the last read is older than [`FRESH`]. Clones share it.
#[derive(Debug, Clone)]
pub struct Board {
    store: Store,
    kept: Arc<Mutex<Option<Kept>>>,
}

/// What was read last.
#[derive(Debug, Clone)]
struct Kept {
    tried: Instant,
    read: Instant,
    sight: Sight,
}

/// The switches, and the moment on the database's clock: this process's own may be wrong.
#[derive(Debug, Clone)]
pub struct Sight {
    /// The switches.
    pub standing: Arc<Standing>,
    /// Now.
    pub now: DateTime<Utc>,
}

impl Kept {
    fn sight(&self) -> Sight {
        let passed = TimeDelta::from_std(self.read.elapsed()).unwrap_or_default();
        Sight { standing: self.sight.standing.clone(), now: self.sight.now + passed }
    }
}

impl Board {
    /// A board that has read nothing yet.
    pub fn new(store: Store) -> Self {
        Self { store, kept: Arc::default() }
    }

    /// The switches, at most [`FRESH`] old; while the database is away, as they were seen last.
    ///
    /// # Errors
    /// As every statement, when they were never seen.
    pub async fn sight(&self) -> Result<Sight> {
        let mut kept = self.kept.lock().await;
        if let Some(last) = &*kept
            && last.tried.elapsed() < FRESH
        {
            return Ok(last.sight());
        }
        let tried = Instant::now();
        let late = |_| Err(StoreError::Unavailable { doing: DOING, source: sqlx::Error::PoolTimedOut });
        match (deadline(DOING, READ, self.read()).await.unwrap_or_else(late), kept.as_mut()) {
            (Ok(sight), _) => {
                *kept = Some(Kept { tried, read: tried, sight: sight.clone() });
                Ok(sight)
            }
            (Err(error), Some(last)) => {
                tracing::warn!(
                    error = chassis::telemetry::chain(&error),
                    "switches stay as they were seen last"
                );
                last.tried = tried;
                Ok(last.sight())
            }
            (Err(error), None) => Err(error),
        }
    }

    /// As [`Board::sight`], read through a dispatch transaction that the caller has at hand.
    ///
    /// # Errors
    /// As every statement.
    pub async fn sight_in(&self, tx: &mut Tx) -> Result<Sight> {
        let mut kept = self.kept.lock().await;
        if let Some(last) = &*kept
            && last.tried.elapsed() < FRESH
        {
            return Ok(last.sight());
        }
        let tried = Instant::now();
        let sight = read(tx).await?;
        *kept = Some(Kept { tried, read: tried, sight: sight.clone() });
        Ok(sight)
    }

    async fn read(&self) -> Result<Sight> {
        let mut tx = self.store.dispatch().await?;
        let sight = read(&mut tx).await?;
        tx.commit().await?;
        Ok(sight)
    }

    /// Why a switch of the company is away from normal; `None` when it is not.
    ///
    /// # Errors
    /// As [`Board::sight`].
    pub async fn away(&self, company: CompanyId, flag: Flag) -> Result<Option<Away>> {
        let Sight { standing, now } = self.sight().await?;
        Ok(standing.away(company, flag, now).cloned())
    }

    /// The switch that holds jobs of this kind; `None`, without a look, for kinds that none holds.
    ///
    /// # Errors
    /// As [`Board::sight`].
    pub async fn held(&self, company: CompanyId, kind: &str) -> Result<Option<(Flag, Away)>> {
        if Flag::holding(kind).is_empty() {
            return Ok(None);
        }
        let Sight { standing, now } = self.sight().await?;
        Ok(standing.held(company, kind, now).map(|(flag, away)| (flag, away.clone())))
    }

    /// Waits until a switch holds jobs of this kind; for ever for kinds that none holds.
    pub async fn until_held(&self, company: CompanyId, kind: &str) -> (Flag, Away) {
        if Flag::holding(kind).is_empty() {
            std::future::pending::<()>().await;
        }
        loop {
            chassis::time::pause(FRESH).await;
            if let Ok(Some(held)) = self.held(company, kind).await {
                return held;
            }
        }
    }
}

async fn read(tx: &mut Tx) -> Result<Sight> {
    let now = crate::schedules::database_time(tx).await?;
    Ok(Sight { standing: Arc::new(super::standing(tx).await?), now })
}
