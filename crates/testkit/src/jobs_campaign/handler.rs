//! What a worker of the campaign does with a job. Every effect commits with the job's "done" mark.

use std::fmt::Write as _;
use std::time::Duration;

use async_trait::async_trait;
use chassis::lifecycle::Tasks;
use chassis::time::pause;
use domain::retry::RetryPolicy;
use job_runtime::{Handler, Handlers, JobContext, JobError, Outcome};
use serde_json::{Value, json};
use store::{Tx, admin};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::ask::{Request, ask};
use super::payload::{Behaviour, ChaosEffect, ChaosMessage};
use crate::e2e::sql::quote;

/// Logged when a zombie's write was refused; the campaign counts the lines.
pub const ZOMBIE_REFUSED: &str = "a zombie's write was refused";
/// Attempt time of a job that overruns it once, in seconds.
pub const OVERRUN_SECONDS: i32 = 1;

/// Quick, so that a campaign of seconds sees several attempts.
const RETRY: RetryPolicy = RetryPolicy {
    max_attempts: 8,
    initial: Duration::from_millis(50),
    max: Duration::from_millis(400),
    multiplier: 2,
};

/// Every handler of the campaign's worker.
pub fn handlers() -> Handlers {
    let appends = Appends { worker: chassis::ids::new_id() };
    Handlers::new().with(appends).with(AppendsMessage(appends))
}

/// Runs [`ChaosEffect`].
#[derive(Debug, Clone, Copy)]
struct Appends {
    worker: Uuid,
}

/// Runs [`ChaosMessage`].
#[derive(Debug, Clone, Copy)]
struct AppendsMessage(Appends);

#[async_trait]
impl Handler for Appends {
    type Payload = ChaosEffect;

    async fn run(&self, payload: ChaosEffect, job: JobContext) -> Result<Outcome, JobError> {
        Attempt::begin(self.worker, payload.document, job).await?.run(payload.behaviour).await
    }

    fn retry_policy(&self) -> RetryPolicy {
        RETRY
    }
}

#[async_trait]
impl Handler for AppendsMessage {
    type Payload = ChaosMessage;

    async fn run(&self, payload: ChaosMessage, job: JobContext) -> Result<Outcome, JobError> {
        self.0.run(payload.0, job).await
    }

    fn retry_policy(&self) -> RetryPolicy {
        RETRY
    }
}

/// An attempt with what it saw when it began.
struct Attempt {
    worker: Uuid,
    job: JobContext,
    /// Time of the claim, on the database's clock.
    started_at: String,
    /// The document and the wish that this run fulfils: read after the claim, so that every request which
    /// coalesced into the job before is part of it.
    wish: Option<(String, i64)>,
}

