//! Settings of the service.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use chassis::config::{Env, FromEnv};
use store::DatabaseConfig;
use web::kit::KitConfig;

/// Largest body of one delivery.
const BODY_LIMIT: usize = 1024 * 1024;
/// Graph gives up after 10 s (change-notifications-delivery-webhooks, Graph v1.0).
const TIMEOUT: Duration = Duration::from_secs(8);

/// `WEBHOOK_INGRESS_HTTP_ADDR`, `ENABLE_REALTIME_SYNC` and the database.
#[derive(Debug)]
pub struct IngressConfig {
    /// `WEBHOOK_INGRESS_HTTP_ADDR` (default `127.0.0.1:3001`).
    pub http_addr: SocketAddr,
    /// `ENABLE_REALTIME_SYNC` (default true): whether notifications cause runs.
    pub realtime: bool,
    /// PostgreSQL.
    pub database: DatabaseConfig,
    /// Limits.
    pub kit: KitConfig,
}

impl FromEnv for IngressConfig {
    fn from_env(env: &mut Env) -> Self {
        Self {
            http_addr: env.parse("WEBHOOK_INGRESS_HTTP_ADDR", SocketAddr::from((Ipv4Addr::LOCALHOST, 3001))),
            realtime: env.flag("ENABLE_REALTIME_SYNC", true),
            database: DatabaseConfig::from_env(env),
            kit: kit(),
        }
    }
}

/// Limits of the door; they are the provider's, so no variable changes them.
pub fn kit() -> KitConfig {
    KitConfig { body_limit: BODY_LIMIT, timeout: TIMEOUT, ..KitConfig::default() }
}
