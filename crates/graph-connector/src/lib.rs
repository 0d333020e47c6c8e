//! `graph-connector`: Microsoft identity and Graph behind one gRPC contract.
//!
//! Owns the credential, the token, the throttle fence, the circuit breaker and the retries; workers cannot call the
//! provider themselves. It starts without a credential and says then what to set.

mod assembly;
mod attach;
mod cached;
mod calendar;
mod clients;
mod config;
mod convert;
mod convert_mail;
mod convert_teams;
mod fault;
mod mail;
mod metrics;
mod permissions;
mod probe;
mod self_test;
mod send;
mod server;
mod settings;
mod status;
mod subscription;
mod subscription_server;
mod teams;
mod watched;

use std::sync::Arc;

use chassis::service::{BoxError, Service};
use contracts::graph::v1::graph_calendar_server::GraphCalendarServer;
use contracts::graph::v1::graph_connector_server::GraphConnectorServer;
use contracts::graph::v1::graph_mail_server::GraphMailServer;
use contracts::graph::v1::graph_subscriptions_server::GraphSubscriptionsServer;
use contracts::graph::v1::graph_teams_server::GraphTeamsServer;
use tokio::net::TcpListener;
use tonic::service::Routes;

pub use config::ConnectorConfig;
pub use metrics::METRICS;
pub use server::Connector;

/// Largest request about drives; the largest carries two links.
const MAX_REQUEST: usize = 256 * 1024;
/// Largest request about mail: a draft with its body, or a chunk of an attachment.
const MAX_MAIL_REQUEST: usize = 8 * 1024 * 1024;

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
    let connector = Arc::new(Connector::assemble(&config, clock)?);
    cache::watch(&tasks, &shutdown, &health, connector.cache());
    connector.tokens().watch(&tasks, &shutdown);
    let routes = routes(&connector);
    tasks.spawn_critical(
        "grpc server",
        async move { chassis::grpc::serve(listener, routes, &shutdown).await },
    );
    Ok(())
}

/// All services of the connector.
pub fn routes(connector: &Arc<Connector>) -> Routes {
    let own = || Arc::clone(connector);
    Routes::new(GraphConnectorServer::from_arc(own()).max_decoding_message_size(MAX_REQUEST))
        .add_service(GraphMailServer::from_arc(own()).max_decoding_message_size(MAX_MAIL_REQUEST))
        .add_service(GraphCalendarServer::from_arc(own()).max_decoding_message_size(MAX_MAIL_REQUEST))
        .add_service(GraphTeamsServer::from_arc(own()).max_decoding_message_size(MAX_REQUEST))
        .add_service(GraphSubscriptionsServer::from_arc(own()).max_decoding_message_size(MAX_REQUEST))
}
