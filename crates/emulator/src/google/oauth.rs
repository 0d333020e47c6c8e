//! Grants: authorization codes, refresh tokens, access tokens, and how each of them ends (A8).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::model::Switches;

/// Life of an authorization code.
const CODE_MS: i64 = 10 * 60 * 1000;
/// A refresh token that nobody uses for this long is dead (six months).
const IDLE_MS: i64 = 183 * 24 * 3600 * 1000;

/// An application registered with the stand-in for Google's identity.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoogleApp {
    /// OAuth client id.
    pub client_id: String,
    /// OAuth client secret.
    pub client_secret: String,
    /// Exact redirect URIs; none accepts every one.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
}

impl std::fmt::Debug for GoogleApp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GoogleApp").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// What an authorization request asked for.
#[derive(Clone, Default)]
pub(crate) struct Asked {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) offline: bool,
    pub(crate) consent: bool,
    pub(crate) include_granted: bool,
    /// `S256` or `plain`, and the challenge.
    pub(crate) challenge: Option<(String, String)>,
}

struct Code {
    asked: Asked,
    account: String,
    until_ms: i64,
}

struct Refresh {
    account: String,
    client_id: String,
    scopes: BTreeSet<String>,
    issued_ms: i64,
    used_ms: i64,
    ends_ms: Option<i64>,
}

/// An access token's meaning.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) account: String,
    pub(crate) client_id: String,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) expires_ms: i64,
    pub(crate) offline: bool,
}

/// A refusal of an OAuth endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status} {error}: {description}")]
pub(crate) struct OAuthError {
    pub(crate) status: u16,
    pub(crate) error: &'static str,
    pub(crate) description: String,
}

impl OAuthError {
    pub(crate) fn new(status: u16, error: &'static str, description: impl Into<String>) -> Self {
        Self { status, error, description: description.into() }
    }

    fn dead() -> Self {
        Self::new(400, "invalid_grant", "Token has been expired or revoked.")
    }
}

/// What the token endpoint gives.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) access_token: String,
    pub(crate) refresh_token: Option<String>,
    pub(crate) refresh_seconds: Option<i64>,
    pub(crate) expires_in: i64,
    pub(crate) account: String,
    pub(crate) client_id: String,
    pub(crate) scopes: BTreeSet<String>,
}

/// All applications and grants.
#[derive(Default)]
pub(crate) struct OAuth {
    apps: BTreeMap<String, GoogleApp>,
    codes: HashMap<String, Code>,
    /// In the order of their making: the oldest one dies first.
    refresh: BTreeMap<u64, (String, Refresh)>,
    by_token: HashMap<String, u64>,
    next: u64,
    access: HashMap<String, Access>,
    /// Scopes that an account has granted a client.
    granted: BTreeMap<(String, String), BTreeSet<String>>,
    /// Accounts whose refreshes are refused with `admin_policy_enforced`.
    restricted: BTreeSet<String>,
    lifetime: i64,
}

fn random(prefix: &str) -> String {
    let bytes: [u8; 32] = chassis::ids::random_bytes();
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
}

impl OAuth {
    pub(crate) fn new(apps: &[GoogleApp], lifetime: i64) -> Self {
        let apps = apps.iter().map(|app| (app.client_id.clone(), app.clone())).collect();
        Self { apps, lifetime, ..Self::default() }
    }

    pub(crate) fn put_app(&mut self, app: GoogleApp) {
        self.apps.insert(app.client_id.clone(), app);
    }

    pub(crate) fn app(&self, client_id: &str) -> Option<&GoogleApp> {
        self.apps.get(client_id)
    }

    pub(crate) fn first_app(&self) -> Option<&GoogleApp> {
        self.apps.values().next()
    }

    pub(crate) fn set_lifetime(&mut self, seconds: i64) {
        self.lifetime = seconds;
    }

    /// Makes refreshes of an account fail with `admin_policy_enforced`, or lets them through again.
    pub(crate) fn restrict(&mut self, account: &str, restricted: bool) {
        if restricted {
            self.restricted.insert(account.to_owned());
        } else {
            self.restricted.remove(account);
        }
    }

