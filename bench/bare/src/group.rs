//! `group`: claims, effects and acknowledgements in batches, until it is killed. What has arrived is taken
//! together, at most `--batch`; `--workers` loops, each with a channel and a database connection of its own,
//! so that one commits while another collects.
//!
//! Left out: everything that `drain` leaves out, and a job of the batch that fails would fail all of them.

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use futures::future::{FutureExt as _, try_join_all};
use lapin::options::BasicAckOptions;
use lapin::{Connection, Consumer};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{Numbers, servers};

/// Claim, effect and done of many.
const ALL: &str = "WITH claimed AS (
        UPDATE bare_jobs SET state = 'done', epoch = epoch + 1 WHERE id = ANY($1) AND state = 'queued' RETURNING id
    ) INSERT INTO bare_effects (job_id) SELECT id FROM claimed";

/// Runs until killed.
pub async fn run(numbers: &Numbers) -> Result<()> {
    let (workers, batch) = (numbers.get("workers")?, numbers.count("batch")?);
    let prefetch = u16::try_from(numbers.get("prefetch")?)?;
    let pool = servers::database(u32::try_from(workers)?).await?;
    let connection = servers::broker().await?;
    try_join_all((0..workers).map(|_| work(&pool, &connection, prefetch, batch))).await?;
    Ok(())
}

async fn work(pool: &PgPool, connection: &Connection, prefetch: u16, batch: usize) -> Result<()> {
    let (_channel, mut consumer) = servers::consumer(connection, prefetch).await?;
    loop {
        one_batch(pool, &mut consumer, batch).await?;
    }
}

async fn one_batch(pool: &PgPool, consumer: &mut Consumer, batch: usize) -> Result<()> {
    let mut last = consumer.next().await.context("the consumer ended")??;
    let mut ids = vec![Uuid::from_slice(&last.data)?];
    while ids.len() < batch {
        // What is here already; the commit before it was time enough to collect.
        let Some(delivery) = consumer.next().now_or_never() else { break };
        last = delivery.context("the consumer ended")??;
        ids.push(Uuid::from_slice(&last.data)?);
    }
    sqlx::query(ALL).bind(&ids).execute(pool).await?;
    last.acker.ack(BasicAckOptions { multiple: true }).await?;
    Ok(())
}
