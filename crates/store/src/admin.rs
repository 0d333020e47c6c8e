//! One statement at a time over a connection of its own, as whatever role a URL names: for what services
//! never do themselves (creating databases and roles, looking at the catalogue), in installation and tests.

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// Runs statements; several may be separated by semicolons.
///
/// # Errors
/// As every statement.
pub async fn execute(url: &str, sql: &str) -> Result<()> {
    let mut connection = PgConnection::connect(url).await.doing("connecting as administrator")?;
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await;
    let closed = connection.close().await;
    done.doing("running an administrator's statement")?;
    closed.doing("closing an administrator's connection")
}

/// Rows of a query, each as a JSON object.
///
/// # Errors
/// As every statement.
pub async fn rows(url: &str, query: &str) -> Result<Vec<Value>> {
    let mut connection = PgConnection::connect(url).await.doing("connecting as administrator")?;
    let wrapped = format!("SELECT to_jsonb(q) FROM ({query}) q");
    let rows = sqlx::query_scalar::<_, Value>(AssertSqlSafe(wrapped)).fetch_all(&mut connection).await;
    let closed = connection.close().await;
    let rows = rows.doing("running an administrator's query")?;
    closed.doing("closing an administrator's connection")?;
    Ok(rows)
}

/// Runs statements in a transaction that has begun, as its role: what a test commits together with a job.
///
/// # Errors
/// As every statement.
pub async fn execute_in(tx: &mut Tx, sql: &str) -> Result<()> {
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(tx.conn()).await;
    done.doing("running a test's statement").map(drop)
}

/// As [`rows`], in a transaction that has begun.
///
/// # Errors
/// As every statement.
pub async fn rows_in(tx: &mut Tx, query: &str) -> Result<Vec<Value>> {
    let wrapped = format!("SELECT to_jsonb(q) FROM ({query}) q");
    let rows =
        sqlx::query_scalar::<_, Value>(AssertSqlSafe(wrapped)).persistent(false).fetch_all(tx.conn()).await;
    rows.doing("running a test's query")
}
