//! Who asks for the work of a campaign: one asker per company, so that a resource's jobs are asked for in order.

use std::time::Duration;

use chassis::time::{SystemClock, deadline, pause};
use domain::ids::CompanyId;
use domain::time::Clock as _;
use store::jobs::{Enqueued, NewJob, request_cancel};
use store::{Store, StoreError, admin};
use uuid::Uuid;

use super::ask::{Request, ask};
use super::handler::OVERRUN_SECONDS;
use super::payload::{Behaviour, ChaosUnknown, Expect};
use crate::e2e::dice::Dice;

/// Pause before a batch is asked for again, while the database is away.
const AGAIN: Duration = Duration::from_millis(100);
/// Longest statement; a transaction that takes longer is given up, its outcome unknown.
const LIMIT: Duration = Duration::from_secs(20);
/// Resources and documents of a company: few, so that they are fought over.
const RESOURCES: u64 = 8;
const DOCUMENTS: u64 = 4;

/// What one company asks for.
#[derive(Debug)]
pub struct Asker {
    /// Draws what is asked for.
    pub dice: Dice,
    /// The company.
    pub company: CompanyId,
    /// Jobs in all.
    pub jobs: u64,
    /// Most jobs of one transaction.
    pub largest_batch: u64,
    /// Time over which they are asked for.
    pub window: Duration,
    /// Jobs among them that kill their process.
    pub kills: u64,
}

impl Asker {
    /// Asks for everything. Returns the jobs of transactions that were rolled back: they must leave no trace.
    ///
    /// # Errors
    /// What the database answers when it is there and refuses.
    pub async fn run(mut self, store: Store) -> Result<Vec<Uuid>, StoreError> {
        let mut ghosts = Vec::new();
        let mut left = self.jobs;
        let mut batch = self.odd_ones()?;
        let batches = (self.jobs * 2 / self.largest_batch.max(2)).max(1);
        let step = self.window / u32::try_from(batches).unwrap_or(u32::MAX);
        while left > 0 {
            let size = (1 + self.dice.below(self.largest_batch)).min(left);
            left -= size;
            for _ in 0..size {
                batch.push(self.request()?);
            }
            let rolled_back = self.dice.once_in(7);
            let cancels = self.dice.once_in(2);
            let asked = self.persist(&store, &batch, rolled_back).await?;
            if rolled_back {
                let new =
                    |enqueued: &Enqueued| matches!(enqueued, Enqueued::New(_)).then(|| enqueued.id().uuid());
                ghosts.extend(asked.iter().filter_map(new));
                // They are wanted all the same, under new ids.
                for request in &mut batch {
                    request.job.id = domain::ids::JobId(chassis::ids::new_id());
                }
                self.persist(&store, &batch, false).await?;
            }
            if cancels && let Some(victim) = self.cancellable(&batch) {
                self.cancel(&store, victim).await?;
            }
            batch.clear();
            pause(step).await;
        }
        Ok(ghosts)
    }

    /// One batch, until the database takes it.
    async fn persist(
        &self,
        store: &Store,
        batch: &[Request],
        roll_back: bool,
    ) -> Result<Vec<Enqueued>, StoreError> {
        loop {
            let mut fresh = batch.to_vec();
            let attempt = async {
                let mut tx = store.tenant(self.company).await?;
                let asked = ask(&mut tx, std::mem::take(&mut fresh), None).await?;
                if roll_back {
                    tx.rollback().await?;
                } else {
                    tx.commit().await?;
                }
                Ok::<_, StoreError>(asked)
            };
            match deadline("asking", LIMIT, attempt).await {
                Ok(Ok(asked)) => return Ok(asked),
                Ok(Err(error)) if !error.is_transient() => {
                    if !self.committed(store, batch).await? {
                        return Err(error);
                    }
                    return Ok(Vec::new());
                }
                // The outcome is unknown: the notes say whether it was committed.
                Ok(Err(_)) | Err(_) => {
                    if self.committed(store, batch).await? {
                        return Ok(Vec::new());
                    }
                }
            }
            pause(AGAIN).await;
        }
    }

    /// Whether the first of them has a note, so that all have.
    async fn committed(&self, store: &Store, batch: &[Request]) -> Result<bool, StoreError> {
        // A batch in which everything coalesced has no note under its own ids; asking twice for what coalesces does no harm.
        let ids: Vec<String> = batch.iter().map(|request| format!("'{}'", request.job.id)).collect();
        let query = format!("SELECT count(*) AS n FROM chaos_asked WHERE job_id IN ({})", ids.join(", "));
        loop {
            let looked = deadline("looking", LIMIT, async {
                let mut tx = store.tenant(self.company).await?;
                admin::rows_in(&mut tx, &query).await
            });
            match looked.await {
                Ok(Ok(rows)) => return Ok(rows.first().is_some_and(|row| row["n"].as_i64() > Some(0))),
                Ok(Err(error)) if !error.is_transient() => return Err(error),
                Ok(Err(_)) | Err(_) => pause(AGAIN).await,
            }
        }
    }

