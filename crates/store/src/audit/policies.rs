//! Policies of an organization, and whether it purges.

use chrono::{DateTime, Utc};
use domain::audit::retention::Policy;
use domain::ids::CompanyId;
use serde::Serialize;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// The company's policies, by class.
///
/// # Errors
/// As every statement.
pub async fn list(tx: &mut Tx, company: CompanyId) -> Result<Vec<Policy>> {
    sqlx::query_as!(
        Policy,
        "SELECT class, archive_after_days, purge_after_days, legal_hold FROM audit_policies WHERE company_id = $1
         ORDER BY class LIMIT 1000",
        company.uuid(),
    )
    .fetch_all(tx.conn())
    .await
    .doing("reading retention policies")
}

/// Replaces the company's policies.
///
/// # Errors
/// As every statement.
pub async fn replace(tx: &mut Tx, company: CompanyId, policies: &[Policy], by: &str) -> Result<()> {
    sqlx::query!("DELETE FROM audit_policies WHERE company_id = $1", company.uuid())
        .execute(tx.conn())
        .await
        .doing("removing retention policies")?;
    for policy in policies {
        sqlx::query!(
            "INSERT INTO audit_policies (company_id, class, archive_after_days, purge_after_days, legal_hold, updated_by)
             VALUES ($1, $2, $3, $4, $5, $6)",
            company.uuid(),
            policy.class,
            policy.archive_after_days,
            policy.purge_after_days,
            policy.legal_hold,
            by,
        )
        .execute(tx.conn())
        .await
        .doing("writing a retention policy")?;
    }
    Ok(())
}

/// Whether the company purges, and why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct State {
    /// Nothing is purged.
    pub paused: bool,
    /// Why it is so.
    pub because: String,
    /// Who said so.
    pub changed_by: String,
    /// When.
    pub changed_at: DateTime<Utc>,
}

/// The state; `None` when nobody ever changed it (then it purges).
///
/// # Errors
/// As every statement.
pub async fn state(tx: &mut Tx, company: CompanyId) -> Result<Option<State>> {
    sqlx::query_as!(
        State,
        "SELECT paused, because, changed_by, changed_at FROM audit_retention_state WHERE company_id = $1",
        company.uuid(),
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading whether the company purges")
}

/// Pauses or resumes purging; whether that changed anything.
///
/// # Errors
/// As every statement.
pub async fn switch(tx: &mut Tx, company: CompanyId, paused: bool, because: &str, by: &str) -> Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO audit_retention_state AS s (company_id, paused, because, changed_by) VALUES ($1, $2, $3, $4)
         ON CONFLICT (company_id) DO UPDATE SET paused = $2, because = $3, changed_by = $4,
             changed_at = clock_timestamp()
         WHERE s.paused <> $2",
        company.uuid(),
        paused,
        because,
        by,
    )
    .execute(tx.conn())
    .await
    .doing("pausing or resuming the purge")?;
    Ok(done.rows_affected() > 0)
}
