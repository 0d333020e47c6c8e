//! Where tokens come from and with which credential.

use chassis::config::{Env, FromEnv, SecretSource};
use chassis::secret::Secret;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use url::Url;

/// Microsoft identity: `AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, `AZURE_CLIENT_SECRET`, `AZURE_CLIENT_SECRET_NEXT`
/// (both also as `..._FILE`, re-read when the file changes) and `MICROSOFT_LOGIN_BASE_URL`.
#[derive(Debug, Clone)]
pub struct EntraConfig {
    /// Directory (tenant) id or domain.
    pub tenant: Option<String>,
    /// Application (client) id.
    pub client_id: Option<String>,
    /// The secret in use.
    pub secret: Option<SecretSource>,
    /// The secret that takes over when the one in use is refused.
    pub next_secret: Option<SecretSource>,
    /// `AZURE_CLIENT_SECRET_EXPIRES_AT`: when the secret in use ends, RFC 3339 or a date; for alerts alone.
    pub secret_expires_at: Option<DateTime<Utc>>,
    /// Authority without the tenant.
    pub login_base: Url,
}

const EXPIRES_AT: &str = "AZURE_CLIENT_SECRET_EXPIRES_AT";

/// Entra shows a date; the secret ends in its course.
fn expiry(env: &mut Env) -> Option<DateTime<Utc>> {
    let text = env.optional(EXPIRES_AT)?;
    let read = match text.parse::<NaiveDate>() {
        Ok(date) => Some(date.and_time(NaiveTime::MIN).and_utc()),
        Err(_) => DateTime::parse_from_rfc3339(&text).ok().map(|at| at.with_timezone(&Utc)),
    };
    if read.is_none() {
        env.fault(EXPIRES_AT, format!("must be a date or an RFC 3339 time, got `{text}`"));
    }
    read
}

/// Microsoft's public cloud.
const LOGIN_BASE: &str = "https://login.microsoftonline.com";

impl FromEnv for EntraConfig {
    fn from_env(env: &mut Env) -> Self {
        let default = Url::parse(LOGIN_BASE).expect("a constant that is an address");
        Self {
            tenant: env.optional("AZURE_TENANT_ID"),
            client_id: env.optional("AZURE_CLIENT_ID"),
            secret: env.secret("AZURE_CLIENT_SECRET"),
            next_secret: env.secret("AZURE_CLIENT_SECRET_NEXT"),
            secret_expires_at: expiry(env),
            login_base: env.parse("MICROSOFT_LOGIN_BASE_URL", default),
        }
    }
}

impl EntraConfig {
    /// Names of the variables that are missing; empty when a token can be asked for.
    pub fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if self.tenant.is_none() {
            missing.push("AZURE_TENANT_ID".to_owned());
        }
        if self.client_id.is_none() {
            missing.push("AZURE_CLIENT_ID".to_owned());
        }
        if self.secret.is_none() && self.next_secret.is_none() {
            missing.push("AZURE_CLIENT_SECRET".to_owned());
        }
        missing
    }

    /// The secrets as they are now, in the order in which they are tried, with their names. A next secret that has
    /// become the current one is no other.
    pub(super) fn secrets(&self) -> Vec<(&'static str, Secret)> {
        let current = self.secret.iter().map(|s| ("current", s.current()));
        let next = self.next_secret.iter().map(|s| ("next", s.current()));
        let mut all: Vec<_> = current.chain(next).filter(|(_, secret)| !secret.is_empty()).collect();
        if all.len() == 2 && all[0].1 == all[1].1 {
            all.pop();
        }
        all
    }

    /// `{authority}/{tenant}/oauth2/v2.0/token`.
    pub(super) fn token_url(&self) -> Option<Url> {
        let mut url = self.login_base.clone();
        url.path_segments_mut().ok()?.pop_if_empty().extend([
            self.tenant.as_deref()?,
            "oauth2",
            "v2.0",
            "token",
        ]);
        Some(url)
    }
}