    /// The user has said yes to these scopes: a code for the application.
    pub(crate) fn approve(&mut self, mut asked: Asked, account: &str, now: DateTime<Utc>) -> String {
        let code = random("4/0A");
        let key = (account.to_owned(), asked.client_id.clone());
        let known = self.granted.contains_key(&key);
        let granted = self.granted.entry(key).or_default();
        // A returning user who is not asked again yields no refresh token.
        asked.offline &= asked.consent || !known;
        if asked.include_granted {
            asked.scopes.extend(granted.iter().cloned());
        }
        granted.extend(asked.scopes.iter().cloned());
        let until_ms = now.timestamp_millis() + CODE_MS;
        self.codes.insert(code.clone(), Code { asked, account: account.to_owned(), until_ms });
        code
    }

    pub(crate) fn check_client(&self, client_id: &str, secret: &str) -> Result<(), OAuthError> {
        let app = self
            .apps
            .get(client_id)
            .ok_or_else(|| OAuthError::new(401, "invalid_client", "The OAuth client was not found."))?;
        if app.client_secret == secret {
            Ok(())
        } else {
            Err(OAuthError::new(401, "invalid_client", "The provided client secret is invalid."))
        }
    }

    /// A code against tokens; it is spent whatever comes of it.
    pub(crate) fn exchange(
        &mut self,
        client_id: &str,
        code: &str,
        redirect_uri: &str,
        verifier: &str,
        switches: &Switches,
        now: DateTime<Utc>,
    ) -> Result<Given, OAuthError> {
        let bad = |text: &str| OAuthError::new(400, "invalid_grant", text);
        let found = self.codes.remove(code).ok_or_else(|| bad("Malformed auth code."))?;
        if found.until_ms <= now.timestamp_millis() || found.asked.client_id != client_id {
            return Err(bad("Bad Request"));
        }
        if found.asked.redirect_uri != redirect_uri {
            return Err(OAuthError::new(400, "redirect_uri_mismatch", "Bad Request"));
        }
        if let Some((method, challenge)) = &found.asked.challenge {
            if verifier.is_empty() {
                return Err(bad("Missing code verifier."));
            }
            let derived = match method.as_str() {
                "S256" => URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())),
                _ => verifier.to_owned(),
            };
            if derived != *challenge {
                return Err(bad("Invalid code verifier."));
            }
        }
        let scopes = found.asked.scopes;
        let refresh =
            found.asked.offline.then(|| self.new_refresh(&found.account, client_id, &scopes, switches, now));
        let mut given = self.new_access(&found.account, client_id, scopes, refresh.is_some(), now);
        given.refresh_seconds = refresh.as_ref().and(switches.time_based_grant_seconds);
        given.refresh_token = refresh;
        Ok(given)
    }

    /// A refresh token against a new access token, for all scopes or some of them.
    pub(crate) fn refresh(
        &mut self,
        client_id: &str,
        token: &str,
        scopes: &BTreeSet<String>,
        now: DateTime<Utc>,
    ) -> Result<Given, OAuthError> {
        let number = *self.by_token.get(token).ok_or_else(OAuthError::dead)?;
        let now_ms = now.timestamp_millis();
        let (account, all) = {
            let (_, known) = self.refresh.get_mut(&number).ok_or_else(OAuthError::dead)?;
            let ended = known.ends_ms.is_some_and(|end| end <= now_ms) || known.used_ms + IDLE_MS <= now_ms;
            if known.client_id != client_id || ended {
                return Err(OAuthError::dead());
            }
            known.used_ms = now_ms;
            (known.account.clone(), known.scopes.clone())
        };
        if self.restricted.contains(&account) {
            return Err(OAuthError::new(
                400,
                "admin_policy_enforced",
                "The Google Account is unable to authorize one or more scopes requested due to the policies of \
                 their Google Workspace administrator.",
            ));
        }
        if !scopes.is_subset(&all) {
            return Err(OAuthError::new(400, "invalid_scope", "Bad Request"));
        }
        let scopes = if scopes.is_empty() { all } else { scopes.clone() };
        Ok(self.new_access(&account, client_id, scopes, true, now))
    }

    fn new_refresh(
        &mut self,
        account: &str,
        client_id: &str,
        scopes: &BTreeSet<String>,
        switches: &Switches,
        now: DateTime<Utc>,
    ) -> String {
        let token = random("1//0");
        let now_ms = now.timestamp_millis();
        let ends = switches
            .time_based_grant_seconds
            .or(switches.refresh_token_days.map(|days| days * 86_400))
            .map(|seconds| now_ms + seconds * 1000);
        self.next += 1;
        let refresh = Refresh {
            account: account.to_owned(),
            client_id: client_id.to_owned(),
            scopes: scopes.clone(),
            issued_ms: now_ms,
            used_ms: now_ms,
            ends_ms: ends,
        };
        self.refresh.insert(self.next, (token.clone(), refresh));
        self.by_token.insert(token.clone(), self.next);
        let live: Vec<u64> = self
            .refresh
            .iter()
            .filter(|(_, (_, known))| known.account == account && known.client_id == client_id)
            .map(|(number, _)| *number)
            .collect();
        // The oldest ones die without a word.
        for number in live.iter().take(live.len().saturating_sub(switches.refresh_tokens)) {
            if let Some((old, _)) = self.refresh.remove(number) {
                self.by_token.remove(&old);
            }
        }
        token
    }

    fn new_access(
        &mut self,
        account: &str,
        client_id: &str,
        scopes: BTreeSet<String>,
        offline: bool,
        now: DateTime<Utc>,
    ) -> Given {
        let token = random("ya29.a0");
        let now_ms = now.timestamp_millis();
        self.access.retain(|_, known| known.expires_ms > now_ms);
        let access = Access {
            account: account.to_owned(),
            client_id: client_id.to_owned(),
            scopes: scopes.clone(),
            expires_ms: now_ms + self.lifetime * 1000,
            offline,
        };
        self.access.insert(token.clone(), access);
        Given {
            access_token: token,
            refresh_token: None,
            refresh_seconds: None,
            expires_in: self.lifetime,
            account: account.to_owned(),
            client_id: client_id.to_owned(),
            scopes,
        }
    }

    /// A grant without a consent page.
    pub(crate) fn mint(
        &mut self,
        account: &str,
        client_id: &str,
        scopes: &BTreeSet<String>,
        switches: &Switches,
        now: DateTime<Utc>,
    ) -> Given {
        let key = (account.to_owned(), client_id.to_owned());
        self.granted.entry(key).or_default().extend(scopes.iter().cloned());
        let refresh = self.new_refresh(account, client_id, scopes, switches, now);
        let mut given = self.new_access(account, client_id, scopes.clone(), true, now);
        given.refresh_token = Some(refresh);
        given
    }

    /// What a token opens now.
    pub(crate) fn access(&self, token: &str, now: DateTime<Utc>) -> Option<&Access> {
        self.access.get(token).filter(|access| access.expires_ms > now.timestamp_millis())
    }

    /// Ends the grant that a token belongs to; false for unknown tokens.
    pub(crate) fn revoke(&mut self, token: &str) -> bool {
        let of_refresh = self
            .by_token
            .get(token)
            .and_then(|number| self.refresh.get(number))
            .map(|(_, known)| (known.account.clone(), known.client_id.clone()));
        let owner = of_refresh
            .or_else(|| self.access.get(token).map(|known| (known.account.clone(), known.client_id.clone())));
        let Some((account, client_id)) = owner else { return false };
        self.revoke_grant(&account, Some(&client_id));
        true
    }

    /// The user takes back what was granted to one client, or to all.
    pub(crate) fn revoke_grant(&mut self, account: &str, client_id: Option<&str>) {
        let hit = |one: &str, client: &str| one == account && client_id.is_none_or(|wanted| wanted == client);
        self.access.retain(|_, known| !hit(&known.account, &known.client_id));
        self.refresh.retain(|_, (_, known)| !hit(&known.account, &known.client_id));
        let refresh = &self.refresh;
        self.by_token.retain(|_, number| refresh.contains_key(number));
        self.codes.retain(|_, code| !hit(&code.account, &code.asked.client_id));
        self.granted.retain(|(one, client), _| !hit(one, client));
    }

    /// Every access token is bad from now on; refresh tokens stay.
    pub(crate) fn expire_access(&mut self) {
        self.access.clear();
    }

    /// Live refresh tokens of an account, and when the oldest one was made.
    pub(crate) fn refresh_tokens(&self, account: &str) -> (usize, Option<i64>) {
        let own = || self.refresh.values().filter(|(_, known)| known.account == account);
        (own().count(), own().map(|(_, known)| known.issued_ms).min())
    }
}
