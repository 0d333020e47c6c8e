//! Planning, starting and cancelling.

use domain::ids::CompanyId;
use uuid::Uuid;

use super::steps::stop;
use crate::dead_letters::DeadFilter;
use crate::error::{Doing, Result};
use crate::pool::Tx;

/// A request to retry many dead letters.
#[derive(Debug, Clone)]
pub struct NewOperation {
    /// Which dead letters.
    pub filter: DeadFilter,
    /// At most so many, those enqueued first.
    pub limit: Option<i32>,
    /// Who asks.
    pub requested_by: String,
    /// As what.
    pub role: String,
    /// Why.
    pub reason: Option<String>,
}

/// A plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// The operation.
    pub id: Uuid,
    /// Its items.
    pub items: i32,
}

/// The running operation with the same filter, if there is one. Serialises plans with this filter until the
/// transaction ends, so that a double click makes one operation.
///
/// # Errors
/// As every statement.
pub async fn running_with(
    tx: &mut Tx,
    company: CompanyId,
    filter: &DeadFilter,
    limit: Option<i32>,
) -> Result<Option<Uuid>> {
    let key = filter.stored(limit).to_string();
    sqlx::query!(
        r#"SELECT pg_advisory_xact_lock(hashtextextended($1, 7311)) AS "locked!: ()""#,
        format!("{company}/{key}"),
    )
    .fetch_one(tx.conn())
    .await
    .doing("locking an operation's filter")?;
    sqlx::query_scalar!(
        "SELECT id FROM operations WHERE company_id = $1 AND filter_key = $2 AND state = 'running'",
        company.uuid(),
        key,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("looking for a running operation")
}

/// Writes an operation in state `planned` with every dead letter that fits as an item, in the order in which the
/// jobs were enqueued. The steps of operations themselves are left out.
///
/// # Errors
/// As every statement.
pub async fn plan(tx: &mut Tx, company: CompanyId, new: &NewOperation, own_kind: &str) -> Result<Planned> {
    let id = chassis::ids::new_id();
    let filter = new.filter.stored(new.limit);
    sqlx::query!(
        "INSERT INTO operations (id, company_id, state, filter, filter_key, requested_by, role, reason)
         VALUES ($1, $2, 'planned', $3, $4, $5, $6, $7)",
        id,
        company.uuid(),
        filter,
        filter.to_string(),
        new.requested_by,
        new.role,
        new.reason,
    )
    .execute(tx.conn())
    .await
    .doing("planning an operation")?;
    let written = sqlx::query!(
        "INSERT INTO operation_items (operation_id, position, company_id, job_id, kind, fingerprint)
         SELECT $1, row_number() OVER (ORDER BY seq), company_id, id, kind, error_fingerprint FROM (
             SELECT seq, company_id, id, kind, error_fingerprint FROM jobs_dead
             WHERE company_id = $2 AND kind <> $3 AND ($4::text IS NULL OR kind = $4)
                 AND ($5::timestamptz IS NULL OR finished_at >= $5)
                 AND ($6::text IS NULL OR error_fingerprint = $6 OR errors -> -1 ->> 'code' = $6
                     OR position(lower($6) IN lower(errors -> -1 ->> 'message')) > 0)
             ORDER BY seq LIMIT $7) fitting",
        id,
        company.uuid(),
        own_kind,
        new.filter.kind,
        new.filter.since,
        new.filter.error,
        new.limit.map(i64::from),
    )
    .execute(tx.conn())
    .await
    .doing("writing an operation's items")?;
    let items = i32::try_from(written.rows_affected()).unwrap_or(i32::MAX);
    sqlx::query!("UPDATE operations SET planned = $2 WHERE id = $1", id, items)
        .execute(tx.conn())
        .await
        .doing("counting an operation's items")?;
    Ok(Planned { id, items })
}

/// What became of a request to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// It runs from now on.
    Now,
    /// It runs already.
    Running,
    /// Another operation with the same filter runs.
    Behind(Uuid),
    /// It has ended.
    Ended,
    /// There is none.
    Unknown,
}

/// Starts a planned operation; enqueue its first step in the same transaction, for [`Started::Running`] too: that
/// brings one back whose step was lost to the dead letters.
///
/// # Errors
/// As every statement.
pub async fn start(tx: &mut Tx, company: CompanyId, id: Uuid) -> Result<Started> {
    let found = sqlx::query!(
        r#"SELECT o.state, o.filter_key,
               (SELECT r.id FROM operations r WHERE r.company_id = $2 AND r.filter_key = o.filter_key
                   AND r.state = 'running' AND r.id <> o.id) AS other
           FROM operations o WHERE o.id = $1 AND o.company_id = $2 FOR UPDATE OF o"#,
        id,
        company.uuid(),
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading an operation to start")?;
    let Some(found) = found else { return Ok(Started::Unknown) };
    match (found.state.as_str(), found.other) {
        ("running", _) => return Ok(Started::Running),
        ("planned", None) => {}
        ("planned", Some(other)) => return Ok(Started::Behind(other)),
        _ => return Ok(Started::Ended),
    }
    sqlx::query!("UPDATE operations SET state = 'running', started_at = clock_timestamp() WHERE id = $1", id)
        .execute(tx.conn())
        .await
        .doing("starting an operation")?;
    Ok(Started::Now)
}

/// Cancels a planned or running operation: nothing more is retried, and what was but has not begun goes back to
/// the dead letters. Answers the state that it was in, `None` when there is no such operation.
///
/// # Errors
/// As every statement.
pub async fn cancel(tx: &mut Tx, company: CompanyId, id: Uuid, by: &str) -> Result<Option<String>> {
    let state = sqlx::query_scalar!(
        "SELECT state FROM operations WHERE id = $1 AND company_id = $2 FOR UPDATE",
        id,
        company.uuid(),
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading an operation to cancel")?;
    if matches!(state.as_deref(), Some("planned" | "running")) {
        stop(tx, id, "cancelled", &format!("cancelled by {by}")).await?;
    }
    Ok(state)
}
