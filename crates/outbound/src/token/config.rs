//! Where tokens come from and with which credential.

use chassis::config::{Env, FromEnv, SecretSource};
use chassis::secret::Secret;
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
    /// Authority without the tenant.
    pub login_base: Url,
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

    /// The secrets as they are now, in the order in which they are tried, with their names.
    pub(super) fn secrets(&self) -> Vec<(&'static str, Secret)> {
        let current = self.secret.iter().map(|s| ("current", s.current()));
        let next = self.next_secret.iter().map(|s| ("next", s.current()));
        current.chain(next).filter(|(_, secret)| !secret.expose().is_empty()).collect()
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
