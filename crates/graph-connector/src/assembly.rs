//! Puts the connector's parts together.

use std::sync::Arc;

use cache::Cache;
use chassis::service::BoxError;
use domain::time::SharedClock;
use graph_client::GraphClient;
use outbound::http::HttpClient;
use outbound::provider::{ProviderClient, ProviderSettings, Reading, ServiceBreaker};
use outbound::throttle::{FenceKey, Gate, LayeredFence};
use outbound::token::EntraTokens;

use crate::config::ConnectorConfig;
use crate::server::Connector;
use crate::subscription::Subscriptions;

/// Name of the guarded service in the runbook, in `circuit_breaker_state` and in log lines.
const SERVICE: &str = "OneDrive";

impl Connector {
    /// Builds the connector; connects to nothing yet.
    ///
    /// # Errors
    /// When TLS cannot be set up or `REDIS_URL` is not usable.
    pub fn assemble(config: &ConnectorConfig, clock: SharedClock) -> Result<Self, BoxError> {
        let cache = Arc::new(Cache::new(&config.cache, clock.clone())?);
        let client =
            HttpClient::builder().deadline(config.breaker.call_timeout).idle_connections(config.max_calls);
        let http = Arc::new(client.build()?);
        let tokens = Arc::new(EntraTokens::new(Arc::clone(&http), config.entra.clone(), clock.clone()));
        let key = FenceKey { provider: "microsoft", tenant: tokens.tenant().to_owned(), workload: "drives" };
        let fence = Arc::new(LayeredFence::new(clock.clone(), cache.fence()));
        let provider = ProviderClient::new(
            http,
            tokens,
            Gate::new(fence, key, config.lane, config.max_wait),
            ServiceBreaker::new(SERVICE, config.breaker, clock.clone()),
            ProviderSettings {
                requests_metric: "graph_requests_total",
                retry: config.retry,
                read: Reading::microsoft,
            },
            clock.clone(),
        );
        let graph = GraphClient::new(Arc::new(provider), config.graph_base.clone());
        let subscriptions = Subscriptions::new(graph.clone(), config.webhook_base.as_ref());
        Ok(Self::new(graph, cache, subscriptions, config, clock))
    }
}
