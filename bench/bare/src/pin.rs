//! `pin`: a session that is idle in a transaction with a snapshot and a transaction id, so that nothing which
//! dies after it can be vacuumed. Says `pinned`, and ends when its input does.

use anyhow::Result;
use sqlx::PgPool;
use tokio::io::AsyncReadExt as _;

use crate::servers;

/// A transaction that is open until it is dropped.
pub async fn open(pool: &PgPool) -> Result<sqlx::Transaction<'static, sqlx::Postgres>> {
    let mut pinned = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
    sqlx::raw_sql("SET LOCAL idle_in_transaction_session_timeout = 0; SELECT txid_current()")
        .execute(&mut *pinned)
        .await?;
    Ok(pinned)
}

/// Runs.
pub async fn run() -> Result<()> {
    let pinned = open(&servers::database(1).await?).await?;
    println!("pinned");
    let mut rest = Vec::new();
    tokio::io::stdin().read_to_end(&mut rest).await?;
    pinned.rollback().await?;
    Ok(())
}
