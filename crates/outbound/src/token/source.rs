//! The token source: one request at a time, refreshed ahead of expiry, with two secrets and hot reload.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chassis::secret::Secret;
use chrono::{DateTime, Utc};
use domain::time::SharedClock;
use serde_json::{Value, json};
use tokio::sync::Mutex as TurnMutex;

use super::answer::read;
use super::state::{Held, State};
use super::{EntraConfig, TokenError};
use crate::Method;
use crate::http::{HttpClient, Request};

/// Every permission that the application was granted on Graph.
const SCOPE: &str = "https://graph.microsoft.com/.default";
const TOKEN_DEADLINE: Duration = Duration::from_secs(30);

/// What operators see of a token source.
#[derive(Debug, Clone)]
pub struct TokenStatus {
    /// Variables that are missing.
    pub missing: Vec<String>,
    /// A usable token is in hand, and the last request for one did not fail.
    pub authenticated: bool,
    /// End of the token's life.
    pub expires_at: Option<DateTime<Utc>>,
    /// Why the last request failed, if it did.
    pub last_error: Option<TokenError>,
    /// `current` or `next`: the secret that produced the token; empty before the first one.
    pub active_secret: &'static str,
    /// When the secret in use ends, as configured.
    pub secret_expires_at: Option<DateTime<Utc>>,
}

/// Where a [`crate::provider::ProviderClient`] gets the tokens of its account.
#[async_trait::async_trait]
pub trait TokenSource: Send + Sync + std::fmt::Debug {
    /// A token that works now.
    ///
    /// # Errors
    /// [`TokenError`] when there is no usable token and none can be had.
    async fn bearer(&self) -> Result<Secret, TokenError>;

    /// Forgets `token`, which the provider refused. `claims` is what a challenge asks the next token to answer.
    fn discard(&self, token: &Secret, claims: Option<String>);
}

#[async_trait::async_trait]
impl TokenSource for EntraTokens {
    async fn bearer(&self) -> Result<Secret, TokenError> {
        EntraTokens::bearer(self).await
    }

    fn discard(&self, token: &Secret, claims: Option<String>) {
        EntraTokens::discard(self, token, claims);
    }
}

/// Tokens by client credentials.
#[derive(Debug)]
pub struct EntraTokens {
    http: Arc<HttpClient>,
    pub(super) config: EntraConfig,
    pub(super) clock: SharedClock,
    state: Mutex<State>,
    /// Held by whoever asks Entra: the others wait for that answer instead of asking too.
    pub(super) turn: TurnMutex<()>,
}

impl EntraTokens {
    /// A source that has asked for nothing yet.
    pub fn new(http: Arc<HttpClient>, config: EntraConfig, clock: SharedClock) -> Self {
        Self { http, config, clock, state: Mutex::new(State::default()), turn: TurnMutex::new(()) }
    }

    /// The tenant that tokens are for; empty when not configured.
    pub fn tenant(&self) -> &str {
        self.config.tenant.as_deref().unwrap_or_default()
    }

    /// Tenant and application: what Microsoft counts calls by; empty when not configured.
    pub fn account(&self) -> String {
        match (&self.config.tenant, &self.config.client_id) {
            (Some(tenant), Some(client)) => format!("{tenant}/{client}"),
            _ => String::new(),
        }
    }

    /// A token that works now. While it is being refreshed, callers keep using the old one.
    ///
    /// # Errors
    /// [`TokenError`] when there is no usable token and none can be had.
    pub async fn bearer(&self) -> Result<Secret, TokenError> {
        if let Some(token) = self.state().fresh(self.clock.now()) {
            return Ok(token);
        }
        let _turn = match self.turn.try_lock() {
            Ok(turn) => turn,
            Err(_busy) => {
                if let Some(token) = self.state().usable(self.clock.now()) {
                    return Ok(token);
                }
                self.turn.lock().await
            }
        };
        if let Some(token) = self.state().fresh(self.clock.now()) {
            return Ok(token);
        }
        match self.acquire(false).await {
            Ok(token) => Ok(token),
            Err(error) => match self.state().usable(self.clock.now()) {
                Some(token) => Ok(token),
                None => Err(error),
            },
        }
    }

    /// Asks for a new token even though the present one may still work.
    ///
    /// # Errors
    /// [`TokenError`] when none can be had; the present one is kept then.
    pub async fn refresh(&self) -> Result<DateTime<Utc>, TokenError> {
        let _turn = self.turn.lock().await;
        self.acquire(true).await?;
        Ok(self.state().expires_at().unwrap_or_else(|| self.clock.now()))
    }

