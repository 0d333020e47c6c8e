//! From a token to its claims.

use std::sync::Arc;

use chassis::config::SecretSource;
use domain::time::SharedClock;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};

use super::jwks::KeyCache;
use super::{AuthError, Claims, FetchJwks, JwtConfig, KeySource};

/// How far the issuer's clock and ours may be apart, in seconds.
const LEEWAY: i64 = 60;
/// Longest token that is looked at.
const MAX_TOKEN: usize = 8 * 1024;

/// Checks tokens. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Authenticator {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    keys: Keys,
    issuer: String,
    audience: String,
    clock: SharedClock,
}

#[derive(Debug)]
enum Keys {
    Secret(SecretSource),
    Jwks(KeyCache),
}

impl Authenticator {
    /// Checks tokens as `config` says; `fetch` is used when it names a key set.
    pub fn new(config: JwtConfig, clock: SharedClock, fetch: FetchJwks) -> Self {
        let keys = match config.keys {
            KeySource::Secret(secret) => Keys::Secret(secret),
            KeySource::Jwks { .. } => Keys::Jwks(KeyCache::new(fetch, clock.clone())),
        };
        Self { inner: Arc::new(Inner { keys, issuer: config.issuer, audience: config.audience, clock }) }
    }

    /// Checks tokens signed with a shared secret.
    pub fn with_secret(secret: SecretSource, issuer: &str, audience: &str, clock: SharedClock) -> Self {
        let (issuer, audience) = (issuer.to_owned(), audience.to_owned());
        Self { inner: Arc::new(Inner { keys: Keys::Secret(secret), issuer, audience, clock }) }
    }

    /// The claims of the request's bearer token.
    ///
    /// # Errors
    /// [`AuthError`]: none, malformed, expired, not acceptable, or not checkable now.
    pub async fn bearer(&self, headers: &HeaderMap) -> Result<Claims, AuthError> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else { return Err(AuthError::Missing) };
        if values.next().is_some() {
            return Err(AuthError::Malformed);
        }
        let (scheme, token) =
            value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(AuthError::Malformed)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(AuthError::Malformed);
        }
        self.verify(token.trim()).await
    }

    /// The claims of `token`.
    ///
    /// # Errors
    /// [`AuthError`]: malformed, expired, not acceptable, or not checkable now.
    pub async fn verify(&self, token: &str) -> Result<Claims, AuthError> {
        if token.is_empty() || token.len() > MAX_TOKEN {
            return Err(AuthError::Malformed);
        }
        let header = decode_header(token).map_err(|_| AuthError::Malformed)?;
        let claims = match &self.inner.keys {
            Keys::Secret(secret) => {
                let key = DecodingKey::from_secret(secret.current().expose().as_bytes());
                self.checked(token, &key, Algorithm::HS256)?
            }
            Keys::Jwks(cache) => {
                if !matches!(header.alg, Algorithm::RS256 | Algorithm::ES256) {
                    return Err(AuthError::Refused("its algorithm is not RS256 or ES256"));
                }
                let key = cache.key(header.kid.as_deref()).await?;
                self.checked(token, &key.decoding, key.algorithm)?
            }
        };
        self.in_time(&claims)?;
        Ok(claims)
    }

    fn checked(&self, token: &str, key: &DecodingKey, algorithm: Algorithm) -> Result<Claims, AuthError> {
        let mut rules = Validation::new(algorithm);
        rules.set_issuer(&[&self.inner.issuer]);
        rules.set_audience(&[&self.inner.audience]);
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Times are compared with the service's own clock, in `in_time`.
        rules.validate_exp = false;
        rules.validate_nbf = false;
        decode::<Claims>(token, key, &rules).map(|data| data.claims).map_err(|error| match error.kind() {
            ErrorKind::InvalidToken | ErrorKind::Base64(_) | ErrorKind::Utf8(_) => AuthError::Malformed,
            ErrorKind::InvalidAlgorithm => AuthError::Refused("its algorithm is not the expected one"),
            ErrorKind::InvalidSignature => AuthError::Refused("its signature does not match"),
            ErrorKind::InvalidIssuer => AuthError::Refused("it is from another issuer"),
            ErrorKind::InvalidAudience => AuthError::Refused("it is for another audience"),
            _ => AuthError::Refused("its claims are not the expected ones"),
        })
    }

    fn in_time(&self, claims: &Claims) -> Result<(), AuthError> {
        let now = self.inner.clock.now().timestamp();
        if claims.exp.saturating_add(LEEWAY) <= now {
            return Err(AuthError::Expired);
        }
        if claims.nbf.is_some_and(|begin| begin.saturating_sub(LEEWAY) > now) {
            return Err(AuthError::NotYet);
        }
        Ok(())
    }
}
