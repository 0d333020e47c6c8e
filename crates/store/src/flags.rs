//! Operators' switches: `operator_flags`. A row stands while a switch is away from its normal position.

mod board;
mod held;

use chrono::{DateTime, Utc};
use domain::flags::{Away, Flag, Standing};
use domain::ids::CompanyId;

use crate::error::{Doing, Result};
use crate::pool::Tx;

pub use board::{Board, FRESH, Sight};
pub use held::{Due, due, end_expired, release, release_unheld};

/// A switch that is away from its normal position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// `domain::flags::Flag`; a newer build may know more of them.
    pub name: String,
    /// Why.
    pub reason: String,
    /// Back by itself then.
    pub until: Option<DateTime<Utc>>,
    /// Who switched it.
    pub changed_by: String,
    /// When.
    pub changed_at: DateTime<Utc>,
}

/// The company's switches that are away from normal, by name.
///
/// # Errors
/// As every statement.
pub async fn list(tx: &mut Tx, company: CompanyId) -> Result<Vec<Stored>> {
    sqlx::query_as!(
        Stored,
        "SELECT name, reason, until, changed_by, changed_at FROM operator_flags
         WHERE company_id = $1 AND (until IS NULL OR until > clock_timestamp()) ORDER BY name LIMIT 1000",
        company.uuid(),
    )
    .fetch_all(tx.conn())
    .await
    .doing("reading the switches")
}

/// Whether this switch of the company is away from normal now; for the rare step that must not rely on a board.
///
/// # Errors
/// As every statement.
pub async fn is_away(tx: &mut Tx, company: CompanyId, flag: Flag) -> Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM operator_flags WHERE company_id = $1 AND name = $2
               AND (until IS NULL OR until > clock_timestamp())) AS "away!""#,
        company.uuid(),
        flag.as_str(),
    )
    .fetch_one(tx.conn())
    .await
    .doing("reading a switch")
}

/// Puts a switch away from normal, or changes why and until when it is.
///
/// # Errors
/// As every statement.
pub async fn put_away(tx: &mut Tx, company: CompanyId, flag: Flag, away: &Away, by: &str) -> Result<()> {
    sqlx::query!(
        "INSERT INTO operator_flags (company_id, name, reason, until, changed_by) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (company_id, name) DO UPDATE SET reason = $3, until = $4, changed_by = $5,
             changed_at = clock_timestamp()",
        company.uuid(),
        flag.as_str(),
        away.reason,
        away.until,
        by,
    )
    .execute(tx.conn())
    .await
    .doing("switching")
    .map(drop)
}

/// Puts a switch back to normal; false when it was there.
///
/// # Errors
/// As every statement.
pub async fn put_back(tx: &mut Tx, company: CompanyId, flag: Flag) -> Result<bool> {
    let gone = sqlx::query!(
        "DELETE FROM operator_flags WHERE company_id = $1 AND name = $2",
        company.uuid(),
        flag.as_str(),
    )
    .execute(tx.conn())
    .await
    .doing("switching back")?;
    Ok(gone.rows_affected() > 0)
}

/// Every switch that is away from normal: of all companies in a dispatch transaction, else of the transaction's own.
/// Names that this build does not know are left out.
///
/// # Errors
/// As every statement.
pub async fn standing(tx: &mut Tx) -> Result<Standing> {
    let rows = sqlx::query!(
        "SELECT company_id, name, reason, until FROM operator_flags
         WHERE until IS NULL OR until > clock_timestamp() LIMIT 100000"
    )
    .fetch_all(tx.conn())
    .await
    .doing("reading all switches")?;
    Ok(Standing::new(rows.into_iter().filter_map(|row| {
        let flag = row.name.parse().ok()?;
        Some((CompanyId(row.company_id), flag, Away { reason: row.reason, until: row.until }))
    })))
}
