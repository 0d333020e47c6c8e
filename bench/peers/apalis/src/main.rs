//! apalis-postgres, fetching 100 jobs at a time, without results: enqueue in bulk, then drain. The time runs
//! from the first job to the last.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use apalis::prelude::*;
use apalis_postgres::{Config, PostgresStorage};
use futures::StreamExt as _;
use futures::stream;
use sqlx::postgres::PgPoolOptions;

/// Tasks of one push.
const BULK: usize = 1000;
/// Longest drain.
const LIMIT: Duration = Duration::from_secs(300);

/// Jobs to see, jobs seen, and when the first came.
struct Seen {
    jobs: u64,
    count: AtomicU64,
    started: Instant,
    first_us: AtomicU64,
    took_us: AtomicU64,
}

async fn effect(_job: u64, seen: Data<Arc<Seen>>, worker: WorkerContext) -> Result<(), BoxDynError> {
    let now = u64::try_from(seen.started.elapsed().as_micros())?;
    let number = seen.count.fetch_add(1, Ordering::Relaxed) + 1;
    if number == 1 {
        seen.first_us.store(now, Ordering::Relaxed);
    }
    if number == seen.jobs {
        seen.took_us.store(now.saturating_sub(seen.first_us.load(Ordering::Relaxed)), Ordering::Relaxed);
        worker.stop()?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let jobs: u64 = std::env::var("PEER_JOBS").context("PEER_JOBS")?.parse()?;
    let url = std::env::var("PEER_DATABASE_URL").context("PEER_DATABASE_URL")?;
    let pool = PgPoolOptions::new().max_connections(16).connect(&url).await?;
    PostgresStorage::setup(&pool).await?;
    let config = Config::default().queue("effect").batch_size(100).lock_tasks(false).persist_results(true);
    let mut backend = PostgresStorage::new(&pool).with_config(config);

    let filling = Instant::now();
    let mut tasks = stream::iter((0..jobs).map(|n| TaskBuilder::new(n).build())).chunks(BULK);
    while let Some(bulk) = tasks.next().await {
        backend.push_all(&mut stream::iter(bulk)).await?;
    }
    let filled = filling.elapsed();

    let seen = Arc::new(Seen {
        jobs,
        count: AtomicU64::new(0),
        started: Instant::now(),
        first_us: AtomicU64::new(0),
        took_us: AtomicU64::new(0),
    });
    let worker = WorkerBuilder::new("peer")
        .backend(backend)
        .data(seen.clone())
        .parallelize(tokio::spawn)
        .build(effect);
    tokio::time::timeout(LIMIT, worker.run()).await.context("the drain takes too long")??;
    let took = Duration::from_micros(seen.took_us.load(Ordering::Relaxed));
    #[expect(clippy::cast_precision_loss, reason = "counts shown as rates")]
    let rate = |count: u64, time: Duration| (count as f64 / time.as_secs_f64()).round();
    println!("{}", serde_json::json!({"drain": rate(jobs - 1, took), "enqueue": rate(jobs, filled)}));
    Ok(())
}
