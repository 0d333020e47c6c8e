//! `fill`: bulk enqueue until confirmed. Rows by UNNEST, messages pipelined with confirms; while one batch is
//! published the next is inserted.
//!
//! Left out: the outbox (a crash between commit and publish loses the job), dedupe keys, tenants, priorities,
//! returned messages, trace context.

use std::time::Instant;

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel};
use serde_json::json;
use sqlx::PgPool;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{Numbers, servers};

/// Runs.
pub async fn run(numbers: &Numbers) -> Result<()> {
    let (jobs, batch) = (numbers.count("jobs")?, numbers.count("batch")?);
    let pool = servers::database(1).await?;
    servers::tables(&pool).await?;
    let connection = servers::broker().await?;
    let channel = connection.create_channel().await?;
    servers::declare(&channel).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;

    let started = Instant::now();
    let (inserted, to_publish) = mpsc::channel(2);
    let inserting = tokio::spawn(insert(pool, jobs, batch, inserted));
    publish(&channel, to_publish).await?;
    inserting.await??;
    println!("{}", json!({"jobs": jobs, "seconds": started.elapsed().as_secs_f64()}));
    Ok(())
}

async fn insert(pool: PgPool, jobs: usize, batch: usize, inserted: mpsc::Sender<Vec<Uuid>>) -> Result<()> {
    let mut left = jobs;
    while left > 0 {
        let ids: Vec<Uuid> = (0..left.min(batch)).map(|_| Uuid::now_v7()).collect();
        left -= ids.len();
        sqlx::query(
            "INSERT INTO bare_jobs (id, kind, payload) SELECT id, 'effect', '{}' FROM UNNEST($1::uuid[]) id",
        )
        .bind(&ids)
        .execute(&pool)
        .await?;
        if inserted.send(ids).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn publish(channel: &Channel, mut batches: mpsc::Receiver<Vec<Uuid>>) -> Result<()> {
    let queue = servers::queue()?;
    while let Some(ids) = batches.recv().await {
        let mut confirms = Vec::with_capacity(ids.len());
        for id in &ids {
            let properties = BasicProperties::default().with_delivery_mode(2);
            let (exchange, key) = ("".into(), queue.as_str().into());
            let options = BasicPublishOptions::default();
            confirms.push(channel.basic_publish(exchange, key, options, id.as_bytes(), properties).await?);
        }
        let confirmed = try_join_all(confirms).await?;
        ensure!(confirmed.iter().all(lapin::Confirmation::is_ack), "the broker refused a message");
    }
    Ok(())
}
