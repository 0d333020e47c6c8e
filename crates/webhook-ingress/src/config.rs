//! Settings of the service.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use chassis::config::{Env, FromEnv, SecretSource};
use outbound::Url;
use outbound::rich::NotificationKeys;
use store::DatabaseConfig;
use web::kit::KitConfig;

/// Largest body of one delivery.
const BODY_LIMIT: usize = 1024 * 1024;
/// Graph gives up after 10 s (change-notifications-delivery-webhooks, Graph v1.0).
const TIMEOUT: Duration = Duration::from_secs(8);

/// Default of `SPOOL_DIR`: below the working folder.
const SPOOL_DIR: &str = "data/spool";
/// Default of `SPOOL_MAX_BYTES`: half a million deliveries of Graph.
const SPOOL_MAX_BYTES: u64 = 256 * 1024 * 1024;
/// A spool has to hold a few of the largest deliveries.
const SPOOL_MIN_BYTES: u64 = 16 * 1024 * 1024;
/// Proxies that may stand in front of us.
const MAX_HOPS: usize = 8;
/// Microsoft's public cloud.
const LOGIN_BASE: &str = "https://login.microsoftonline.com";
const KEYS: &str = "GRAPH_NOTIFICATION_KEYS";

/// `WEBHOOK_INGRESS_HTTP_ADDR`, `ENABLE_REALTIME_SYNC`, `SPOOL_DIR`, `SPOOL_MAX_BYTES`, `GRAPH_NOTIFICATION_KEYS`,
/// `AZURE_CLIENT_ID`, `MICROSOFT_LOGIN_BASE_URL`, `WEBHOOK_PROXY_HOPS` and the database.
#[derive(Debug)]
pub struct IngressConfig {
    /// `WEBHOOK_INGRESS_HTTP_ADDR` (default `127.0.0.1:3001`).
    pub http_addr: SocketAddr,
    /// `ENABLE_REALTIME_SYNC` (default true): whether notifications cause runs.
    pub realtime: bool,
    /// `SPOOL_DIR` (default `data/spool`): where deliveries wait while PostgreSQL is away.
    pub spool_dir: PathBuf,
    /// `SPOOL_MAX_BYTES` (default 256 MiB, at least 16 MiB).
    pub spool_max_bytes: u64,
    /// `GRAPH_NOTIFICATION_KEYS`: private keys of the certificates for which Graph encrypts.
    pub notification_keys: Option<SecretSource>,
    /// `AZURE_CLIENT_ID`: for whom validation tokens have to be.
    pub applications: Vec<String>,
    /// `MICROSOFT_LOGIN_BASE_URL`: who publishes the signing keys.
    pub login_base: Url,
    /// `WEBHOOK_PROXY_HOPS` (default 0): proxies in front that append to `X-Forwarded-For`.
    pub proxy_hops: usize,
    /// PostgreSQL.
    pub database: DatabaseConfig,
    /// Limits.
    pub kit: KitConfig,
}

impl FromEnv for IngressConfig {
    fn from_env(env: &mut Env) -> Self {
        let microsoft = Url::parse(LOGIN_BASE).expect("a constant that is an address");
        let notification_keys = env.secret(KEYS);
        if let Some(fault) =
            notification_keys.as_ref().and_then(|keys| NotificationKeys::parse(keys.current().expose()).err())
        {
            env.fault(KEYS, fault.to_string());
        }
        let spool_max_bytes = env.parse("SPOOL_MAX_BYTES", SPOOL_MAX_BYTES);
        if spool_max_bytes < SPOOL_MIN_BYTES {
            env.fault("SPOOL_MAX_BYTES", format!("must be at least {SPOOL_MIN_BYTES}; raise it"));
        }
        let proxy_hops = env.parse("WEBHOOK_PROXY_HOPS", 0);
        if proxy_hops > MAX_HOPS {
            env.fault(
                "WEBHOOK_PROXY_HOPS",
                format!("must be at most {MAX_HOPS}, the number of our own proxies"),
            );
        }
        Self {
            spool_dir: PathBuf::from(env.string("SPOOL_DIR", SPOOL_DIR)),
            spool_max_bytes,
            notification_keys,
            applications: env.optional("AZURE_CLIENT_ID").into_iter().collect(),
            login_base: env.parse("MICROSOFT_LOGIN_BASE_URL", microsoft),
            proxy_hops,
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
