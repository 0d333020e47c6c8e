//! `latency`: insert and publish at a steady rate, consume in the same process; prints the percentiles of the
//! time from the call that enqueues to the start of the job.
//!
//! Left out: as `fill` and `drain`; above all the outbox, so that no relay stands between commit and publish.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use lapin::options::{BasicAckOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{Numbers, servers};

fn micros() -> Result<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?)
}

/// Runs.
pub async fn run(numbers: &Numbers) -> Result<()> {
    let (rate, seconds, skip) = (numbers.get("rate")?, numbers.get("seconds")?, numbers.count("skip")?);
    let pool = servers::database(4).await?;
    servers::tables(&pool).await?;
    let (to_publish, to_consume) = (servers::broker().await?, servers::broker().await?);
    let channel = to_publish.create_channel().await?;
    servers::declare(&channel).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let (_consuming, mut consumer) = servers::consumer(&to_consume, 32).await?;

    let jobs = usize::try_from(rate * seconds)?;
    let (enqueueing, inserts) = (channel, pool.clone());
    let sender = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_secs(1) / u32::try_from(rate)?);
        for _ in 0..jobs {
            tick.tick().await;
            let (channel, pool) = (enqueueing.clone(), inserts.clone());
            tokio::spawn(async move {
                if let Err(error) = enqueue(&channel, &pool).await {
                    eprintln!("{error:#}");
                }
            });
        }
        anyhow::Ok(())
    });
    let mut waits = Vec::with_capacity(jobs);
    while waits.len() < jobs {
        let delivery = consumer.next().await.context("the consumer ended")??;
        let (id, asked) = delivery.data.split_at_checked(16).context("a short message")?;
        waits.push(micros()?.saturating_sub(u64::from_be_bytes(asked.try_into()?)));
        let (id, pool) = (Uuid::from_slice(id)?, pool.clone());
        tokio::spawn(async move {
            let done = sqlx::query("UPDATE bare_jobs SET state = 'done' WHERE id = $1 AND state = 'queued'");
            if done.bind(id).execute(&pool).await.is_ok()
                && let Err(error) = delivery.acker.ack(BasicAckOptions::default()).await
            {
                eprintln!("{error:#}");
            }
        });
    }
    sender.await??;
    let mut waits = waits.split_off(skip.min(waits.len()));
    waits.sort_unstable();
    let at = |percent: usize| waits.get((waits.len() * percent / 100).min(waits.len().saturating_sub(1)));
    println!("{}", json!({"p50_us": at(50), "p95_us": at(95), "p99_us": at(99)}));
    Ok(())
}

async fn enqueue(channel: &Channel, pool: &PgPool) -> Result<()> {
    let (id, asked) = (Uuid::now_v7(), micros()?);
    sqlx::query("INSERT INTO bare_jobs (id, kind, payload) VALUES ($1, 'effect', '{}')")
        .bind(id)
        .execute(pool)
        .await?;
    let body = [id.as_bytes().as_slice(), &asked.to_be_bytes()].concat();
    let properties = BasicProperties::default().with_delivery_mode(2);
    let (exchange, key) = ("".into(), servers::queue()?.into());
    channel.basic_publish(exchange, key, BasicPublishOptions::default(), &body, properties).await?.await?;
    Ok(())
}
