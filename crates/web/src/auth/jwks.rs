//! The issuer's published keys, cached.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chassis::service::BoxError;
use chassis::time::deadline;
use chrono::{DateTime, TimeDelta, Utc};
use domain::time::SharedClock;
use futures::future::BoxFuture;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use tokio::sync::Mutex;

use super::AuthError;

/// Age at which the key set is fetched again.
const FRESH: TimeDelta = TimeDelta::hours(1);
/// Shortest time between two fetches, whether for an unknown key or after a failure.
const RETRY: TimeDelta = TimeDelta::minutes(1);
/// Longest time of a fetch.
const FETCH: Duration = Duration::from_secs(10);
/// Largest key set that is read.
const MAX_BYTES: usize = 256 * 1024;

/// Fetches the key set's document. The HTTP client lives in another crate, so the service gives
/// this in; make one with [`fetch_jwks_with`].
pub type FetchJwks = Arc<dyn Fn() -> BoxFuture<'static, Result<Bytes, BoxError>> + Send + Sync>;

/// Wraps an async closure as a [`FetchJwks`].
pub fn fetch_jwks_with<F, Fut>(fetch: F) -> FetchJwks
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Bytes, BoxError>> + Send + 'static,
{
    Arc::new(move || Box::pin(fetch()))
}

pub(super) struct KeyCache {
    fetch: FetchJwks,
    clock: SharedClock,
    /// Held during a fetch, so that one fetch serves all who wait.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: Vec<Key>,
    fetched: Option<DateTime<Utc>>,
    tried: Option<DateTime<Utc>>,
}

/// A key and the one algorithm that it may be used with.
#[derive(Clone)]
pub(super) struct Key {
    id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) decoding: Arc<DecodingKey>,
}

impl KeyCache {
    pub(super) fn new(fetch: FetchJwks, clock: SharedClock) -> Self {
        Self { fetch, clock, state: Mutex::default() }
    }

    /// The key of this id; without an id the only key there is.
    pub(super) async fn key(&self, id: Option<&str>) -> Result<Key, AuthError> {
        let mut state = self.state.lock().await;
        let now = self.clock.now();
        let known = state.find(id);
        let fresh = state.fetched.is_some_and(|at| now - at < FRESH);
        let may_try = state.tried.is_none_or(|at| now - at >= RETRY);
        if may_try && !(fresh && known.is_some()) {
            state.tried = Some(now);
            match self.load().await {
                Ok(keys) => (state.keys, state.fetched) = (keys, Some(now)),
                // A set that was fetched before stays in use: its keys were good then.
                Err(error) => {
                    tracing::warn!(
                        error = chassis::telemetry::chain(&*error),
                        "the issuer's keys cannot be fetched"
                    );
                }
            }
        }
        match state.find(id) {
            Some(key) => Ok(key),
            None if state.fetched.is_none() => Err(AuthError::KeysUnavailable),
            None => Err(AuthError::Refused("its key is not one of the issuer's")),
        }
    }

    async fn load(&self) -> Result<Vec<Key>, BoxError> {
        let document = deadline("the key set", FETCH, (self.fetch)()).await??;
        if document.len() > MAX_BYTES {
            return Err(format!("the key set is larger than {MAX_BYTES} bytes").into());
        }
        let set: JwkSet = serde_json::from_slice(&document)?;
        let keys: Vec<Key> = set.keys.iter().filter_map(usable).collect();
        if keys.is_empty() {
            return Err("the key set has no RSA or P-256 signing key".into());
        }
        Ok(keys)
    }
}

impl State {
    fn find(&self, id: Option<&str>) -> Option<Key> {
        match (id, self.keys.as_slice()) {
            (None, [only]) => Some(only.clone()),
            (None, _) => None,
            (Some(id), keys) => keys.iter().find(|key| key.id.as_deref() == Some(id)).cloned(),
        }
    }
}

/// A signing key of a kind that is accepted. The algorithm follows from the key, never from the
/// token, so that a public key cannot be passed off as a shared secret.
fn usable(jwk: &Jwk) -> Option<Key> {
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        _ => return None,
    };
    let signs = jwk.common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
    let agrees = jwk.common.key_algorithm.is_none_or(|algorithm| algorithm == named);
    if !signs || !agrees {
        return None;
    }
    let decoding = Arc::new(DecodingKey::from_jwk(jwk).ok()?);
    Some(Key { id: jwk.common.key_id.clone(), algorithm, decoding })
}

impl fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyCache")
    }
}
