//! `DATABASE_URL` and the pool's limits.

use std::str::FromStr;
use std::time::Duration;

use chassis::config::{Env, FromEnv, SecretSource};
use sqlx::postgres::PgConnectOptions;

/// Connection settings.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// `DATABASE_URL`: the application role.
    pub url: SecretSource,
    /// `DATABASE_MAX_CONNECTIONS` (default 8).
    pub max_connections: u32,
    /// `DATABASE_ACQUIRE_SECONDS` (default 10): longest wait for a connection.
    pub acquire: Duration,
}

impl FromEnv for DatabaseConfig {
    fn from_env(env: &mut Env) -> Self {
        let url = env.required_secret("DATABASE_URL");
        let text = url.current();
        if !text.expose().is_empty()
            && let Err(e) = PgConnectOptions::from_str(text.expose())
        {
            env.fault("DATABASE_URL", format!("is not a PostgreSQL URL ({})", scrub(&e)));
        }
        Self {
            url,
            max_connections: env.parse("DATABASE_MAX_CONNECTIONS", 8).max(1),
            acquire: env.seconds("DATABASE_ACQUIRE_SECONDS", 10),
        }
    }
}

/// The driver's words without the URL, which carries a password.
fn scrub(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Configuration(e) => e.to_string(),
        other => other.to_string(),
    }
}
