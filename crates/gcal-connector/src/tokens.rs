//! Access tokens of one account: one refresh at a time over all replicas, by a lease in the account's row.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chassis::ids::new_id;
use chassis::secret::Secret;
use chassis::time::pause;
use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use domain::time::{SharedClock, after, elapsed};
use gcal_client::GoogleOAuth;
use outbound::token::{TokenError, TokenSource};
use outbound::vault::{DataKey, Vault, VaultError};
use store::calendar::accounts;
use store::calendar::grants::{self, Grant};
use store::{Store, StoreError};
use tokio::time::Instant;
use uuid::Uuid;

use crate::sealed::Row;

/// Refreshed this long before the end.
const AHEAD: Duration = Duration::from_mins(5);
/// Not used in the last seconds: the provider's clock may be ahead.
const LAST_SECONDS: Duration = Duration::from_secs(30);
/// A refresh that takes longer than this is another replica's turn.
const LEASE_SECONDS: f64 = 30.0;
/// How long a call waits for another replica's refresh.
const PATIENCE: Duration = Duration::from_secs(25);
const POLL: Duration = Duration::from_millis(40);

/// What every account's tokens are made with.
#[derive(Debug, Clone)]
pub(crate) struct Mint {
    pub store: Store,
    pub vault: Arc<Vault>,
    pub oauth: Arc<GoogleOAuth>,
    pub clock: SharedClock,
}

