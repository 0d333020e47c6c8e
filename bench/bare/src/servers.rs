//! Connections, the tables and the queue.

use anyhow::{Context as _, Result};
use lapin::options::{BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties, Consumer};
use sqlx::postgres::{PgPool, PgPoolOptions};

/// A ledger without anything but the job, and the table of effects.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS bare_jobs (
        id uuid PRIMARY KEY, kind text NOT NULL, payload jsonb NOT NULL, state text NOT NULL DEFAULT 'queued',
        epoch bigint NOT NULL DEFAULT 0, created_at timestamptz NOT NULL DEFAULT now(), published_at timestamptz
    ) WITH (fillfactor = 70);
    CREATE TABLE IF NOT EXISTS bare_effects (
        job_id uuid NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp()
    )";

fn variable(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set"))
}

/// Name of the queue.
pub fn queue() -> Result<String> {
    variable("BARE_QUEUE")
}

/// A pool that is connected already.
pub async fn database(connections: u32) -> Result<PgPool> {
    let options = PgPoolOptions::new()
        .min_connections(connections)
        .max_connections(connections)
        .test_before_acquire(false);
    Ok(options.connect(&variable("BARE_DATABASE_URL")?).await?)
}

/// Makes the tables.
pub async fn tables(pool: &PgPool) -> Result<()> {
    sqlx::raw_sql(TABLES).execute(pool).await?;
    Ok(())
}

/// A connection to the broker.
pub async fn broker() -> Result<Connection> {
    Ok(Connection::connect(&variable("BARE_AMQP_URL")?, ConnectionProperties::default()).await?)
}

/// Declares the quorum queue.
pub async fn declare(channel: &Channel) -> Result<()> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue()?.into(), options, arguments).await?;
    Ok(())
}

/// A consumer on a channel of its own; the channel must be kept.
pub async fn consumer(connection: &Connection, prefetch: u16) -> Result<(Channel, Consumer)> {
    let channel = connection.create_channel().await?;
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let consumer = channel.basic_consume(queue()?.into(), "".into(), options, FieldTable::default()).await?;
    Ok((channel, consumer))
}
