//! Sealed tokens of accounts, and who refreshes them.

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use uuid::Uuid;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// The sealed tokens of an account.
#[derive(Clone)]
pub struct Grant {
    /// `active`, `reauth_required`, `revoked`.
    pub state: String,
    /// Why it is not active.
    pub state_reason: Option<String>,
    /// Grows with every consent.
    pub grant_version: i64,
    /// Key of the ring that wraps the data key.
    pub key_id: Option<String>,
    /// The row's data key, wrapped.
    pub data_key: Option<Vec<u8>>,
    /// Sealed with the data key.
    pub refresh_token: Option<Vec<u8>>,
    /// Sealed with the data key.
    pub access_token: Option<Vec<u8>>,
    /// End of the access token's life.
    pub access_expires_at: Option<DateTime<Utc>>,
    /// Grows with every access token.
    pub access_generation: i64,
    /// Somebody refreshes it right now.
    pub refreshing: bool,
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grant")
            .field("state", &self.state)
            .field("grant_version", &self.grant_version)
            .field("key_id", &self.key_id)
            .field("access_generation", &self.access_generation)
            .finish_non_exhaustive()
    }
}

/// Tokens to store. `Debug` shows none.
#[derive(Clone)]
pub struct NewGrant<'a> {
    /// Key of the ring that wraps the data key.
    pub key_id: &'a str,
    /// The row's data key, wrapped.
    pub data_key: &'a [u8],
    /// Sealed refresh token.
    pub refresh_token: &'a [u8],
    /// Where the provider limits the grant's life.
    pub refresh_expires_at: Option<DateTime<Utc>>,
    /// Sealed access token.
    pub access_token: &'a [u8],
    /// End of its life.
    pub access_expires_at: DateTime<Utc>,
    /// Scopes that were granted.
    pub scopes: &'a [String],
}

