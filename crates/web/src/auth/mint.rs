//! Making tokens, for development and for the CLI.

use std::time::Duration;

use chassis::secret::Secret;
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};

use super::Claims;

/// A token could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("the token cannot be signed")]
pub struct MintError(#[from] jsonwebtoken::errors::Error);

/// A token (HS256) with these claims, valid from `now` for `ttl`.
///
/// # Errors
/// [`MintError`] when the library refuses the key.
pub fn mint(
    secret: &Secret,
    mut claims: Claims,
    now: DateTime<Utc>,
    ttl: Duration,
) -> Result<Secret, MintError> {
    let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
    claims.exp = now.timestamp().saturating_add(seconds);
    let key = EncodingKey::from_secret(secret.expose().as_bytes());
    Ok(Secret::from(encode(&Header::new(Algorithm::HS256), &claims, &key)?))
}
