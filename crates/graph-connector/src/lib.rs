//! `graph-connector`: Microsoft identity and Graph behind one gRPC contract.
//!
//! Owns the credential, the token, the throttle fence, the circuit breaker and the retries; workers cannot call the
//! provider themselves. It starts without a credential and says then what to set.

mod assembly;
mod cached;
mod config;
mod convert;
mod fault;
mod metrics;
mod permissions;
mod server;
mod status;
mod subscription;

use chassis::service::{BoxError, Service};
use contracts::graph::v1::graph_connector_server::GraphConnectorServer;
use tokio::net::TcpListener;
use tonic::service::Routes;

pub use config::ConnectorConfig;
pub use metrics::METRICS;
pub use server::Connector;

/// Largest request; the largest carries two links.
const MAX_REQUEST: usize = 256 * 1024;

/// The service could not listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (GRAPH_CONNECTOR_GRPC_ADDR)")]
pub struct BindError {
    address: std::net::SocketAddr,
    #[source]
    source: std::io::Error,
}

/// Starts the service: binds, and spawns the server and the watch over Redis.
///
/// # Errors
/// [`BindError`], or a client that cannot be set up.
pub async fn start(service: Service<ConnectorConfig>) -> Result<(), BoxError> {
    let Service { config, tasks, shutdown, health, clock } = service;
    metrics::describe();
    let address = config.grpc_addr;
    let listener = TcpListener::bind(address).await.map_err(|source| BindError { address, source })?;
    let connector = Connector::assemble(&config, clock)?;
    cache::watch(&tasks, &shutdown, &health, connector.cache());
    let routes = Routes::new(GraphConnectorServer::new(connector).max_decoding_message_size(MAX_REQUEST));
    tasks.spawn_critical(
        "grpc server",
        async move { chassis::grpc::serve(listener, routes, &shutdown).await },
    );
    Ok(())
}
