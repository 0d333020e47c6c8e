//! `drain`: consumes, claims and commits one job at a time, until it is killed. With `--commits 1` claim,
//! effect and done are one statement and so one commit; with `--commits 2` the claim is committed first, as
//! whoever wants to see a running job must.
//!
//! Left out: leases, fencing epochs, heartbeats, attempts, deadlines, cancellation, retries, dead letters,
//! history, tenants, rebuilding a broken connection, and any word in a log.

use std::sync::Arc;

use anyhow::{Result, bail};
use futures::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::BasicAckOptions;
use sqlx::PgPool;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::{Numbers, servers};

/// Claim, effect and done.
const ALL: &str = "WITH claimed AS (
        UPDATE bare_jobs SET state = 'done', epoch = epoch + 1 WHERE id = $1 AND state = 'queued' RETURNING id
    ) INSERT INTO bare_effects (job_id) SELECT id FROM claimed";
/// The claim.
const CLAIM: &str =
    "UPDATE bare_jobs SET state = 'running', epoch = epoch + 1 WHERE id = $1 AND state = 'queued'";
/// Effect and done.
const FINISH: &str = "WITH done AS (
        UPDATE bare_jobs SET state = 'done' WHERE id = $1 AND state = 'running' RETURNING id
    ) INSERT INTO bare_effects (job_id) SELECT id FROM done";

/// Runs until killed.
pub async fn run(numbers: &Numbers) -> Result<()> {
    let two = match numbers.get("commits")? {
        1 => false,
        2 => true,
        other => bail!("--commits {other}: 1 or 2"),
    };
    let concurrency = numbers.count("concurrency")?;
    let pool = servers::database(u32::try_from(numbers.get("connections")?)?).await?;
    let connection = servers::broker().await?;
    let (_channel, mut consumer) =
        servers::consumer(&connection, u16::try_from(numbers.get("prefetch")?)?).await?;
    let places = Arc::new(Semaphore::new(concurrency));
    while let Some(delivery) = consumer.next().await {
        let delivery = delivery?;
        let place = places.clone().acquire_owned().await?;
        let pool = pool.clone();
        tokio::spawn(async move {
            if let Err(error) = job(&pool, &delivery, two).await {
                eprintln!("{error:#}");
            }
            drop(place);
        });
    }
    bail!("the consumer ended")
}

async fn job(pool: &PgPool, delivery: &Delivery, two: bool) -> Result<()> {
    let id = Uuid::from_slice(&delivery.data)?;
    if two {
        sqlx::query(CLAIM).bind(id).execute(pool).await?;
    }
    sqlx::query(if two { FINISH } else { ALL }).bind(id).execute(pool).await?;
    delivery.acker.ack(BasicAckOptions::default()).await?;
    Ok(())
}
