//! How tokens are checked.

use chassis::config::{Env, FromEnv, SecretSource};
use chassis::secret::Secret;

/// The shared secret when none is configured outside production. Publicly known: production
/// refuses it.
pub const DEVELOPMENT_SECRET: &str = "syncline-development-secret-do-not-use-in-production";
/// Shortest secret that production accepts, in bytes (RFC 7518 section 3.2: at least the hash's
/// size for HS256).
const MIN_SECRET: usize = 32;

/// Where the keys come from.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// A secret shared with the issuer: HS256 and nothing else.
    Secret(SecretSource),
    /// The issuer's published key set: RS256 and ES256.
    Jwks {
        /// Its address.
        url: String,
    },
}

/// `JWT_JWKS_URL` or `JWT_SECRET` (or `JWT_SECRET_FILE`), `JWT_ISSUER`, `JWT_AUDIENCE`.
#[derive(Debug, Clone)]
pub struct JwtConfig {
    /// Where the keys come from.
    pub keys: KeySource,
    /// The `iss` that is accepted.
    pub issuer: String,
    /// The `aud` that is accepted.
    pub audience: String,
}

impl FromEnv for JwtConfig {
    fn from_env(env: &mut Env) -> Self {
        let url = env.optional("JWT_JWKS_URL");
        let secret = env.secret("JWT_SECRET");
        if let (Some(_), Some(_)) = (&url, &secret) {
            env.fault("JWT_SECRET", "is set together with JWT_JWKS_URL; keep one of them");
        }
        let keys = match (url, secret) {
            (Some(url), _) => {
                check_url(env, &url);
                KeySource::Jwks { url }
            }
            (None, Some(secret)) => {
                check_secret(env, &secret.current());
                KeySource::Secret(secret)
            }
            (None, None) => {
                if env.production() {
                    env.fault("JWT_SECRET", "is required in production, got nothing; set it or JWT_JWKS_URL");
                }
                KeySource::Secret(Secret::from(DEVELOPMENT_SECRET).into())
            }
        };
        Self {
            keys,
            issuer: env.string("JWT_ISSUER", "syncline"),
            audience: env.string("JWT_AUDIENCE", "syncline"),
        }
    }
}

fn check_secret(env: &mut Env, secret: &Secret) {
    if !env.production() {
        return;
    }
    if *secret == Secret::from(DEVELOPMENT_SECRET) {
        env.fault("JWT_SECRET", "is the publicly known development secret; generate one of your own");
    } else if secret.expose().len() < MIN_SECRET {
        let message = format!("is shorter than {MIN_SECRET} bytes; generate a longer one");
        env.fault("JWT_SECRET", message);
    }
}

fn check_url(env: &mut Env, url: &str) {
    let secure = url.starts_with("https://");
    let plain = url.starts_with("http://") && !env.production();
    if !secure && !plain {
        let shown = chassis::secret::redact_url(url);
        env.fault("JWT_JWKS_URL", format!("must be an https address, got `{shown}`; correct it"));
    }
}
