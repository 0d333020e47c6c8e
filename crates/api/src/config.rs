//! Settings of the service.

use std::net::{Ipv4Addr, SocketAddr};

use chassis::config::{Env, FromEnv};
use outbound::audit_subjects::SubjectKeys;
use store::DatabaseConfig;
use web::auth::JwtConfig;
use web::kit::KitConfig;

/// `API_HTTP_ADDR`, the connectors' addresses, the database, tokens and the HTTP kit.
#[derive(Debug)]
pub struct ApiConfig {
    /// `API_HTTP_ADDR` (default `127.0.0.1:3000`).
    pub http_addr: SocketAddr,
    /// `GRAPH_CONNECTOR_URL` (default `http://127.0.0.1:50051`).
    pub connector_url: String,
    /// `GCAL_CONNECTOR_URL` (default `http://127.0.0.1:50052`).
    pub google_url: String,
    /// PostgreSQL.
    pub database: DatabaseConfig,
    /// `AUDIT_SUBJECT_KEYS`.
    pub subjects: SubjectKeys,
    /// How tokens are checked.
    pub jwt: JwtConfig,
    /// Limits and origins.
    pub kit: KitConfig,
}

impl FromEnv for ApiConfig {
    fn from_env(env: &mut Env) -> Self {
        let connector_url = connector(env, "GRAPH_CONNECTOR_URL", "http://127.0.0.1:50051");
        let google_url = connector(env, "GCAL_CONNECTOR_URL", "http://127.0.0.1:50052");
        Self {
            http_addr: env.parse("API_HTTP_ADDR", SocketAddr::from((Ipv4Addr::LOCALHOST, 3000))),
            connector_url,
            google_url,
            database: DatabaseConfig::from_env(env),
            subjects: SubjectKeys::from_env(env),
            jwt: JwtConfig::from_env(env),
            kit: KitConfig::from_env(env),
        }
    }
}

fn connector(env: &mut Env, name: &str, default: &str) -> String {
    let url = env.string(name, default);
    if !url.starts_with("http://") && !url.starts_with("https://") {
        env.fault(name, "is not the address of a gRPC server; write http://host:port");
    }
    url
}