    fn cancellable(&mut self, batch: &[Request]) -> Option<Uuid> {
        let free: Vec<&Request> =
            batch.iter().filter(|r| r.expect == Expect::Effect && r.document.is_none()).collect();
        (!free.is_empty()).then(|| self.dice.pick(&free).job.id.uuid())
    }

    async fn cancel(&self, store: &Store, job: Uuid) -> Result<(), StoreError> {
        let attempt = async {
            let mut tx = store.tenant(self.company).await?;
            request_cancel(&mut tx, self.company, domain::ids::JobId(job), "chaos").await?;
            admin::execute_in(&mut tx, &format!("INSERT INTO chaos_cancels (job_id) VALUES ('{job}')"))
                .await?;
            tx.commit().await
        };
        // Asked for in vain while the database is away; nothing depends on it.
        match deadline("cancelling", LIMIT, attempt).await {
            Ok(Err(error)) if !error.is_transient() => Err(error),
            _ => Ok(()),
        }
    }

    /// One each: a job of an unknown kind, one for tomorrow, and those that kill.
    fn odd_ones(&mut self) -> Result<Vec<Request>, StoreError> {
        let mut odd = Vec::new();
        let mut unknown = Request::new(self.company, Behaviour::Plain, false)?;
        unknown.job = NewJob::new(self.company, &ChaosUnknown {}, "chaos")?;
        unknown.expect = Expect::Parked;
        odd.push(unknown);
        let mut tomorrow = Request::new(self.company, Behaviour::Plain, false)?;
        tomorrow.job = tomorrow.job.run_at(SystemClock.now() + chrono::TimeDelta::days(1));
        tomorrow.expect = Expect::Waits;
        odd.push(tomorrow);
        for _ in 0..self.kills {
            odd.push(Request::new(self.company, Behaviour::Kills, false)?);
        }
        Ok(odd)
    }

    fn request(&mut self) -> Result<Request, StoreError> {
        let dice = &mut self.dice;
        let message = dice.once_in(3);
        if dice.below(8) == 0 {
            let document = format!("d{}", dice.below(DOCUMENTS));
            let behaviour = if dice.once_in(3) {
                Behaviour::Slow { ms: 20 + dice.below(400) }
            } else if dice.once_in(4) {
                Behaviour::Fails { times: 1 }
            } else {
                Behaviour::Plain
            };
            let serialised = dice.once_in(2);
            let mut request =
                Request::for_document(self.company, behaviour, message, Some(document.clone()))?;
            if serialised {
                request.job = request.job.resource(format!("doc-{document}"));
            }
            return Ok(request);
        }
        let resource = (dice.below(10) < 6).then(|| format!("r{}", dice.below(RESOURCES)));
        // Jobs of a resource follow one another, so that long ones add up.
        let long = if resource.is_some() { 700 } else { 3_000 };
        let times = 1 + i32::try_from(dice.below(3)).unwrap_or(0);
        let behaviour = match dice.below(100) {
            0..=36 => Behaviour::Plain,
            37..=55 => Behaviour::Slow { ms: 10 + dice.below(400) },
            56..=60 => Behaviour::Slow { ms: 300 + dice.below(long) },
            61..=72 => Behaviour::Stubborn { ms: 100 + dice.below(long) },
            73..=80 => Behaviour::Fails { times },
            81..=84 => Behaviour::Panics { times },
            85 => Behaviour::Overruns,
            86..=88 => Behaviour::NeverSucceeds,
            89..=90 => Behaviour::Refuses,
            91..=95 => Behaviour::Steps {
                count: 2 + i64::try_from(dice.below(5)).unwrap_or(0),
                ms: 10 + dice.below(250),
            },
            _ => Behaviour::Spawns { count: 1 + u32::try_from(dice.below(5)).unwrap_or(0) },
        };
        let overruns = behaviour == Behaviour::Overruns;
        let never = behaviour == Behaviour::NeverSucceeds;
        let mut request = Request::new(self.company, behaviour, message)?;
        if overruns {
            request.job.attempt_seconds = OVERRUN_SECONDS;
        }
        if never {
            request.job.max_attempts = 1 + times;
        }
        if let Some(resource) = resource {
            request.job = request.job.resource(resource);
        }
        request.job = request.job.priority(*dice.pick(&[5, 5, 5, 0, 9]));
        match dice.below(30) {
            0..=2 => {
                let delay =
                    chrono::TimeDelta::milliseconds(i64::try_from(50 + dice.below(2_000)).unwrap_or(0));
                request.job = request.job.run_at(SystemClock.now() + delay);
            }
            3 if request.expect == Expect::Effect => {
                let limit = chrono::TimeDelta::milliseconds(i64::try_from(dice.below(3_000)).unwrap_or(0));
                request.job.deadline = Some(SystemClock.now() + limit);
                request.expect = Expect::EffectOrDeadline;
            }
            _ => {}
        }
        Ok(request)
    }
}
