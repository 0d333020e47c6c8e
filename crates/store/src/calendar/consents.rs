//! Consents that were begun: one-time states, bound to the session that asked.

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// A consent to begin. `Debug` shows no verifier.
#[derive(Clone)]
pub struct NewConsent<'a> {
    /// SHA-256 of the state.
    pub state_sha256: &'a [u8],
    /// Who asks.
    pub user_id: &'a str,
    /// SHA-256 of the secret that the asking session holds.
    pub session_sha256: &'a [u8],
    /// PKCE verifier, sealed.
    pub verifier: &'a [u8],
    /// Calendar to connect; `primary` for the account's own.
    pub calendar_id: &'a str,
    /// `both`, `to_google`, `from_google`.
    pub sync_direction: &'a str,
    /// Life in seconds.
    pub seconds: f64,
}

impl std::fmt::Debug for NewConsent<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewConsent").field("user_id", &self.user_id).finish_non_exhaustive()
    }
}

/// A consent that comes back.
#[derive(Clone)]
pub struct Consent {
    /// Who asked.
    pub user_id: String,
    /// SHA-256 of the secret that the asking session holds.
    pub session_sha256: Vec<u8>,
    /// PKCE verifier, sealed.
    pub verifier: Vec<u8>,
    /// Calendar to connect.
    pub calendar_id: String,
    /// `both`, `to_google`, `from_google`.
    pub sync_direction: String,
}

impl std::fmt::Debug for Consent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consent").field("user_id", &self.user_id).finish_non_exhaustive()
    }
}

/// Writes the consent down, and drops what expired long ago. Answers its end.
///
/// # Errors
/// As every statement.
pub async fn begin(tx: &mut Tx, company: CompanyId, new: &NewConsent<'_>) -> Result<DateTime<Utc>> {
    sqlx::query!(
        "DELETE FROM oauth_states WHERE company_id = $1 AND expires_at < clock_timestamp() - interval '1 day'",
        company.uuid(),
    )
    .execute(tx.conn())
    .await
    .doing("dropping old consents")?;
    sqlx::query_scalar!(
        "INSERT INTO oauth_states
             (state_sha256, company_id, user_id, session_sha256, verifier, calendar_id, sync_direction, expires_at)
         VALUES ($2, $1, $3, $4, $5, $6, $7, clock_timestamp() + make_interval(secs => $8))
         RETURNING expires_at",
        company.uuid(),
        new.state_sha256,
        new.user_id,
        new.session_sha256,
        new.verifier,
        new.calendar_id,
        new.sync_direction,
        new.seconds,
    )
    .fetch_one(tx.conn())
    .await
    .doing("beginning a consent")
}

/// Uses a state up; `None` when it is unknown, expired, or was used before. Commit before acting on it.
///
/// # Errors
/// As every statement.
pub async fn consume(tx: &mut Tx, company: CompanyId, state_sha256: &[u8]) -> Result<Option<Consent>> {
    sqlx::query_as!(
        Consent,
        "UPDATE oauth_states SET consumed_at = clock_timestamp()
         WHERE company_id = $1 AND state_sha256 = $2 AND consumed_at IS NULL AND expires_at > clock_timestamp()
         RETURNING user_id, session_sha256, verifier, calendar_id, sync_direction",
        company.uuid(),
        state_sha256,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("using a consent up")
}