impl Attempt {
    async fn begin(worker: Uuid, document: Option<String>, job: JobContext) -> Result<Self, JobError> {
        let mut tx = job.begin().await?;
        let query = format!(
            "SELECT started_at::text AS started_at, (SELECT wanted FROM chaos_documents
                 WHERE company_id = '{}' AND key = {}) AS wanted
             FROM jobs_live WHERE id = '{}' AND epoch = {}",
            job.company(),
            quote(document.as_deref().unwrap_or_default()),
            job.job(),
            job.fence().epoch,
        );
        let row = admin::rows_in(&mut tx, &query).await?.into_iter().next();
        tx.commit().await?;
        let row = row.ok_or_else(|| JobError::retry("gone", "the job was taken over before it began"))?;
        let wish = document.map(|key| (key, row["wanted"].as_i64().unwrap_or_default()));
        let started_at = row["started_at"].as_str().unwrap_or_default().to_owned();
        Ok(Self { worker, job, started_at, wish })
    }

    async fn run(self, behaviour: Behaviour) -> Result<Outcome, JobError> {
        let attempt = self.job.attempt();
        match behaviour {
            Behaviour::Slow { ms } => pause(Duration::from_millis(ms)).await,
            Behaviour::Stubborn { ms } => return self.stubborn(Duration::from_millis(ms)).await,
            Behaviour::Fails { times } if attempt <= times => {
                return Err(JobError::retry("chaos", format!("attempt {attempt} fails as it was asked to")));
            }
            Behaviour::NeverSucceeds => {
                return Err(JobError::retry("chaos", "never succeeds, as it was asked to"));
            }
            Behaviour::Refuses => return Err(JobError::fail("chaos_refused", "refused, as it was asked to")),
            Behaviour::Panics { times } => {
                assert!(attempt > times, "attempt {attempt} panics as it was asked to");
            }
            Behaviour::Overruns if attempt == 1 => {
                pause(Duration::from_secs(OVERRUN_SECONDS.unsigned_abs().into()) * 5).await;
            }
            Behaviour::Steps { count, ms } => {
                if let Some(handed_back) = self.steps(count, Duration::from_millis(ms)).await? {
                    return Ok(handed_back);
                }
            }
            Behaviour::Spawns { count } => return self.spawn(count).await,
            Behaviour::Kills => std::process::abort(),
            Behaviour::Plain | Behaviour::Fails { .. } | Behaviour::Overruns => {}
        }
        let mut tx = self.job.begin().await?;
        self.append(&mut tx).await?;
        self.job.commit_done(tx, &result()).await
    }

    /// The effect, and the wish that it fulfils.
    async fn append(&self, tx: &mut Tx) -> Result<(), JobError> {
        let mut sql = format!(
            "INSERT INTO chaos_effects (job_id, epoch, attempt, worker, started_at)
             VALUES ('{}', {}, {}, '{}', {});",
            self.job.job(),
            self.job.fence().epoch,
            self.job.attempt(),
            self.worker,
            quote(&self.started_at),
        );
        if let Some((key, wanted)) = &self.wish {
            let _ = write!(
                sql,
                "UPDATE chaos_documents SET applied = greatest(applied, {wanted})
                 WHERE company_id = '{}' AND key = {};",
                self.job.company(),
                quote(key),
            );
        }
        Ok(admin::execute_in(tx, &sql).await?)
    }

    /// Commits on a task that outlives the lost lease.
    async fn stubborn(self, hold: Duration) -> Result<Outcome, JobError> {
        let mut tx = self.job.begin().await?;
        self.append(&mut tx).await?;
        let (tell, told) = oneshot::channel();
        Tasks::new().spawn("stubborn", async move {
            pause(hold).await;
            let outcome = self.job.commit_done(tx, &result()).await;
            if outcome.as_ref().is_err_and(JobError::is_fenced) {
                tracing::info!(job_id = %self.job.job(), "{ZOMBIE_REFUSED}");
            }
            // Nobody hears it once the attempt was given up.
            let _ = tell.send(outcome);
        });
        told.await.unwrap_or_else(|_| Err(JobError::retry("chaos", "the stubborn task ended without a word")))
    }

    /// `Some` when the process drains before the last step.
    async fn steps(&self, count: i64, each: Duration) -> Result<Option<Outcome>, JobError> {
        let first = self.job.stored_checkpoint().and_then(Value::as_i64).unwrap_or(0);
        for step in first..count {
            if step > first && self.job.draining().is_cancelled() {
                return Ok(Some(Outcome::HandBack));
            }
            pause(each).await;
            let mut tx = self.job.begin().await?;
            let (id, epoch) = (self.job.job(), self.job.fence().epoch);
            let sql =
                format!("INSERT INTO chaos_steps (job_id, epoch, step) VALUES ('{id}', {epoch}, {step})");
            admin::execute_in(&mut tx, &sql).await?;
            self.job.checkpoint(tx, Some(&json!(step + 1)), step + 1, Some(count), "steps").await?;
        }
        Ok(None)
    }

    async fn spawn(self, count: u32) -> Result<Outcome, JobError> {
        let mut tx = self.job.begin().await?;
        let mut children = Vec::new();
        for n in 0..count {
            let mut child = Request::new(self.job.company(), Behaviour::Plain, n % 2 == 1)?;
            child.job = child.job.resource(format!("after-{}", self.job.job()));
            children.push(child);
        }
        ask(&mut tx, children, Some(self.job.job().uuid())).await?;
        self.append(&mut tx).await?;
        self.job.commit_done(tx, &result()).await
    }
}

fn result() -> Value {
    json!({ "appended": true })
}
