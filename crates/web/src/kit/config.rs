//! Settings of the layers.

use std::time::Duration;

use chassis::config::{Env, FromEnv};
use http::HeaderValue;

use super::cors;
use crate::auth::Authenticator;
use crate::rate::DEFAULT_PER_MINUTE;

/// Default of `HTTP_BODY_LIMIT_BYTES`.
const BODY_LIMIT: usize = 1024 * 1024;
/// Default of `HTTP_TIMEOUT_SECONDS`.
const TIMEOUT_SECONDS: u64 = 30;

/// `HTTP_BODY_LIMIT_BYTES` (1 MiB), `HTTP_TIMEOUT_SECONDS` (30), `RATE_LIMIT_PER_MINUTE` (120) and
/// `CORS_ALLOWED_ORIGINS` (comma-separated origins; none).
#[derive(Debug, Clone)]
pub struct KitConfig {
    /// Largest request body in bytes.
    pub body_limit: usize,
    /// Longest time until the answer begins.
    pub timeout: Duration,
    /// Requests a minute per user.
    pub per_minute: u32,
    /// Origins of browsers' pages that may read answers.
    pub allowed_origins: Vec<HeaderValue>,
    /// Checks bearer tokens, for the role extractors and the limit per user.
    pub authenticator: Option<Authenticator>,
}

impl KitConfig {
    /// Checks bearer tokens and limits requests per user. Without it the role extractors refuse
    /// everything.
    #[must_use]
    pub fn authenticated(mut self, authenticator: Authenticator) -> Self {
        self.authenticator = Some(authenticator);
        self
    }
}

impl Default for KitConfig {
    fn default() -> Self {
        Self {
            body_limit: BODY_LIMIT,
            timeout: Duration::from_secs(TIMEOUT_SECONDS),
            per_minute: DEFAULT_PER_MINUTE,
            allowed_origins: Vec::new(),
            authenticator: None,
        }
    }
}

impl FromEnv for KitConfig {
    fn from_env(env: &mut Env) -> Self {
        let origins = env.string("CORS_ALLOWED_ORIGINS", "");
        let mut allowed_origins = Vec::new();
        for origin in origins.split(',').map(str::trim).filter(|origin| !origin.is_empty()) {
            match cors::origin(origin) {
                Some(origin) => allowed_origins.push(origin),
                None => env.fault(
                    "CORS_ALLOWED_ORIGINS",
                    format!("is a list of origins, got `{origin}`; write https://host without a path"),
                ),
            }
        }
        let default = Self::default();
        let per_minute = env.parse("RATE_LIMIT_PER_MINUTE", default.per_minute);
        if per_minute == 0 {
            env.fault("RATE_LIMIT_PER_MINUTE", "must be at least 1, got `0`; raise it");
        }
        Self {
            body_limit: env.parse("HTTP_BODY_LIMIT_BYTES", default.body_limit),
            timeout: env.seconds("HTTP_TIMEOUT_SECONDS", TIMEOUT_SECONDS),
            per_minute,
            allowed_origins,
            authenticator: None,
        }
    }
}
