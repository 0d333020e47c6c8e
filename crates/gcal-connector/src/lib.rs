//! `gcal-connector`: Google OAuth and Calendar behind one gRPC contract.
//!
//! Owns the client secret, the grants (sealed in the database; no other service can open them), the access tokens,
//! the quota budgets, the circuit breaker and the retries; workers cannot call the provider themselves. It starts
//! without a credential and says then what to set.

mod assembly;
mod clients;
mod config;
mod connect;
mod consent;
mod convert;
mod disconnect;
mod fault;
mod keeper;
mod metrics;
mod outcome;
mod sealed;
mod server;
mod status;
mod tokens;
mod watch;

use std::sync::Arc;

use chassis::health::Need;
use chassis::service::{BoxError, Service};
use contracts::gcal::v1::gcal_connector_server::GcalConnectorServer;
use tokio::net::TcpListener;
use tonic::service::Routes;

pub use config::GcalConfig;
pub use keeper::tidy;
pub use metrics::METRICS;
pub use server::Connector;

/// Largest request: an event with everything that Google takes.
const MAX_REQUEST: usize = 4 * 1024 * 1024;

/// The service could not listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (GCAL_CONNECTOR_GRPC_ADDR)")]
pub struct BindError {
    address: std::net::SocketAddr,
    #[source]
    source: std::io::Error,
}

/// The gRPC routes of a connector.
pub fn routes(connector: Arc<Connector>) -> Routes {
    Routes::new(GcalConnectorServer::from_arc(connector).max_decoding_message_size(MAX_REQUEST))
}

/// Starts the service: binds, and spawns the server, the keeper of grants and the watches over Redis and database.
///
/// # Errors
/// [`BindError`], or a part that cannot be set up.
pub async fn start(service: Service<GcalConfig>) -> Result<(), BoxError> {
    let Service { config, tasks, shutdown, health, clock } = service;
    metrics::describe();
    let address = config.grpc_addr;
    let listener = TcpListener::bind(address).await.map_err(|source| BindError { address, source })?;
    let connector = Arc::new(Connector::assemble(config, clock)?);
    if connector.vault.ring().is_development() {
        tracing::warn!("tokens are sealed with the public development key; set TOKEN_ENCRYPTION_KEYS");
    }
    cache::watch(&tasks, &shutdown, &health, Arc::clone(&connector.cache));
    let database = health.dependency("database", Need::Hard);
    tasks
        .spawn("watch database", store::watch::database(connector.store.clone(), database, shutdown.clone()));
    tasks.spawn("grant keeper", keeper::keep(Arc::clone(&connector), shutdown.clone()));
    let routes = routes(connector);
    tasks.spawn_critical(
        "grpc server",
        async move { chassis::grpc::serve(listener, routes, &shutdown).await },
    );
    Ok(())
}