impl std::fmt::Debug for NewGrant<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewGrant").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// The sealed tokens.
///
/// # Errors
/// As every statement.
pub async fn read(tx: &mut Tx, company: CompanyId, account: Uuid) -> Result<Option<Grant>> {
    sqlx::query_as!(
        Grant,
        r#"SELECT state, state_reason, grant_version, token_key_id AS key_id, token_data_key AS data_key,
             refresh_token, access_token, access_expires_at, access_generation,
             coalesce(refresh_until > clock_timestamp(), false) AS "refreshing!"
         FROM calendar_accounts WHERE company_id = $1 AND id = $2"#,
        company.uuid(),
        account,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading a grant")
}

/// Stores the tokens of a new consent: the account is active, whatever an older grant was told.
///
/// # Errors
/// As every statement.
pub async fn replace(tx: &mut Tx, company: CompanyId, account: Uuid, grant: &NewGrant<'_>) -> Result<()> {
    sqlx::query!(
        "UPDATE calendar_accounts
         SET state = 'active', state_reason = NULL, grant_version = grant_version + 1, scopes = $9,
             token_key_id = $3, token_data_key = $4, refresh_token = $5, refresh_expires_at = $6,
             access_token = $7, access_expires_at = $8, access_generation = access_generation + 1,
             refresh_owner = NULL, refresh_until = NULL, parked_until = NULL, park_reason = NULL,
             revoke_pending = false, updated_at = clock_timestamp()
         WHERE company_id = $1 AND id = $2",
        company.uuid(),
        account,
        grant.key_id,
        grant.data_key,
        grant.refresh_token,
        grant.refresh_expires_at,
        grant.access_token,
        grant.access_expires_at,
        grant.scopes,
    )
    .execute(tx.conn())
    .await
    .doing("storing a grant")
    .map(drop)
}

/// Takes the turn to refresh, for `seconds`. False when another replica has it, or did it since `seen_generation`,
/// or the grant is not active.
///
/// # Errors
/// As every statement.
pub async fn claim_refresh(
    tx: &mut Tx,
    company: CompanyId,
    account: Uuid,
    owner: Uuid,
    seen_generation: i64,
    seconds: f64,
) -> Result<bool> {
    sqlx::query!(
        "UPDATE calendar_accounts
         SET refresh_owner = $3, refresh_until = clock_timestamp() + make_interval(secs => $5)
         WHERE company_id = $1 AND id = $2 AND state = 'active' AND access_generation = $4
             AND (refresh_until IS NULL OR refresh_until < clock_timestamp())",
        company.uuid(),
        account,
        owner,
        seen_generation,
        seconds,
    )
    .execute(tx.conn())
    .await
    .doing("taking the turn to refresh")
    .map(|done| done.rows_affected() > 0)
}

/// Stores a refreshed access token and gives the turn back; answers its generation. `None` when the turn was lost,
/// or a new consent replaced the grant.
///
/// # Errors
/// As every statement.
pub async fn refreshed(
    tx: &mut Tx,
    company: CompanyId,
    account: Uuid,
    owner: Uuid,
    access_token: &[u8],
    expires_at: DateTime<Utc>,
) -> Result<Option<i64>> {
    let generation = sqlx::query_scalar!(
        "UPDATE calendar_accounts
         SET access_token = $4, access_expires_at = $5, access_generation = access_generation + 1,
             refresh_owner = NULL, refresh_until = NULL, updated_at = clock_timestamp()
         WHERE company_id = $1 AND id = $2 AND refresh_owner = $3 AND state = 'active'
         RETURNING access_generation",
        company.uuid(),
        account,
        owner,
        access_token,
        expires_at,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("storing an access token")?;
    if generation.is_some() {
        super::connections::set_token_expiry(tx, company, account, expires_at).await?;
    }
    Ok(generation)
}

/// Gives the turn back after a failure that another attempt may mend.
///
/// # Errors
/// As every statement.
pub async fn release_refresh(tx: &mut Tx, company: CompanyId, account: Uuid, owner: Uuid) -> Result<()> {
    sqlx::query!(
        "UPDATE calendar_accounts SET refresh_owner = NULL, refresh_until = NULL
         WHERE company_id = $1 AND id = $2 AND refresh_owner = $3",
        company.uuid(),
        account,
        owner,
    )
    .execute(tx.conn())
    .await
    .doing("giving the turn back")
    .map(drop)
}

/// Accounts whose data key another key than `key_id` wraps.
///
/// # Errors
/// As every statement.
pub async fn wrapped_otherwise(tx: &mut Tx, company: CompanyId, key_id: &str) -> Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "SELECT id FROM calendar_accounts WHERE company_id = $1 AND token_key_id <> $2 ORDER BY id",
        company.uuid(),
        key_id,
    )
    .fetch_all(tx.conn())
    .await
    .doing("looking for keys to wrap anew")
}

/// Stores the data key wrapped with another key. False when it changed meanwhile.
///
/// # Errors
/// As every statement.
pub async fn rewrapped(
    tx: &mut Tx,
    company: CompanyId,
    account: Uuid,
    old_data_key: &[u8],
    key_id: &str,
    data_key: &[u8],
) -> Result<bool> {
    sqlx::query!(
        "UPDATE calendar_accounts SET token_key_id = $4, token_data_key = $5, updated_at = clock_timestamp()
         WHERE company_id = $1 AND id = $2 AND token_data_key = $3",
        company.uuid(),
        account,
        old_data_key,
        key_id,
        data_key,
    )
    .execute(tx.conn())
    .await
    .doing("wrapping a key anew")
    .map(|done| done.rows_affected() > 0)
}

/// Destroys the tokens of a revoked account: the provider has heard of it, or will not any more.
///
/// # Errors
/// As every statement.
pub async fn forget(tx: &mut Tx, company: CompanyId, account: Uuid) -> Result<bool> {
    sqlx::query!(
        "UPDATE calendar_accounts
         SET revoke_pending = false, token_key_id = NULL, token_data_key = NULL, refresh_token = NULL,
             access_token = NULL, access_expires_at = NULL, refresh_owner = NULL, refresh_until = NULL,
             updated_at = clock_timestamp()
         WHERE company_id = $1 AND id = $2 AND state = 'revoked'",
        company.uuid(),
        account,
    )
    .execute(tx.conn())
    .await
    .doing("destroying tokens")
    .map(|done| done.rows_affected() > 0)
}
