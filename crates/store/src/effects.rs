//! Effects of the jobs of tests and measurements: rows of tables that no migration makes, written in a job's own
//! transaction by prepared statements, as a repository would.

use uuid::Uuid;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// Writes one effect: `$1` uuid and `$2` bigint. Returns the rows written.
///
/// # Errors
/// As every statement.
pub async fn write_one(tx: &mut Tx, statement: &'static str, id: Uuid, number: i64) -> Result<u64> {
    let done = sqlx::query(statement).bind(id).bind(number).execute(tx.conn()).await;
    done.doing("writing an effect").map(|done| done.rows_affected())
}

/// Writes many effects in one statement: `$1` uuid[] and `$2` bigint[]. Returns the rows written.
///
/// # Errors
/// As every statement.
pub async fn write_many(tx: &mut Tx, statement: &'static str, ids: &[Uuid], numbers: &[i64]) -> Result<u64> {
    let done = sqlx::query(statement).bind(ids).bind(numbers).execute(tx.conn()).await;
    done.doing("writing effects").map(|done| done.rows_affected())
}
