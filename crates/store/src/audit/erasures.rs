//! Requests to forget somebody.

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use uuid::Uuid;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// A request.
#[derive(Debug, Clone)]
pub struct Erasure {
    /// Id.
    pub id: Uuid,
    /// `asked`, `done` or `refused`.
    pub state: String,
    /// Legal basis.
    pub basis: String,
    /// People whose keys were destroyed.
    pub erased: Option<i32>,
    /// Its job.
    pub job_id: Option<Uuid>,
    /// When it was asked for.
    pub asked_at: DateTime<Utc>,
    /// When it was done or refused.
    pub ended_at: Option<DateTime<Utc>>,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Legal basis.
    pub basis: String,
    /// What the people are found by.
    pub lookups: Vec<Vec<u8>>,
}

/// Notes a request.
///
/// # Errors
/// As every statement.
pub async fn ask(tx: &mut Tx, company: CompanyId, id: Uuid, job: Uuid, asked: &Asked) -> Result<()> {
    sqlx::query!(
        "INSERT INTO audit_erasures (id, company_id, job_id, basis, lookups, state)
         VALUES ($1, $2, $3, $4, $5, 'asked')",
        id,
        company.uuid(),
        job,
        asked.basis,
        &asked.lookups,
    )
    .execute(tx.conn())
    .await
    .doing("noting a request to forget somebody")
    .map(drop)
}

/// A request that is still to be done, locked; `None` when it is over or there is none.
///
/// # Errors
/// As every statement.
pub async fn open(tx: &mut Tx, company: CompanyId, id: Uuid) -> Result<Option<Asked>> {
    sqlx::query_as!(
        Asked,
        "SELECT basis, lookups FROM audit_erasures WHERE company_id = $1 AND id = $2 AND state = 'asked' FOR UPDATE",
        company.uuid(),
        id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading a request to forget somebody")
}

/// Ends a request, and forgets whom it was about. `erased` is `None` when it is refused.
///
/// # Errors
/// As every statement.
pub async fn end(tx: &mut Tx, company: CompanyId, id: Uuid, erased: Option<i32>) -> Result<()> {
    sqlx::query!(
        "UPDATE audit_erasures SET state = CASE WHEN $3::int IS NULL THEN 'refused' ELSE 'done' END, erased = $3,
             lookups = '{}', ended_at = clock_timestamp()
         WHERE company_id = $1 AND id = $2 AND state = 'asked'",
        company.uuid(),
        id,
        erased,
    )
    .execute(tx.conn())
    .await
    .doing("ending a request to forget somebody")
    .map(drop)
}

/// Takes names out of the rows around the trail that say who changed or asked for something.
///
/// # Errors
/// As every statement.
pub async fn unname(tx: &mut Tx, company: CompanyId, names: &[String]) -> Result<()> {
    sqlx::query!(
        "WITH policies AS (
             UPDATE audit_policies SET updated_by = 'erased' WHERE company_id = $1 AND lower(btrim(updated_by)) = ANY ($2)),
         rules AS (
             UPDATE retention_rules SET updated_by = 'erased' WHERE company_id = $1 AND lower(btrim(updated_by)) = ANY ($2)),
         state AS (
             UPDATE audit_retention_state SET changed_by = 'erased'
             WHERE company_id = $1 AND lower(btrim(changed_by)) = ANY ($2))
         UPDATE audit_retention_runs SET requested_by = 'erased'
         WHERE company_id = $1 AND lower(btrim(requested_by)) = ANY ($2)",
        company.uuid(),
        names,
    )
    .execute(tx.conn())
    .await
    .doing("taking names out of the rows around the trail")
    .map(drop)
}

/// The company's requests before `before`, newest first.
///
/// # Errors
/// As every statement.
pub async fn page(
    tx: &mut Tx,
    company: CompanyId,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Erasure>> {
    let (at, id) = before.unzip();
    sqlx::query_as!(
        Erasure,
        "SELECT id, state, basis, erased, job_id, asked_at, ended_at FROM audit_erasures
         WHERE company_id = $1 AND ($2::timestamptz IS NULL OR (asked_at, id) < ($2, $3))
         ORDER BY asked_at DESC, id DESC LIMIT $4",
        company.uuid(),
        at,
        id,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("reading requests to forget somebody")
}
