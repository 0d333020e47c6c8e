//! Accounts at the provider that a company connected, and the state of their grants.

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use uuid::Uuid;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// An account as services see it; its tokens are read with [`super::grants`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Our id.
    pub id: Uuid,
    /// The provider's stable name of the account.
    pub subject: String,
    /// Its address, where the provider tells.
    pub email: Option<String>,
    /// Scopes that were granted.
    pub scopes: Vec<String>,
    /// `active`, `reauth_required`, `revoked`.
    pub state: String,
    /// Why it is not active.
    pub state_reason: Option<String>,
    /// Grows with every consent.
    pub grant_version: i64,
    /// The account takes no writes until then.
    pub parked_until: Option<DateTime<Utc>>,
}

/// What a consent brought.
#[derive(Debug, Clone)]
pub struct Consented<'a> {
    /// The provider's stable name of the account.
    pub subject: &'a str,
    /// Its address.
    pub email: Option<&'a str>,
    /// Scopes that were granted.
    pub scopes: &'a [String],
}

/// Finds the account of a subject, or makes its row, still without tokens (`reauth_required`): the id is part of
/// what seals them. The row is locked until the transaction ends.
///
/// # Errors
/// As every statement.
pub async fn lock_subject(tx: &mut Tx, company: CompanyId, who: &Consented<'_>) -> Result<Account> {
    sqlx::query_as!(
        Account,
        "INSERT INTO calendar_accounts AS a (id, company_id, subject, email, scopes, state, grant_version)
         VALUES ($2, $1, $3, $4, $5, 'reauth_required', 0)
         ON CONFLICT (company_id, provider, subject) DO UPDATE
             SET email = coalesce(excluded.email, a.email), updated_at = clock_timestamp()
         RETURNING id, subject, email, scopes, state, state_reason, grant_version, parked_until",
        company.uuid(),
        chassis::ids::new_id(),
        who.subject,
        who.email,
        who.scopes,
    )
    .fetch_one(tx.conn())
    .await
    .doing("finding a calendar account")
}

/// The account.
///
/// # Errors
/// As every statement.
pub async fn get(tx: &mut Tx, company: CompanyId, id: Uuid) -> Result<Option<Account>> {
    sqlx::query_as!(
        Account,
        "SELECT id, subject, email, scopes, state, state_reason, grant_version, parked_until
         FROM calendar_accounts WHERE company_id = $1 AND id = $2",
        company.uuid(),
        id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading a calendar account")
}

/// Active accounts of the company, and those that a person has to connect again.
///
/// # Errors
/// As every statement.
pub async fn counts(tx: &mut Tx, company: CompanyId) -> Result<(i64, i64)> {
    let row = sqlx::query!(
        r#"SELECT count(*) FILTER (WHERE state = 'active') AS "active!",
             count(*) FILTER (WHERE state = 'reauth_required') AS "reauth!"
         FROM calendar_accounts WHERE company_id = $1 AND provider = 'google'"#,
        company.uuid(),
    )
    .fetch_one(tx.conn())
    .await
    .doing("counting calendar accounts")?;
    Ok((row.active, row.reauth))
}

/// The provider refused the grant: the account, its calendars and what waits for them stop until somebody connects
/// it again. False when a newer grant took its place meanwhile, or it was known.
///
/// # Errors
/// As every statement.
pub async fn require_reauth(
    tx: &mut Tx,
    company: CompanyId,
    id: Uuid,
    grant_version: i64,
    reason: &str,
) -> Result<bool> {
    let changed = sqlx::query!(
        "UPDATE calendar_accounts
         SET state = 'reauth_required', state_reason = $4, access_token = NULL, access_expires_at = NULL,
             refresh_owner = NULL, refresh_until = NULL, updated_at = clock_timestamp()
         WHERE company_id = $1 AND id = $2 AND grant_version = $3 AND state = 'active'",
        company.uuid(),
        id,
        grant_version,
        reason,
    )
    .execute(tx.conn())
    .await
    .doing("marking an account for a new consent")?;
    if changed.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!(
        "UPDATE google_calendar_connections
         SET state = 'reauth_required', state_reason = $3, expires_at = NULL, updated_at = clock_timestamp()
         WHERE company_id = $1 AND account_id = $2 AND state = 'active'",
        company.uuid(),
        id,
        reason,
    )
    .execute(tx.conn())
    .await
    .doing("marking connections for a new consent")?;
    super::queue::park_account(tx, company, id, reason).await?;
    Ok(true)
}

/// Google asks for hours of silence: the account takes no writes until then. Never shortens an earlier silence.
/// Answers its end.
///
/// # Errors
/// As every statement.
pub async fn park(
    tx: &mut Tx,
    company: CompanyId,
    id: Uuid,
    seconds: f64,
    reason: &str,
) -> Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!(
        r#"UPDATE calendar_accounts
         SET parked_until = greatest(parked_until, clock_timestamp() + make_interval(secs => $3)), park_reason = $4,
             updated_at = clock_timestamp()
         WHERE company_id = $1 AND id = $2 RETURNING parked_until AS "until!""#,
        company.uuid(),
        id,
        seconds,
        reason,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("parking an account")
}

/// The last calendar of the account was disconnected. The tokens stay sealed until the provider has heard of it
/// ([`super::grants::forget`]).
///
/// # Errors
/// As every statement.
pub async fn revoke(tx: &mut Tx, company: CompanyId, id: Uuid, reason: &str) -> Result<()> {
    sqlx::query!(
        "UPDATE calendar_accounts
         SET state = 'revoked', state_reason = $3, revoke_pending = refresh_token IS NOT NULL,
             updated_at = clock_timestamp()
         WHERE company_id = $1 AND id = $2",
        company.uuid(),
        id,
        reason,
    )
    .execute(tx.conn())
    .await
    .doing("revoking an account")
    .map(drop)
}

/// Accounts whose revocation the provider has not confirmed.
///
/// # Errors
/// As every statement.
pub async fn unrevoked(tx: &mut Tx, company: CompanyId) -> Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "SELECT id FROM calendar_accounts WHERE company_id = $1 AND revoke_pending ORDER BY id",
        company.uuid(),
    )
    .fetch_all(tx.conn())
    .await
    .doing("looking for open revocations")
}

/// Accounts whose last calendar was disconnected some time ago, and that were not revoked with it: a disconnection
/// was interrupted.
///
/// # Errors
/// As every statement.
pub async fn abandoned(tx: &mut Tx, company: CompanyId) -> Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "SELECT id FROM calendar_accounts a
         WHERE company_id = $1 AND state <> 'revoked' AND refresh_token IS NOT NULL
             AND updated_at < clock_timestamp() - interval '10 minutes' AND NOT EXISTS (
             SELECT FROM google_calendar_connections c
             WHERE c.account_id = a.id AND (c.state IN ('active', 'reauth_required')
                 OR c.updated_at > clock_timestamp() - interval '10 minutes'))
         ORDER BY id",
        company.uuid(),
    )
    .fetch_all(tx.conn())
    .await
    .doing("looking for abandoned accounts")
}
