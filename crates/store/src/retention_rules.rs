//! How long an organization keeps what is no audit record. The nightly jobs ask here before they remove anything.

use domain::ids::CompanyId;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// What leaves some time after it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Documents, index rows and messages that were deleted.
    Deleted,
    /// Runs of syncs.
    SyncHistory,
    /// Items in quarantine that were resolved.
    Quarantine,
    /// Notifications that came in, and answers remembered for `Idempotency-Key`.
    Notifications,
    /// Push channels and subscriptions that ended.
    EndedChannels,
}

impl What {
    /// All of them.
    pub const ALL: [What; 5] =
        [What::Deleted, What::SyncHistory, What::Quarantine, What::Notifications, What::EndedChannels];

    /// As in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            What::Deleted => "deleted",
            What::SyncHistory => "sync_history",
            What::Quarantine => "quarantine",
            What::Notifications => "notifications",
            What::EndedChannels => "ended_channels",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.as_str() == name)
    }
}

/// The rules that the company chose, by name.
///
/// # Errors
/// As every statement.
pub async fn list(tx: &mut Tx, company: CompanyId) -> Result<Vec<(String, i32)>> {
    let rows = sqlx::query!(
        "SELECT what, days FROM retention_rules WHERE company_id = $1 ORDER BY what LIMIT 100",
        company.uuid(),
    )
    .fetch_all(tx.conn())
    .await
    .doing("reading retention rules")?;
    Ok(rows.into_iter().map(|row| (row.what, row.days)).collect())
}

/// Days that something stays: what the company chose, else `default`.
///
/// # Errors
/// As every statement.
pub async fn days(tx: &mut Tx, company: CompanyId, what: What, default: i32) -> Result<i32> {
    let chosen = list(tx, company).await?;
    Ok(chosen.into_iter().find(|(name, _)| name == what.as_str()).map_or(default, |(_, days)| days))
}

/// Replaces the company's rules.
///
/// # Errors
/// As every statement.
pub async fn replace(tx: &mut Tx, company: CompanyId, rules: &[(What, i32)], by: &str) -> Result<()> {
    let what: Vec<String> = rules.iter().map(|(what, _)| what.as_str().to_owned()).collect();
    let days: Vec<i32> = rules.iter().map(|(_, days)| *days).collect();
    sqlx::query!("DELETE FROM retention_rules WHERE company_id = $1", company.uuid())
        .execute(tx.conn())
        .await
        .doing("removing retention rules")?;
    sqlx::query!(
        "INSERT INTO retention_rules (company_id, what, days, updated_by)
         SELECT $1, r.what, r.days, $4 FROM unnest($2::text[], $3::integer[]) AS r (what, days)",
        company.uuid(),
        &what,
        &days,
        by,
    )
    .execute(tx.conn())
    .await
    .doing("writing retention rules")
    .map(drop)
}
