//! `door`: an HTTP handler that stores one durable row for each request and then answers 202, until it is killed. What
//! has arrived is stored together, at most `--batch` in one statement; one loop commits while requests collect.
//!
//! Left out: reading the body, judging its sender, jobs, hints, receipts, limits, traces, metrics, and what happens
//! when the database is away.

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::{Numbers, servers};

type Waiting = (Bytes, oneshot::Sender<()>);

const TABLE: &str = "CREATE TABLE IF NOT EXISTS bare_requests (id uuid PRIMARY KEY, body bytea NOT NULL)";
const STORE: &str = "INSERT INTO bare_requests (id, body) SELECT * FROM UNNEST($1::uuid[], $2::bytea[])";

/// Runs until killed.
pub async fn run(numbers: &Numbers) -> Result<()> {
    let (port, batch) = (u16::try_from(numbers.get("port")?)?, numbers.count("batch")?);
    let pool = servers::database(2).await?;
    sqlx::query(TABLE).execute(&pool).await?;
    let (queue, waiting) = mpsc::channel::<Waiting>(4096);
    tokio::spawn(store(pool, waiting, batch));
    let take = move |body: Bytes| {
        let queue = queue.clone();
        async move {
            let (answer, stored) = oneshot::channel();
            match queue.send((body, answer)).await {
                Ok(()) if stored.await.is_ok() => StatusCode::ACCEPTED,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            }
        }
    };
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    axum::serve(listener, Router::new().route("/door", post(take))).await?;
    Ok(())
}

async fn store(pool: PgPool, mut waiting: mpsc::Receiver<Waiting>, batch: usize) -> Result<()> {
    while let Some(first) = waiting.recv().await {
        let mut all = vec![first];
        while all.len() < batch {
            let Ok(next) = waiting.try_recv() else { break };
            all.push(next);
        }
        let ids: Vec<Uuid> = all.iter().map(|_| Uuid::now_v7()).collect();
        let bodies: Vec<&[u8]> = all.iter().map(|(body, _)| &body[..]).collect();
        sqlx::query(STORE).bind(&ids).bind(&bodies).execute(&pool).await?;
        for (_, answer) in all {
            let _ = answer.send(());
        }
    }
    Ok(())
}
