//! Who did what, and why: `audit_events`. Rows are written in the transaction of the action and never change.

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

/// Records an action in the caller's transaction. `company` is `None` for what belongs to no organization; call
/// it in a dispatch transaction then.
///
/// # Errors
/// As every statement.
pub async fn record(tx: &mut Tx, company: Option<CompanyId>, entry: &AuditEntry) -> Result<Uuid> {
    let id = chassis::ids::new_id();
    sqlx::query!(
        "INSERT INTO audit_events (id, company_id, actor, role, action, resource, reason, request_id, trace_id,
             details)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
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
