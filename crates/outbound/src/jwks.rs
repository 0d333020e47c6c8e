//! Microsoft's signing keys, and whether a validation token of a notification is signed with one of them.
//!
//! Keys change daily and are published at `{authority}/common/discovery/v2.0/keys` (access tokens, Microsoft identity
//! platform). A fetched set stays in use while a newer one cannot be had.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use domain::notification::claims::{ClaimFault, tenant};
use domain::notification::token::{TokenFault, take_apart};
use domain::time::SharedClock;
use serde::Deserialize;
use url::Url;

use crate::http::{HttpClient, HttpError, Request};

/// Age at which the set is fetched again.
const FRESH: TimeDelta = TimeDelta::hours(6);
/// Shortest time between two fetches: anyone can invent names of keys.
const RETRY: TimeDelta = TimeDelta::minutes(1);
/// Longest fetch: a notification waits for it.
const FETCH: Duration = Duration::from_secs(2);
/// Keys of a set that are kept.
const MAX_KEYS: usize = 64;

/// Why a validation token proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProofFault {
    /// It is no token.
    #[error(transparent)]
    Token(#[from] TokenFault),
    /// Signed with a key that Microsoft does not publish.
    #[error("its key is not one of Microsoft's")]
    UnknownKey,
    /// The signature does not fit.
    #[error("its signature is wrong")]
    Signature,
    /// It is not meant for us, or not of the publisher.
    #[error(transparent)]
    Claims(#[from] ClaimFault),
    /// Nothing can be said: no key set could be fetched yet.
    #[error("Microsoft's signing keys could not be fetched")]
    NoKeys,
}

type Keys = HashMap<String, PublicKeyComponents<Vec<u8>>>;

/// The published keys, fetched when needed. Clones share them.
#[derive(Clone)]
pub struct SigningKeys {
    http: Arc<HttpClient>,
    url: Url,
    clock: SharedClock,
    held: Arc<Mutex<Held>>,
    /// Held during a fetch, so that one fetch serves all who wait.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct Held {
    keys: Arc<Keys>,
    fetched: Option<DateTime<Utc>>,
    tried: Option<DateTime<Utc>>,
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKeys").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Published>,
}

/// A published key (RFC 7517). Others than RSA keys for signatures are passed over.
#[derive(Deserialize)]
struct Published {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl SigningKeys {
    /// Keys of the authority (`https://login.microsoftonline.com`).
    pub fn new(http: Arc<HttpClient>, authority: &Url, clock: SharedClock) -> Self {
        let mut url = authority.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["common", "discovery", "v2.0", "keys"]);
        }
        Self { http, url, clock, held: Arc::default(), turn: Arc::default() }
    }

    /// Checks a validation token and returns the tenant that it speaks for, in lower case.
    ///
    /// # Errors
    /// [`ProofFault`]; with [`ProofFault::NoKeys`] nothing was found out, and the same token may prove its tenant later.
    pub async fn prove(&self, token: &str, applications: &[String]) -> Result<String, ProofFault> {
        let unproven = take_apart(token)?;
        // Cheap faults first: they cost no fetch.
        let tenant = tenant(&unproven.claims, applications, self.clock.now().timestamp())?;
        let keys = self.keys_with(&unproven.key).await?;
        let key = keys.get(&unproven.key).ok_or(ProofFault::UnknownKey)?;
        key.verify(&RSA_PKCS1_2048_8192_SHA256, unproven.signed.as_bytes(), &unproven.signature)
            .map_err(|_| ProofFault::Signature)?;
        Ok(tenant)
    }

    /// Fetches the set when it is old, so that no notification has to wait for it. Call it now and then.
    pub async fn freshen(&self) {
        let now = self.clock.now();
        let stale = self.lock().fetched.is_none_or(|at| now - at >= FRESH);
        if stale {
            self.fetch(|held| held.fetched.is_none_or(|at| now - at >= FRESH)).await;
        }
    }

    async fn keys_with(&self, key: &str) -> Result<Arc<Keys>, ProofFault> {
        let known = |held: &Held| held.keys.contains_key(key);
        if !known(&self.lock()) {
            self.fetch(|held| !known(held)).await;
        }
        let held = self.lock();
        if held.fetched.is_none() { Err(ProofFault::NoKeys) } else { Ok(held.keys.clone()) }
    }

    async fn fetch(&self, needed: impl Fn(&Held) -> bool) {
        let _turn = self.turn.lock().await;
        let now = self.clock.now();
        {
            let mut held = self.lock();
            // Whoever had the turn before may have fetched it; and a clock that went back must not stop fetching.
            let tried_lately = held.tried.is_some_and(|at| (now - at).abs() < RETRY);
            if !needed(&held) || tried_lately {
                return;
            }
            held.tried = Some(now);
        }
        match self.load().await {
            Ok(keys) => {
                let mut held = self.lock();
                (held.keys, held.fetched) = (Arc::new(keys), Some(now));
            }
            Err(error) => {
                tracing::warn!(
                    error = chassis::telemetry::chain(&error),
                    "Microsoft's signing keys cannot be fetched"
                );
            }
        }
    }

    async fn load(&self) -> Result<Keys, HttpError> {
        let document: Document = self.http.json(Request::get(self.url.clone()).deadline(FETCH)).await?;
        Ok(document.keys.into_iter().filter_map(usable).take(MAX_KEYS).collect())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn usable(key: Published) -> Option<(String, PublicKeyComponents<Vec<u8>>)> {
    let signs = key.usage.is_none_or(|usage| usage == "sig") && key.alg.is_none_or(|alg| alg == "RS256");
    if key.kty != "RSA" || !signs {
        return None;
    }
    let decode = |part: Option<String>| URL_SAFE_NO_PAD.decode(part?).ok();
    Some((key.kid?, PublicKeyComponents { n: decode(key.n)?, e: decode(key.e)? }))
}
