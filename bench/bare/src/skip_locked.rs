//! `skip-locked`: the queue that most people write, as they write it: the oldest waiting row of a table, taken
//! with FOR UPDATE SKIP LOCKED. Full speed, then a steady rate while another session pins the oldest
//! transaction, then full speed again while it still does.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures::future::try_join_all;
use serde_json::json;
use sqlx::PgPool;

use crate::{Numbers, pin, servers};

const TABLE: &str = "CREATE TABLE plain_jobs (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind text NOT NULL, payload jsonb NOT NULL,
        state text NOT NULL DEFAULT 'queued', created_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX plain_jobs_queued ON plain_jobs (id) WHERE state = 'queued'";
const FILL: &str = "INSERT INTO plain_jobs (kind, payload) SELECT 'effect', '{}' FROM generate_series(1, $1)";
const CLAIM: &str = "UPDATE plain_jobs SET state = 'running' WHERE id = (
        SELECT id FROM plain_jobs WHERE state = 'queued' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
    ) RETURNING id";
const DONE: &str = "DELETE FROM plain_jobs WHERE id = $1";
/// Jobs are added this often while the rate is steady.
const TICK: Duration = Duration::from_millis(100);
/// A claim that found nothing looks again after this.
const AGAIN: Duration = Duration::from_millis(5);

/// Runs.
pub async fn run(numbers: &Numbers) -> Result<()> {
    let (burst, rate, seconds) = (numbers.get("burst")?, numbers.get("rate")?, numbers.get("seconds")?);
    let workers = numbers.get("workers")?;
    let pool = servers::database(u32::try_from(workers)? + 2).await?;
    sqlx::raw_sql(TABLE).execute(&pool).await?;
    let before = full_speed(&pool, burst, workers).await?;
    let pinned = pin::open(&pool).await?;
    let steady = steady(&pool, rate, Duration::from_secs(seconds), workers).await?;
    sqlx::query("DELETE FROM plain_jobs").execute(&pool).await?;
    let after = full_speed(&pool, burst, workers).await?;
    pinned.rollback().await?;
    println!("{}", json!({"before": before, "after": after, "steady": steady}));
    Ok(())
}

async fn one(pool: &PgPool) -> Result<bool> {
    let Some(id) = sqlx::query_scalar::<_, i64>(CLAIM).fetch_optional(pool).await? else { return Ok(false) };
    sqlx::query(DONE).bind(id).execute(pool).await?;
    Ok(true)
}

/// Jobs per second from a backlog, for at most ten seconds.
async fn full_speed(pool: &PgPool, jobs: u64, workers: u64) -> Result<f64> {
    sqlx::query(FILL).bind(i64::try_from(jobs)?).execute(pool).await?;
    let started = Instant::now();
    let end = started + Duration::from_secs(10);
    let counts = try_join_all((0..workers).map(|_| async {
        let mut done = 0_u32;
        while Instant::now() < end && one(pool).await? {
            done += 1;
        }
        anyhow::Ok(done)
    }));
    let done: u32 = counts.await?.into_iter().sum();
    Ok(f64::from(done) / started.elapsed().as_secs_f64())
}

/// Jobs per second in the last tenth of the time.
async fn steady(pool: &PgPool, rate: u64, time: Duration, workers: u64) -> Result<f64> {
    let started = Instant::now();
    let end = started + time;
    let last = end - time / 10;
    let filling = async {
        let mut tick = tokio::time::interval(TICK);
        while Instant::now() < end {
            tick.tick().await;
            sqlx::query(FILL).bind(i64::try_from(rate / 10)?).execute(pool).await?;
        }
        anyhow::Ok(())
    };
    let working = try_join_all((0..workers).map(|_| async {
        let mut done = 0_u32;
        while Instant::now() < end {
            if !one(pool).await? {
                tokio::time::sleep(AGAIN).await;
            } else if Instant::now() > last {
                done += 1;
            }
        }
        anyhow::Ok(done)
    }));
    let ((), counts) = tokio::try_join!(filling, working)?;
    Ok(f64::from(counts.into_iter().sum::<u32>()) / (time / 10).as_secs_f64())
}
