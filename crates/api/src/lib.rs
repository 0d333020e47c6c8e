//! REST for operators and applications: everything that CONTRACT's table lists, described by
//! `/openapi.json`. Nothing is done here but reading, and writing rows with the jobs that they cause.

mod actor;
mod config;
mod connector;
mod error;
mod google;
mod openapi;
mod operation;
mod routes;
mod state;
mod table;
mod watch;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use chassis::health::Need;
use chassis::service::{BoxError, Service, ServiceInfo};
use outbound::http::HttpClient;
use store::Store;
use tokio::net::TcpListener;
use web::auth::{Authenticator, FetchJwks, JwtConfig, KeySource, fetch_jwks_with};

pub use config::ApiConfig;
pub use connector::Connector;
pub use google::GoogleConnector;
pub use openapi::{document, router};
pub use state::ApiState;

/// Name and admin port (CONTRACT, ports).
pub const INFO: ServiceInfo = ServiceInfo { name: "api", admin_default_port: 9100 };

/// Runs the service.
pub fn main() -> ExitCode {
    chassis::service::main(INFO, start)
}

#[derive(Debug, thiserror::Error)]
#[error("API_HTTP_ADDR {address} cannot be listened on")]
struct Bind {
    address: SocketAddr,
    #[source]
    source: std::io::Error,
}

async fn start(service: Service<ApiConfig>) -> Result<(), BoxError> {
    let Service { config, tasks, shutdown, health, clock } = service;
    let listener = TcpListener::bind(config.http_addr)
        .await
        .map_err(|source| Bind { address: config.http_addr, source })?;
    let store = Store::new(&config.database, INFO.name)?;
    let connector = Connector::new(&config.connector_url)?;
    let google = GoogleConnector::new(&config.google_url)?;

    let database = health.dependency("database", Need::Hard);
    tasks.spawn("watch database", store::watch::database(store.clone(), database, shutdown.clone()));
    let graph = health.dependency("graph-connector", Need::Soft);
    tasks.spawn("watch graph-connector", watch::connector(connector.clone(), graph, shutdown.clone()));

    let gcal = health.dependency("gcal-connector", Need::Soft);
    tasks.spawn("watch gcal-connector", watch::google(google.clone(), gcal, shutdown.clone()));

    let fetch = fetch(&config.jwt)?;
    let authenticator = Authenticator::new(config.jwt, clock.clone(), fetch);
    let state = ApiState::new(store, connector, google, clock).with_subjects(config.subjects);
    let router = router(state, config.kit.authenticated(authenticator));
    tasks.spawn_critical("http", async move { web::serve(listener, router, &shutdown).await });
    Ok(())
}

/// Reads the issuer's key set, when there is one.
fn fetch(config: &JwtConfig) -> Result<FetchJwks, BoxError> {
    let KeySource::Jwks { url } = &config.keys else {
        return Ok(fetch_jwks_with(|| async { Err("no key set is configured".into()) }));
    };
    let url: outbound::Url = url.parse()?;
    let client =
        Arc::new(HttpClient::builder().deadline(Duration::from_secs(8)).body_limit(256 * 1024).build()?);
    Ok(fetch_jwks_with(move || {
        let (client, url) = (client.clone(), url.clone());
        async move {
            let answer = client.send(outbound::http::Request::get(url)).await?;
            if !answer.status.is_success() {
                return Err(format!("the key set's address answered {}", answer.status).into());
            }
            Ok(answer.body)
        }
    }))
}