#[derive(Debug, Clone)]
struct Held {
    token: Secret,
    generation: i64,
    refresh_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

/// Tokens of one account.
#[derive(Debug)]
pub(crate) struct AccountTokens {
    mint: Mint,
    company: CompanyId,
    account: Uuid,
    row: Row,
    held: Mutex<Option<Held>>,
    /// The provider refused the token of this generation, and so all before it.
    refused: AtomicI64,
    /// Held by whoever asks: the others wait for that answer.
    turn: tokio::sync::Mutex<()>,
}

fn unavailable(reason: impl Into<String>) -> TokenError {
    TokenError::Unavailable { reason: reason.into() }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
fn database(error: StoreError) -> TokenError {
    unavailable(chassis::telemetry::chain(&error))
}

fn ended(code: &str, message: impl Into<String>) -> TokenError {
    TokenError::GrantEnded { code: code.to_owned(), message: message.into() }
}

/// A row that does not open is no use to anybody: the key is missing, or somebody changed it.
#[expect(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
fn broken(error: VaultError) -> TokenError {
    tracing::error!(%error, "a stored token does not open");
    TokenError::Refused {
        code: "tokenSealed".to_owned(),
        message: error.to_string(),
        advice: "check TOKEN_ENCRYPTION_KEYS, or connect the account again".to_owned(),
    }
}

impl AccountTokens {
    pub fn new(mint: Mint, company: CompanyId, account: Uuid) -> Self {
        Self {
            row: Row::new(company, account),
            mint,
            company,
            account,
            held: Mutex::new(None),
            refused: AtomicI64::new(-1),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token that needs no refresh yet.
    fn fresh(&self) -> Option<Secret> {
        let now = self.mint.clock.now();
        self.held().as_ref().filter(|held| now < held.refresh_at).map(|held| held.token.clone())
    }

    /// A token that still works.
    fn usable(&self) -> Option<Secret> {
        let until = after(self.mint.clock.now(), LAST_SECONDS);
        self.held().as_ref().filter(|held| until < held.expires_at).map(|held| held.token.clone())
    }

    /// Refreshed ahead of its end; at half of a life that is too short for that.
    fn keep(&self, token: &Secret, generation: i64, expires_at: DateTime<Utc>) {
        let now = self.mint.clock.now();
        let life = elapsed(now, expires_at);
        let refresh_at = after(now, life.saturating_sub(AHEAD).max(life / 2));
        *self.held() = Some(Held { token: token.clone(), generation, refresh_at, expires_at });
    }

    async fn grant(&self) -> Result<Grant, TokenError> {
        let mut tx = self.mint.store.tenant(self.company).await.map_err(database)?;
        let grant = grants::read(&mut tx, self.company, self.account).await.map_err(database)?;
        let grant = grant.ok_or_else(|| ended("unknown_account", "the account is not known"))?;
        if grant.state != "active" {
            return Err(ended(&grant.state, grant.state_reason.unwrap_or_default()));
        }
        Ok(grant)
    }

    /// Takes the stored token, or refreshes it, or waits for the replica that does.
    async fn acquire(&self) -> Result<Secret, TokenError> {
        let started = Instant::now();
        loop {
            let grant = self.grant().await?;
            let key = self.row.key(&self.mint.vault, &grant).map_err(broken)?;
            let key = key.ok_or_else(|| ended("no_token", "the account has no token"))?;
            if let Some(token) = self.stored(&grant, &key)? {
                return Ok(token);
            }
            if let Some(token) = self.refresh(&grant, &key).await? {
                return Ok(token);
            }
            if started.elapsed() > PATIENCE {
                return Err(unavailable("another replica has been refreshing the token for too long"));
            }
            pause(POLL).await;
        }
    }

    /// The stored access token, if it lasts and was not refused.
    fn stored(&self, grant: &Grant, key: &DataKey) -> Result<Option<Secret>, TokenError> {
        let (Some(sealed), Some(expires_at)) = (&grant.access_token, grant.access_expires_at) else {
            return Ok(None);
        };
        let lasts = after(self.mint.clock.now(), AHEAD) < expires_at;
        if !lasts || grant.access_generation <= self.refused.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let token = self.row.open_access(key, sealed).map_err(broken)?;
        self.keep(&token, grant.access_generation, expires_at);
        Ok(Some(token))
    }

    /// `None` when it is another replica's turn, or the turn was lost.
    async fn refresh(&self, grant: &Grant, key: &DataKey) -> Result<Option<Secret>, TokenError> {
        let sealed = grant.refresh_token.as_deref();
        let sealed = sealed.ok_or_else(|| ended("no_token", "the account has no refresh token"))?;
        let (store, owner) = (&self.mint.store, new_id());
        let mut tx = store.tenant(self.company).await.map_err(database)?;
        let mine = grants::claim_refresh(
            &mut tx,
            self.company,
            self.account,
            owner,
            grant.access_generation,
            LEASE_SECONDS,
        );
        let mine = mine.await.map_err(database)?;
        tx.commit().await.map_err(database)?;
        if !mine {
            return Ok(None);
        }
        let refresh_token = self.row.open_refresh(key, sealed).map_err(broken)?;
        let tokens = match self.mint.oauth.refresh(&refresh_token).await {
            Ok(tokens) => tokens,
            Err(error) => {
                self.failed(grant, owner, &error).await;
                return Err(error);
            }
        };
        let expires_at = after(self.mint.clock.now(), tokens.life);
        let sealed = self.row.seal_access(key, &tokens.access_token).map_err(broken)?;
        let mut tx = store.tenant(self.company).await.map_err(database)?;
        let stored = grants::refreshed(&mut tx, self.company, self.account, owner, &sealed, expires_at).await;
        let stored = stored.map_err(database)?;
        tx.commit().await.map_err(database)?;
        metrics::counter!("google_token_refreshes_total", "result" => "refreshed").increment(1);
        let Some(generation) = stored else { return Ok(None) };
        tracing::info!(account = %self.account, life_s = tokens.life.as_secs(), "access token refreshed");
        self.keep(&tokens.access_token, generation, expires_at);
        Ok(Some(tokens.access_token))
    }

    /// A grant that ended parks the account; anything else gives the turn back.
    async fn failed(&self, grant: &Grant, owner: Uuid, error: &TokenError) {
        let over = matches!(error, TokenError::GrantEnded { .. });
        let result = if over { "ended" } else { "failed" };
        metrics::counter!("google_token_refreshes_total", "result" => result).increment(1);
        tracing::warn!(account = %self.account, %error, "access token not refreshed");
        let (company, account) = (self.company, self.account);
        let noted = async {
            let mut tx = self.mint.store.tenant(company).await?;
            if over {
                let reason = error.to_string();
                accounts::require_reauth(&mut tx, company, account, grant.grant_version, &reason).await?;
                metrics::counter!("google_accounts_parked_total", "reason" => "reauth").increment(1);
            } else {
                grants::release_refresh(&mut tx, company, account, owner).await?;
            }
            tx.commit().await
        };
        if let Err(error) = noted.await {
            tracing::warn!(error = chassis::telemetry::chain(&error), "cannot note a failed refresh");
        }
    }
}

#[async_trait]
impl TokenSource for AccountTokens {
    async fn bearer(&self) -> Result<Secret, TokenError> {
        if let Some(token) = self.fresh() {
            return Ok(token);
        }
        let _turn = match self.turn.try_lock() {
            Ok(turn) => turn,
            Err(_busy) => {
                if let Some(token) = self.usable() {
                    return Ok(token);
                }
                self.turn.lock().await
            }
        };
        if let Some(token) = self.fresh() {
            return Ok(token);
        }
        match self.acquire().await {
            // A short-lived token, or an identity provider that is away: what is in hand still works.
            Err(error @ (TokenError::Unavailable { .. } | TokenError::Throttled { .. })) => {
                self.usable().ok_or(error)
            }
            other => other,
        }
    }

    fn discard(&self, token: &Secret, _claims: Option<String>) {
        let mut held = self.held();
        if held.as_ref().is_some_and(|held| held.token == *token) {
            let generation = held.take().map_or(-1, |held| held.generation);
            self.refused.fetch_max(generation, Ordering::Relaxed);
        }
    }
}

/// One token, for calls before the grant is stored.
#[derive(Debug)]
pub(crate) struct Fresh(pub Secret);

#[async_trait]
impl TokenSource for Fresh {
    async fn bearer(&self) -> Result<Secret, TokenError> {
        Ok(self.0.clone())
    }

    fn discard(&self, _token: &Secret, _claims: Option<String>) {}
}