    /// Forgets `token`, which the provider refused. `claims` is what a challenge of continuous access evaluation
    /// asks the next token to answer.
    pub fn discard(&self, token: &Secret, claims: Option<String>) {
        self.state().discard(token, claims);
    }

    /// What operators see.
    pub fn status(&self) -> TokenStatus {
        let state = self.state();
        TokenStatus {
            missing: self.config.missing(),
            authenticated: state.usable(self.clock.now()).is_some() && state.last_error.is_none(),
            expires_at: state.expires_at(),
            last_error: state.last_error.clone(),
            active_secret: state.active,
            secret_expires_at: self.config.secret_expires_at,
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tries the secrets in order; the caller holds the turn.
    async fn acquire(&self, asked_by_person: bool) -> Result<Secret, TokenError> {
        let missing = self.config.missing();
        if !missing.is_empty() {
            let error = TokenError::NotConfigured { missing };
            self.state().last_error = Some(error.clone());
            return Err(error);
        }
        let mut secrets = self.config.secrets();
        // After a rotation the proven next secret stays the first choice.
        let used = self.state().used.clone();
        secrets.sort_by_key(|(_, secret)| used.as_ref() != Some(secret));
        let values: Vec<Secret> = secrets.iter().map(|(_, s)| s.clone()).collect();
        let (claims, mut refused) = {
            let state = self.state();
            if !asked_by_person && let Some(error) = state.recent_refusal(self.clock.now(), &values) {
                return Err(error);
            }
            // A secret that was refused before is not shown again while another one works.
            let refused = state.refused_secret.clone().filter(|old| values.iter().any(|s| s != old));
            (state.claims.clone(), refused)
        };
        let mut last = TokenError::Unavailable { reason: "no client secret has a value".into() };
        for (name, secret) in &secrets {
            if refused.as_ref() == Some(secret) {
                continue;
            }
            match self.request(secret, claims.as_deref()).await {
                Ok((token, life)) => {
                    let now = self.clock.now();
                    tracing::info!(secret = name, life_s = life.as_secs(), "access token acquired");
                    self.state().granted(Held::new(token.clone(), now, life), name, secret, refused);
                    return Ok(token);
                }
                Err(error) => {
                    let secret_refused = error.secret_refused();
                    tracing::warn!(secret = name, %error, "no access token");
                    last = error;
                    if !secret_refused {
                        break;
                    }
                    refused = Some(secret.clone());
                }
            }
        }
        let mut state = self.state();
        state.failed(self.clock.now(), &last, values);
        // All were refused: next time all are tried again.
        state.refused_secret = None;
        Err(last)
    }

    /// Asks Entra for a token with `secret`. It says each time that we can handle claims challenges (`cp1`), so that
    /// Entra may issue tokens that live long and can be revoked at once (provider facts A10).
    pub(super) async fn request(
        &self,
        secret: &Secret,
        challenge: Option<&str>,
    ) -> Result<(Secret, Duration), TokenError> {
        let unavailable = |reason: String| TokenError::Unavailable { reason };
        let url = self
            .config
            .token_url()
            .ok_or_else(|| unavailable("MICROSOFT_LOGIN_BASE_URL has no path".into()))?;
        let claims = claims(challenge);
        let fields = [
            ("client_id", self.config.client_id.as_deref().unwrap_or_default()),
            ("client_secret", secret.expose()),
            ("scope", SCOPE),
            ("grant_type", "client_credentials"),
            ("claims", claims.as_str()),
        ];
        let request = Request::new(Method::POST, url).form(&fields).deadline(TOKEN_DEADLINE);
        let response = self.http.send(request).await.map_err(|e| unavailable(e.to_string()))?;
        read(&response, self.clock.now())
    }
}

/// The claims of a challenge, with our capability added; the capability alone without a challenge.
fn claims(challenge: Option<&str>) -> String {
    let read = challenge.and_then(|text| serde_json::from_str(text).ok());
    let mut claims = read.filter(Value::is_object).unwrap_or_else(|| json!({}));
    if !claims["access_token"].is_object() {
        claims["access_token"] = json!({});
    }
    claims["access_token"]["xms_cc"] = json!({"values": ["cp1"]});
    claims.to_string()
}
