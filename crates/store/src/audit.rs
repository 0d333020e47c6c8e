//! Who did what, and why: `audit_events`. Rows are written in the transaction of the action and never change; they
//! are sealed into the organization's chain afterwards ([`seal`]), kept, archived and purged by policy.

pub mod archives;
pub mod checkpoints;
pub mod erasures;
pub mod plan;
pub mod policies;
pub mod read;
pub mod runs;
pub mod seal;
pub mod subjects;

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use serde_json::Value;
use uuid::Uuid;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// One action.
#[derive(Debug, Clone)]
pub struct AuditEntry {
    /// Subject of the token, or the service that acts by itself.
    pub actor: String,
    /// Role of the token; `service` for a service, `database` for who holds the database's URL.
    pub role: String,
    /// What was done, such as `dead_letter.retry`.
    pub action: String,
    /// To what, such as `job:<id>`.
    pub resource: String,
    /// Why, as the actor said.
    pub reason: Option<String>,
    /// Id of the request.
    pub request_id: Option<String>,
    /// Id of its trace.
    pub trace_id: Option<String>,
    /// Whatever else tells the action apart; no secrets.
    pub details: Value,
}

/// What is known of an action beside [`AuditEntry`].
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// Network address of who acted.
    pub address: Option<String>,
    /// Job that acted, or that the action caused.
    pub job_id: Option<Uuid>,
    /// Member by member what changed, as [`domain::audit::changes`] says it.
    pub changes: Option<Value>,
}

/// Records an action in the caller's transaction. `company` is `None` for what belongs to no organization; call
/// it in a dispatch transaction then.
///
/// # Errors
/// As every statement.
pub async fn record(tx: &mut Tx, company: Option<CompanyId>, entry: &AuditEntry) -> Result<Uuid> {
    record_with(tx, company, entry, &Circumstances::default()).await
}

/// As [`record`], with what else is known.
///
/// # Errors
/// As every statement.
pub async fn record_with(
    tx: &mut Tx,
    company: Option<CompanyId>,
    entry: &AuditEntry,
    circumstances: &Circumstances,
) -> Result<Uuid> {
    let id = chassis::ids::new_id();
    sqlx::query!(
        "INSERT INTO audit_events (id, company_id, actor, role, action, resource, reason, request_id, trace_id,
             details, address, job_id, changes)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        id,
        company.map(CompanyId::uuid),
        entry.actor,
        entry.role,
        entry.action,
        entry.resource,
        entry.reason,
        entry.request_id,
        entry.trace_id,
        entry.details,
        circumstances.address,
        circumstances.job_id,
        circumstances.changes,
    )
    .execute(tx.conn())
    .await
    .doing("recording an action")?;
    Ok(id)
}

/// A recorded action.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Id.
    pub id: Uuid,
    /// When.
    pub occurred_at: DateTime<Utc>,
    /// Who.
    pub actor: String,
    /// As what.
    pub role: String,
    /// What.
    pub action: String,
    /// Why.
    pub reason: Option<String>,
    /// Whatever else tells the action apart.
    pub details: Value,
}

/// The newest actions on a resource, newest first.
///
/// # Errors
/// As every statement.
pub async fn of_resource(
    tx: &mut Tx,
    company: CompanyId,
    resource: &str,
    limit: i64,
) -> Result<Vec<Recorded>> {
    sqlx::query_as!(
        Recorded,
        "SELECT id, occurred_at, actor, role, action, reason, details FROM audit_events
         WHERE company_id = $1 AND resource = $2 ORDER BY occurred_at DESC, id DESC LIMIT $3",
        company.uuid(),
        resource,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("reading the actions on a resource")
}
